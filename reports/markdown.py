"""The report's sections, from the headline to how to run it again. Every word from outside passes ``markup``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from reports import DISTRIBUTION, numbers, trial_equality
from reports.columns import cell, heading, sides, varying
from reports.figures import MOST_DATASETS, Figure
from reports.frames import BLOCK, Row, rows, split
from reports.headline import COLLAPSED, TRIVIAL, headline
from reports.markup import code, escape, fenced, listing, name, table
from reports.tables import QUALITY, SANITY, Standing, failures, held, mapping, number, standings
from reports.throughput import section as throughput_section

Records = Sequence[Mapping[str, Any]]

HEADS = {"roc_auc": "ROC AUC", "average_precision": "AP", "f1": "F1", "precision": "precision", "recall": "recall"}


def render(
    trials: pd.DataFrame,
    quality: pd.DataFrame,
    throughput: pd.DataFrame,
    records: Records,
    figures: Sequence[Figure],
    warnings: Sequence[str],
) -> str:
    """The whole report as Markdown; the same arguments give the same text."""
    suites = [code(suite) for suite in trials["suite"].drop_duplicates() if suite]
    equalities = trial_equality.equalities(trials, records)
    sections = [
        f"# Benchmark report{': ' + listing(suites) if suites else ''}",
        *_alerts(trials, [*trial_equality.alerts(equalities), *map(escape, warnings)]),
        headline(trials, quality, throughput),
        *_quality(trials, quality, records, figures),
        *throughput_section(trials, throughput, records, figures),
        *trial_equality.section(equalities),
        *_failures(trials),
    ]
    if not trials.empty:
        sections += [*_environment(trials, records), *_reproduce(trials, records), _MEANING]
    return "\n\n".join(sections) + "\n"


def _label(environment: str) -> str:
    return f" · environment {environment}" if environment else ""


# ---------------------------------------------------------------------------------------------------------- warnings


def _alerts(trials: pd.DataFrame, more: Iterable[str]) -> list[str]:
    """One block of everything a reader has to know first; ``more`` is Markdown already."""
    lines = []
    labels = [label for label in trials["environment"].drop_duplicates() if label]
    if labels:
        lines.append(
            f"**These records come from {len(labels)} different environments ({listing(labels)}).** They are shown "
            "apart and never averaged; differences between them are differences of machines or versions too. "
            "[Environment](#environment) tells them apart."
        )
    known = trials[trials["checksum"] != ""]
    changed = known.groupby(["dataset", "seed"])["checksum"].nunique()
    for dataset, seed, count in changed[changed > 1].reset_index().itertuples(index=False, name=None):
        lines.append(f"The rows of {code(dataset)} with seed {seed:.0f} changed between trials: {count} checksums.")
    lines += more
    return ["> [!WARNING]\n" + "\n>\n".join(f"> {line}" for line in lines)] if lines else []


# ----------------------------------------------------------------------------------------------------------- quality


def _quality(trials: pd.DataFrame, quality: pd.DataFrame, records: Records, figures: Sequence[Figure]) -> list[str]:
    if quality.empty:
        return []
    seeds = (
        "**mean over seeds ± standard deviation over seeds**"
        if (quality["seeds"] > 1).any()
        else "the value of one seed"
    )
    intro = (
        f"Each cell holds {seeds}, then in brackets the **95 % interval** over the test rows (bootstrap, averaged over "
        "seeds). **Bold**: the best detector; no other's interval reaches its own, and no other's best seed its worst. "
        "**≈**: cannot be told apart from the best. Precision and recall are two ends of one trade and carry no such "
        "marks."
    )
    if len(quality[BLOCK].drop_duplicates()) > MOST_DATASETS:
        intro += f" Figures are drawn for the first {MOST_DATASETS} data sets."
    parts = ["## Quality", intro]
    standing: dict[tuple[str, ...], Standing] = {(s.environment, s.dataset): s for s in standings(quality)}
    finished = dict(split(trials[trials["status"] == "ok"], BLOCK))
    for key, block in split(quality, BLOCK):
        environment, dataset = key
        own = [records[i] for i in finished[key]["position"]]
        splits = [records[i] for i in finished[key].drop_duplicates(["seed", "checksum"])["position"]]
        first = [records[i] for i in finished[key].drop_duplicates("scenario")["position"]]
        parts += [
            f"### {code(dataset)}{_label(environment)}",
            _data_sentence(splits, block),
            _quality_table(block),
            *_findings(block, standing.get(key), own, first, splits),
            *(f.image for f in figures if (f.environment, f.dataset) == key),
        ]
    return parts


def _quality_table(part: pd.DataFrame) -> str:
    shown = varying(rows(part[part["backend"] != ""]))
    places = {m: numbers.decimals((part[f"{m}_high"] - part[f"{m}_low"]) / 2) for m in QUALITY}
    header = ["detector", "backend", *map(heading, shown), *HEADS.values(), "seeds", "notes"]
    body = [
        [
            code(row["detector"]),
            name(row["backend"]),
            *(cell(row, key) for key in shown),
            *(_quality_cell(row, m, places[m]) for m in QUALITY),
            f"{row['seeds']}" if row["seeds"] == row["asked"] else f"{row['seeds']} of {row['asked']}",
            ", ".join(_remarks(row)) or numbers.MISSING,
        ]
        for row in rows(part)
    ]
    return table(header, body, "ll" + sides(shown) + "r" * (len(QUALITY) + 1) + "l")


def _quality_cell(row: Row, metric: str, places: int) -> str:
    if not math.isfinite(row[metric]):
        return numbers.MISSING
    spread = row[f"{metric}_sd"]
    value = numbers.fixed(row[metric], places)
    if math.isfinite(spread):
        value += f"{numbers.GLUE}±{numbers.GLUE}{numbers.fixed(spread, places)}"
    if row.get(f"{metric}_sole"):
        value = f"**{value}**"
    elif row.get(f"{metric}_top"):
        value = f"≈{numbers.GLUE}{value}"
    return f"{value} {numbers.interval(row[f'{metric}_low'], row[f'{metric}_high'], places)}".rstrip()


def _remarks(row: Row) -> list[str]:
    found = ["sanity line"] if row["detector"] in SANITY else []
    if row["roc_auc"] < 0.5:
        found.append("worse than chance")
    if row["collapsed"]:
        found.append("**collapsed**" + (f" in {row['collapsed']} of {row['trials']}" if row["trials"] > 1 else ""))
    if row["oracle"]:
        found.append("oracle threshold")
    return found


def _data_sentence(records: Records, block: pd.DataFrame) -> str:
    data = [mapping(held(record, "data")) for record in records]

    def count(key: str) -> str:
        return numbers.span(value for d in data if isinstance(value := d.get(key), (int, float)))

    anomalies, rows_tested = (sum(number(d.get(key)) for d in data) for key in ("anomalies", "test_rows"))
    share = f" ({numbers.significant(100 * anomalies / rows_tested)} %)" if rows_tested > 0 else ""
    text = (
        f"{count('train_rows')} training, {count('val_rows')} validation and {count('test_rows')} test rows of "
        f"{count('features')} features; {count('anomalies')} of the test rows are anomalies{share}."
    )
    for label, words in (
        ("Source", [d.get("source") for d in data]),
        ("Protocol", [d.get("protocol") for d in data]),
        ("Threshold", list(block["threshold_rule"])),
    ):
        if distinct := _distinct(words):
            text += f" {label}: {'; '.join(escape(w).rstrip('.') for w in distinct)}."
    return text


def _distinct(words: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(word) for word in words if word))


def _findings(
    block: pd.DataFrame, standing: Standing | None, records: Records, first: Records, splits: Records
) -> list[str]:
    """The warnings, the settings and the notes below a table, one bullet each.

    ``first`` has one record a scenario, ``splits`` one for each split of the data.
    """
    lines = []
    if standing and standing.trivial and not standing.by_chance:
        lines.append(f"**Trivial data set.** {TRIVIAL}")
    if standing and "norm" not in set(block["detector"]):
        lines.append("The sanity line `norm` has no result here, so nothing tells whether this data set is trivial.")
    if (block["collapsed"] > 0).any():
        lines.append(f"**Collapsed posterior.** {COLLAPSED}")
    if block["oracle"].any():
        lines.append(
            "**Oracle threshold**: tuned on the test labels, so F1, precision and recall are out of competition."
        )
    several = "batch" in varying(rows(block[block["backend"] != ""]), ["batch"])
    lines += _by_detector(first, lambda record: [_settings(record, {"batch_size"} if several else set())], str)
    for note in _distinct(note for record in splits for note in _listed(mapping(held(record, "data")).get("notes"))):
        lines.append(f"Data: {escape(note)}")
    lines += _by_detector(records, lambda record: _listed(record.get("notes")), escape)
    lines += _early_stopping(records)
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _by_detector(
    records: Records, words: Callable[[Mapping[str, Any]], list[Any]], write: Callable[[object], str]
) -> list[str]:
    """``vae and autoencoder: text``: each distinct text once, with the detectors it holds for."""
    owners: dict[str, dict[str, None]] = {}
    for record in records:
        for text in filter(None, words(record)):
            owners.setdefault(str(text), {})[str(record.get("detector") or "")] = None
    return [f"{listing([code(d) for d in detectors])}: {write(text)}" for text, detectors in owners.items()]


def _settings(record: Mapping[str, Any], told: Set[str]) -> str:
    """All but those that have a column already."""
    settings = {"score": record.get("score"), **mapping(held(record, "settings"))}
    return ", ".join(
        code(f"{key}={_plain(value)}") for key, value in settings.items() if value not in (None, []) and key not in told
    )


def _early_stopping(records: Records) -> list[str]:
    """``vae on torch: early stopping after 17–23 of 50 epochs, the weights of epochs 14–20 restored``."""
    ends: dict[tuple[str, str, float], list[tuple[int, int]]] = {}
    for record in records:
        best = number(record.get("best_epoch"))
        if math.isfinite(best) and math.isfinite(epochs := number(mapping(held(record, "settings")).get("epochs"))):
            owner = str(record.get("detector") or ""), str(record.get("backend") or ""), epochs
            ends.setdefault(owner, []).append((len(_listed(held(record, "loss"))), int(best) + 1))
    return [
        f"{code(detector)} on {code(backend)}: early stopping after {numbers.span(ran for ran, _ in found)} of "
        f"{epochs:.0f} epochs, with the weights of epoch {numbers.span(best for _, best in found)}."
        for (detector, backend, epochs), found in ends.items()
    ]


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


# ---------------------------------------------------------------------------------------------------------- failures


def _failures(trials: pd.DataFrame) -> list[str]:
    failed = failures(trials)
    if failed.empty:
        return []
    columns = varying(rows(failed), ("environment", "threads", "arithmetic", "batch", "variant"))
    body = [
        [
            *(cell(row, key) for key in ("dataset", "detector", "backend", "mode", "device", *columns)),
            numbers.ranges(row["seeds"]),
            f"{row['trials']}",
            code(row["status"]),
            escape(row["reason"]) or numbers.MISSING,
        ]
        for row in rows(failed)
    ]
    header = ["data set", "detector", "backend", "mode", "device", *map(heading, columns)]
    header += ["seeds", "trials", "status", "reason"]
    return ["## Failed and skipped trials", table(header, body, "l" * 5 + sides(columns) + "lrll")]


# ------------------------------------------------------------------------------------------- environment, reproduction


def _environment(trials: pd.DataFrame, records: Records) -> list[str]:
    """One column for each environment; where they differ, the row says so."""
    columns: dict[str, dict[str, str]] = {}
    for row in rows(trials.drop_duplicates(["environment", "backend"])):
        found = columns.setdefault(row["environment"], {"environment hash": code(row["environment_hash"][:12])})
        environment = mapping(held(records[row["position"]], "environment"))
        parts = {
            "": {key: environment.get(key) for key in (DISTRIBUTION, "revision")},
            "machine ": mapping(environment.get("machine")),
            "package ": mapping(environment.get("packages")),
            f"{row['backend'] or 'classical'} reports ": mapping(environment.get("backend")),
        }
        for prefix, values in parts.items():
            for key, value in values.items():
                if value is not None:
                    found.setdefault(prefix + str(key).removesuffix("_bytes"), _environment_value(str(key), value))
    keys = dict.fromkeys(key for found in columns.values() for key in found)
    body = []
    for key in keys:
        cells = [found.get(key, numbers.MISSING) for found in columns.values()]
        body.append([escape(key), *cells, *(["≠" if len(set(cells)) > 1 else "="] if len(columns) > 1 else [])])
    header = ["", *(label or "value" for label in columns), *(["same"] if len(columns) > 1 else [])]
    return ["## Environment", table(header, body, "l" * len(header))]


def _environment_value(key: str, value: object) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, Mapping):
        return escape(", ".join(f"{k} {v}" for k, v in value.items() if v is not None)) or numbers.MISSING
    return escape(value) or numbers.MISSING


def _reproduce(trials: pd.DataFrame, records: Records) -> list[str]:
    firsts = [records[i] for i in trials.drop_duplicates(["environment", "dataset", "detector", "backend"])["position"]]
    commands = _distinct(record.get("command") for record in records)
    started = sorted(_distinct(record.get("started") for record in records))
    revisions = _distinct(mapping(held(record, "environment")).get("revision") for record in firsts)
    versions = _distinct(mapping(held(record, "environment")).get(DISTRIBUTION) for record in firsts)
    said = [
        f"{DISTRIBUTION} {escape(', '.join(versions)) or 'of unknown version'}",
        f"revision {escape(', '.join(revisions))}" if revisions else "",
        f"seeds {numbers.ranges(trials['seed'].unique())}",
        f"{trials['round'].nunique()} round{'s' if trials['round'].nunique() > 1 else ''}",
        f"first trial started {escape(started[0])}" if started else "",
    ]
    parts = ["## How to reproduce", f"{'; '.join(filter(None, said))}."]
    if commands:
        parts.append(fenced(commands))
    known = trials[trials["checksum"] != ""]
    if not known.empty:
        body = [
            [code(dataset), numbers.ranges(part["seed"].unique()), code(checksum[:16])]
            for (dataset, checksum), part in split(known, ["dataset", "checksum"], sort=True)
        ]
        parts += [
            "The checksum covers all arrays of a data set as its seed splits them.",
            table(["data set", "seeds", "checksum"], body, "lll"),
        ]
    files = {
        (str(f.get("name")), str(f.get("sha256")))
        for record in firsts
        for f in map(mapping, _listed(mapping(held(record, "data")).get("files")))
        if f
    }
    if files:
        parts.append(table(["file read", "SHA-256"], [[code(n), code(s)] for n, s in sorted(files)], "ll"))
    return parts


_MEANING = """\
## What the numbers mean and do not

- ROC AUC and AP judge the ranking of the test rows; F1, precision and recall judge one threshold, which is set \
without test labels unless marked as oracle.
- An interval that overlaps another does not show that two detectors are equal, only that these trials cannot tell \
them apart. Overlap is a cautious test: all detectors see the same test rows, which a paired comparison would use.
- Many data sets and detectors mean many comparisons; a few of the differences shown here may be luck.
- Throughput holds for this machine, these sizes of network and batch, and these versions; a larger network may turn \
the order of the backends around.
- The backends are written to be the same model from the same initial weights; what was proved of it, with the same \
batches and noise in each, stands under Equality. Trials with `random_source=native` draw their own, so scores differ \
as between seeds: quality should agree within that, and a gap beyond it is a fault to look for, not a merit of a \
framework."""
