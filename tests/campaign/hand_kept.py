"""Bad input by hand in files that ``bench`` itself keeps, or others like it: models, records, histories."""

from __future__ import annotations

import json
import struct
from typing import Any

from campaign import corpus
from campaign.cases import Case

DEEP = 100_000


def cases() -> list[Case]:
    return [*models(), *records(), *histories()]


def models() -> list[Case]:
    knn, card = corpus.models()["knn"], corpus.card_of(corpus.models()["knn"])
    header, body = corpus.taken_apart(knn)

    def model(name: str, content: bytes) -> Case:
        files = {"model": content, "rows.csv": corpus.csv()}
        return Case(f"model: {name}", ["score", "model", "rows.csv"], files, refused=True)

    def changed(name: str, *path: Any, value: Any) -> Case:
        found = json.loads(json.dumps(card))
        inner = found
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return model(name, corpus.with_card(knn, found))

    deep = corpus.put_together(header | {"__metadata__": {"vaebench": "[" * DEEP}}, body)
    huge = dict(header, rows={**header["rows"], "data_offsets": [0, 2**62]})
    scenario = card["scenario"]
    return [
        model("empty", b""),
        model("a pickle", b"\x80\x04cos\nsystem\n(S'touch called'\ntR."),
        model("a header of 2**63 bytes", struct.pack("<Q", 2**63) + b"{}"),
        model("a header beyond the file", struct.pack("<Q", 10**6) + b"{}"),
        model("a header nested deep", struct.pack("<Q", DEEP) + b"[" * DEEP),
        model("metadata nested deep", deep),
        model("arrays beyond the file", corpus.put_together(huge, body)),
        model("no metadata", corpus.put_together({k: v for k, v in header.items() if k != "__metadata__"}, body)),
        changed("another format", "format", value=99),
        changed("a classical detector with a backend", "scenario", value={**scenario, "backend": "torch"}),
        changed("a classical detector with a mode", "scenario", value={**scenario, "mode": "tuned"}),
        changed("empty training", "scenario", "training", value={}),
        changed("foreign scores", "scores", value=["reconstruction"]),
        changed("two scores of one name", "scores", value=["decision", "decision"]),
        changed("10**12 neighbours", "scenario", "parameters", value={"n_neighbors": 10**12}),
        changed("more neighbours than rows", "scenario", "parameters", value={"n_neighbors": 10**6}),
        changed("parameters of another detector", "scenario", "parameters", value={"n_estimators": 3}),
        changed("a detector that is none", "scenario", "detector", value="conv_knn"),
        changed("another detector", "scenario", "detector", value="vae"),
        changed("no thresholds", "scenario", "thresholds", value=[]),
        changed("a level that is none", "levels", value=[None]),
        changed("10**15 rows", "train_rows", value=10**15),
        changed("a seed below nothing", "seed", value=-1),
        changed("an image of no pixels", "image", value=[0, 0]),
        changed("a scale that is none", "preprocessing", "scale", value="\x1b[31mstandard"),
        changed("columns of another count", "preprocessing", "numeric", value=["amount"]),
        changed("columns twice", "preprocessing", "numeric", value=["amount", "amount"]),
    ]


def records() -> list[Case]:
    good = corpus.lines(corpus.records())
    deep = b'{"schema": 1, "metrics": ' + b"[" * DEEP + b"\n"
    first = corpus.records()[0]
    escape = corpus.lines([dict(first, dataset="\x1b[31m\u202e", detector="x\x9b")])
    found = []
    for name, content in (
        ("nothing", b""), ("nested deep", deep),
        ("a line of 200 MB", lambda: good + b'{"schema": 1, "x": "' + b"a" * (200 << 20)),
        ("NUL bytes", b"\0" * 4096 + b"\n"), ("another schema", corpus.lines([dict(first, schema=99)])),
        ("an array", b"[1, 2]\n"), ("names with escapes", escape), ("bytes of no text", b'{"schema":1,"x":"\xff"}\n'),
        ("numbers beyond all floats", good.replace(b"0.93", b"1e999")),
        ("5,000 digits", b'{"schema": ' + b"1" * 5000 + b"}\n"),
        ("metrics of texts", corpus.lines([dict(first, metrics={"roc_auc": "high"})])),
        ("metrics that are no numbers", good.replace(b"0.93", b"NaN")),
        ("arrays elsewhere", corpus.lines([dict(first, arrays="../../etc/passwd")])),
        ("a date that is none", corpus.lines([dict(first, started="yesterday")])),
        ("a machine that is none", corpus.lines([dict(first, environment=[1])])),
        ("a status that is none", corpus.lines([dict(first, status="\u202e")])),
    ):  # fmt: skip
        for argv in (
            ("report", "r", "--table", "quality"), ("export", "r", "--format", "csv"), ("compare", "r", "r"),
            ("history", "add", "r", "--history", "made"), ("export", "r", "--format", "pytest-benchmark"),
        ):  # fmt: skip
            found.append(Case(f"records: {name}: {argv[0]}", argv, {"r/records.jsonl": content}))
    found.append(Case("records: none", ["report", "r"], refused=True))
    return found


def histories() -> list[Case]:
    (name, good), *_ = corpus.history().items()
    deep = b"[" * DEEP

    def history(title: str, content: bytes, file: str = name) -> Case:
        return Case(f"history: {title}", ["history", "show"], {f"history/{file}": content}, refused=True)

    def benchmark(title: str, content: bytes) -> Case:
        return Case(f"pytest-benchmark: {title}", ["history", "add", "f.json"], {"f.json": content}, refused=True)

    told = corpus.pytest_benchmark()

    def spoilt(title: str, **changes: Any) -> Case:
        return benchmark(title, json.dumps(told | changes).encode())

    stats = told["benchmarks"][0]["stats"]
    return [
        history("empty", b""), history("nested deep", deep), history("torn", good[:-5]),
        history("a name of its own", good, "mine.jsonl"), history("left over from a merge", b"<<<<<<< HEAD\n" + good),
        history("17 MiB", b"\n" * (17 << 20)), history("bytes of no text", b"\xff" * 100),
        Case("history: none", ["history", "check"], refused=True),
        Case("history: a file", ["history", "check", "--history", "x"], {"x": b""}, refused=True),
        benchmark("empty", b""), benchmark("nested deep", deep), benchmark("an array", b"[]"),
        benchmark("5,000 digits", b'{"benchmarks": ' + b"1" * 5000 + b"}"), benchmark("bytes of no text", b"\xff" * 99),
        spoilt("no benchmarks", benchmarks=[]), spoilt("a date that is none", datetime="yesterday"),
        spoilt("a median that is none", benchmarks=[{"fullname": "x", "stats": stats | {"median": float("nan")}}]),
        spoilt("a median below nothing", benchmarks=[{"fullname": "x", "stats": stats | {"median": -1}}]),
        spoilt("a name of 100,000 characters", benchmarks=[{"fullname": "x" * 100_000, "stats": stats}]),
        spoilt("rounds below nothing", benchmarks=[{"fullname": "x", "stats": stats | {"rounds": -5}}]),
    ]  # fmt: skip
