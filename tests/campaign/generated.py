"""Kinds of bad input that a seed makes by the thousand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from campaign import changed, corpus
from campaign.cases import Case, Kind

SHARES = {
    "suites": 2400, "options": 2000, "references": 1600, "CSV": 3000, "Parquet": 2600, "NPY and NPZ": 2600, "IDX": 800,
    "KDD files": 700, "rows to score": 1500, "saved models": 2200, "records": 1600, "reports": 160, "histories": 1200,
    "pytest-benchmark files": 1000,
}  # fmt: skip
"""Cases of each kind in the long form, 20,000 and more."""

WARM = (
    "pandas",
    "pyarrow.parquet",
    "sklearn.neighbors",
    "bench.keep.models",
    "bench.keep.scoring",
    "datasets.columnar",
)


def kinds(seed: int, share: float = 1.0) -> list[Kind]:
    """All kinds; ``share`` of the cases that the long form has."""

    def counted(name: str, make: Callable[[int, int], Case], warm: Sequence[str] = WARM) -> Kind:
        return Kind(name, max(1, round(SHARES[name] * share)), lambda number: make(seed, number), warm)

    return [
        counted("suites", suites),
        counted("options", options),
        counted("references", references),
        counted("CSV", delimited),
        counted("Parquet", parquet),
        counted("NPY and NPZ", arrays),
        counted("IDX", idx),
        counted("KDD files", kdd),
        counted("rows to score", rows),
        counted("saved models", models),
        counted("records", records),
        counted("reports", reports, (*WARM, "reports.document", "reports.figures")),
        counted("histories", histories),
        counted("pytest-benchmark files", benchmarks),
    ]


def suites(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "suites", number)
    text = draw.choice(corpus.suites())
    if draw.random() < 0.5:
        text = changed.bytes_of(text, draw)
    else:
        lines = text.decode().splitlines()
        for _ in range(draw.choice((1, 2))):
            place = draw.randrange(len(lines))
            key = lines[place].partition("=")[0]
            value = json.dumps(draw.choice(changed.VALUES))
            lines[place] = draw.choice((f"{key} = {value}", lines[place] + lines[draw.randrange(len(lines))], ""))
        text = "\n".join(lines).encode(errors="replace")
    return Case("changed suite", ["run", "mine.toml", "--dry-run"], {"mine.toml": text})


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run", "smoke", "--dry-run", "--seeds", "0,1", "--threads", "1", "--epochs", "3", "--datasets", "blobs?rows=200"),
    ("run", "quick", "--dry-run", "--rounds", "2", "--batch-sizes", "16,32", "--timeout", "5m", "--detectors", "vae"),
    ("run", "smoke", "--dry-run", "--precision", "float32", "--device", "cpu", "--modes", "idiomatic", "--jobs", "2"),
    ("run", "quick", "--dry-run", "--untimed", "--sweep", "latent=2,4", "--sweep", "knn.n_neighbors=1..9:log",
     "--sweep", "sample=4", "--lanes", "auto"),
    ("run", "smoke", "--dry-run", "--cluster", "lab", "--retries", "2", "--mixed"),
    ("fit", "file:rows.csv?label=label&normal=normal", "--detector", "knn", "--out", "model", "--seed", "0",
     "--parameter", "n_neighbors=5", "--threshold", "percentile:99", "--threshold-rows", "validation"),
    ("score", "model", "rows.csv", "--top", "3", "--id", "kind", "--threads", "1", "--score", "decision"),
    ("report", "results", "--table", "quality", "--format", "csv", "--pivot", "roc_auc"),
    ("compare", "results", "results", "--metric", "roc_auc", "--threshold", "3%", "--format", "json", "--strict"),
    ("history", "check", "--history", "history", "--threshold", "3%", "--newest", "12", "--match", "vae"),
    ("export", "results", "--format", "github-action-benchmark", "--better", "lower"),
    ("list", "datasets"),
    ("verify", "--coverage", "--backends", "torch,jax", "--format", "json"),
)  # fmt: skip

STRANGE = (
    "", " ", "-", "--", "-1", "0", "1e9", "9" * 30, "1" * 5000, "nan", "inf", "-inf", "x" * 3000, "\x1b[31m",
    "\u202egnp", "../..", "/etc/passwd", "/dev/zero", "'; id; '", "$(id)", "%s%n", "{0}", "[" * 200, "[[1],", "{",
    "a=b=c", ",,,", "é\x9b1", "true", "None", "0x10", "1_000", "٣", "1,", "0.5", "5%", "1m1s",
    "set:epochs=" + "9" * 40, "git:--upload", "pip:--editable", "python:/bin/true", "file:rows.csv", "file:?label=",
    "blobs?rows=-1", "blobs?rows=1e5", "mnist:11", "evt:2", "percentile:101", "std:nan", "\udcff", "\n",
)  # fmt: skip


def options(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "options", number)
    argv = list(draw.choice(COMMANDS))
    for _ in range(draw.choice((1, 1, 2))):
        place = draw.randrange(1, len(argv))
        what = draw.randrange(4)
        if what == 0:
            del argv[place]
        elif what == 1:
            argv.insert(place, draw.choice(STRANGE))
        elif what == 2:
            argv[place] = argv[place] + draw.choice(STRANGE)
        else:
            argv[place] = draw.choice(STRANGE)
        argv = argv if len(argv) > 1 else [*argv, "x"]
    if argv[0] == "run" and "--dry-run" not in argv:
        argv.append("--dry-run")
    files = {
        "rows.csv": corpus.csv(),
        "model": corpus.models()["knn"],
        "clusters.toml": b"[lab]\naddress = 'tls://lab:8786'\n",
        "results/records.jsonl": corpus.lines(corpus.records()),
    }
    files |= {f"history/{name}": content for name, content in corpus.history().items()}
    if argv[0] == "verify" and "--coverage" not in argv:
        argv.append("--coverage")
    # nothing in the folder of the campaign's own that a server or a live comparison would start from
    argv = [word for word in argv if word not in ("--serve", "-s", "--help", "-h")]
    return Case(" ".join(map(ascii, argv))[:200], argv, files)


REFERENCES = (
    "blobs?rows=300&clusters=3&seed=1", "blobs-2d?rows=300", "correlated?rows=300", "shifted?rows=300", "digits:4",
    "digits:3?scale=minmax&protocol=mixed-split", "mnist:4", "kdd-synthetic?rows=400&duplicates=keep", "kdd99",
    "nsl-kdd?scale=robust", "sensors?steps=9000&anomalies=2&window=16",
    "file:rows.csv?label=label&normal=normal&impute=mean&indicate=true&drop=kind",
    "file:rows.csv?label=label&normal=normal&window=8&stride=2&time=amount&test=0.4",
    "file:steps.csv?label=label&normal=normal&window=8&stride=2&time=when&test=0.3&scale=robust",
    "file:rows.csv?label=label&normal=normal&train_contamination=0.1&duplicates=drop&encoding=cp1252&decimal=comma",
)  # fmt: skip


def references(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "references", number)
    text = draw.choice(REFERENCES)
    for _ in range(draw.choice((1, 1, 2))):
        if draw.random() < 0.4:
            text = changed.bytes_of(text.encode(errors="replace"), draw).decode("utf-8", "replace")
        else:
            parts = re.split(r"([?&=:])", text)
            parts[draw.randrange(len(parts))] = draw.choice(STRANGE)
            text = "".join(parts)
    files = {"rows.csv": corpus.csv(), "steps.csv": corpus.csv_of_a_series()}
    return Case(f"reference {ascii(text)[:150]}", ["load", text], files)


LABELLED = "?label=label&normal=normal"


def delimited(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "csv", number)
    content = changed.bytes_of(draw.choice((corpus.csv(), corpus.csv_of_a_spreadsheet())), draw)
    more = draw.choice(("", "", "&bad_lines=skip", "&impute=mean&indicate=true", "&encoding=latin-1", "&text=count"))
    return Case("changed CSV", ["load", f"file:rows.csv{LABELLED}{more}"], {"rows.csv": content})


def parquet(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "parquet", number)
    content = changed.bytes_of(draw.choice((corpus.parquet(), corpus.parquet_plain())), draw)
    return Case("changed Parquet", ["load", f"file:rows.parquet{LABELLED}"], {"rows.parquet": content})


def arrays(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "arrays", number)
    name, good = draw.choice((("npy", corpus.npy()), ("npz", corpus.npz()), ("npz", corpus.npz_packed())))
    options = "?label=x1&normal=1" if name == "npy" else ""
    return Case(
        f"changed {name}", ["load", f"file:rows.{name}{options}"], {f"rows.{name}": changed.bytes_of(good, draw)}
    )


def idx(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "idx", number)
    files = dict(corpus.mnist())
    name = draw.choice(sorted(files))
    if draw.random() < 0.3:
        files[f"{name}.gz"] = changed.bytes_of(corpus.packed(files.pop(name)), draw)
    else:
        files[name] = changed.bytes_of(files[name], draw)
    return Case("changed IDX", ["load", "mnist:4"], {f"data/mnist/{key}": value for key, value in files.items()})


def kdd(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "kdd", number)
    content = changed.bytes_of(corpus.kdd(), draw)
    if draw.random() < 0.5:
        return Case("changed KDD99", ["load", "kdd99"], {"data/kddcup99/kddcup.data_10_percent": content})
    files = {"data/nsl-kdd/KDDTrain+.txt": content, "data/nsl-kdd/KDDTest+.txt": corpus.kdd()}
    return Case("changed NSL-KDD", ["load", "nsl-kdd"], files)


def rows(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "rows", number)
    name, good = draw.choice(
        (("rows.csv", corpus.csv()), ("rows.parquet", corpus.parquet()), ("rows.csv", corpus.csv_of_a_spreadsheet()))
    )
    options = draw.choice(([], ["--id", "kind"], ["--top", "0"], ["--out", "scores.csv"], ["--out", "scores.parquet"]))
    files = {name: changed.bytes_of(good, draw), "model": corpus.models()["norm"]}
    return Case("changed rows", ["score", "model", name, *options], files)


def models(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "models", number)
    good = draw.choice(list(corpus.models().values()))
    what = draw.random()
    if what < 0.6:
        content = corpus.with_card(good, changed.json_of(corpus.card_of(good), draw))
    elif what < 0.8:
        header, body = corpus.taken_apart(good)
        content = corpus.put_together(changed.json_of(header, draw), body)
    else:
        content = changed.bytes_of(good, draw)
    return Case("changed model", ["score", "model", "rows.csv"], {"model": content, "rows.csv": corpus.csv()})


def networks(seed: int, number: int) -> Case:
    """As ``models``, of a network: these load a framework and are fewer."""
    draw = changed.rng(seed, "networks", number)
    good = corpus.networks()["vae"]
    content = corpus.with_card(good, changed.json_of(corpus.card_of(good), draw))
    return Case("changed network", ["score", "model", "rows.csv"], {"model": content, "rows.csv": corpus.csv()})


def _records(seed: int, name: str, number: int) -> bytes:
    draw = changed.rng(seed, name, number)
    found = list(corpus.records())
    for _ in range(draw.choice((1, 2))):
        place = draw.randrange(len(found))
        found[place] = changed.json_of(found[place], draw)
    content = corpus.lines(found)
    return changed.bytes_of(content, draw) if draw.random() < 0.2 else content


READERS: tuple[tuple[str, ...], ...] = (
    ("report", "results", "--table", "quality"),
    ("report", "results", "--table", "throughput", "--format", "latex"),
    ("report", "results", "--table", "equality"),
    ("report", "results", "--pivot", "roc_auc", "--format", "csv"),
    ("export", "results", "--format", "pytest-benchmark"),
    ("export", "results", "--format", "github-action-benchmark", "--better", "higher"),
    ("export", "results", "--format", "csv"),
    ("compare", "good", "results"),
    ("compare", "results", "good", "--format", "junit"),
    ("compare", "results", "results", "--format", "markdown"),
    ("history", "add", "results", "--history", "made"),
)


def records(seed: int, number: int) -> Case:
    argv = READERS[number % len(READERS)]
    files = {"results/records.jsonl": _records(seed, "records", number)}
    if "good" in argv:
        files["good/records.jsonl"] = corpus.lines(corpus.records())
    return Case(" ".join(argv), argv, files)


def reports(seed: int, number: int) -> Case:
    argv = (("report", "results", "--format", "html"), ("report", "results"))[number % 4 == 0]
    return Case(" ".join(argv), argv, {"results/records.jsonl": _records(seed, "reports", number)})


def histories(seed: int, number: int) -> Case:
    import hashlib

    draw = changed.rng(seed, "histories", number)
    (name, good), *_ = corpus.history().items()
    if draw.random() < 0.6:
        lines = [json.loads(line) for line in good.splitlines()]
        place = draw.randrange(len(lines)) if draw.random() < 0.6 else 0
        lines[place] = changed.json_of(lines[place], draw)
        content = corpus.lines(lines)
    else:
        content = changed.bytes_of(good, draw)
    if draw.random() < 0.8:  # a name that fits, so that all of it is read
        digest = hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
        name = f"{name[:17]}{digest[:12]}.jsonl"
    argv = draw.choice((("history", "show"), ("history", "check"), ("history", "show", "--format", "csv")))
    return Case(" ".join(argv), argv, {f"history/{name}": content, **_others()})


def _others() -> dict[str, bytes]:
    return {f"history/{name}": content for name, content in corpus.history().items()}


def benchmarks(seed: int, number: int) -> Case:
    draw = changed.rng(seed, "benchmarks", number)
    good = corpus.pytest_benchmark()
    if draw.random() < 0.8:
        content = json.dumps(changed.json_of(good, draw)).encode()
    else:
        content = changed.bytes_of(json.dumps(good).encode(), draw)
    return Case("changed file", ["history", "add", "found.json", "--history", "made"], {"found.json": content})
