"""The document: both writers say the same, sections stand once, and rooms import one way."""

from __future__ import annotations

import ast
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from safetensors.numpy import save_file

import reports
from reports.document import SECTIONS, document
from reports.tables.material import Material
from reports.writers import markdown

ROOT = Path(reports.__file__).parent
MAY_IMPORT = {
    "numbers": (),
    "blocks": ("numbers",),
    "palette": (),
    "arrays": (),
    "tables": ("numbers", "blocks", "palette", "arrays"),
    "sections": ("numbers", "blocks", "palette", "arrays", "tables"),
    "figures": ("numbers", "blocks", "palette", "history", "tables.resampling"),
    "history": ("numbers", "blocks"),
    "writers": ("numbers", "blocks"),
    "document": ("numbers", "blocks", "tables", "sections"),
    "excerpt": ("numbers", "blocks", "tables", "sections", "writers"),
    "printed": ("numbers", "blocks", "tables", "sections", "writers"),
}
"""What each room of the package takes from the others; ``surveys``, which reads records, is below all of them."""


@pytest.fixture(scope="module")
def rich(run: Any, record: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """Records with everything that a report has a table for, and the folder of their arrays."""
    folder = tmp_path_factory.mktemp("results")
    labels = (np.arange(200) % 5 == 0).astype(np.uint8)
    records = run(["digits:4", "kdd|99"], seeds=[0, 1])
    for place, one in enumerate(records):
        scores = np.random.default_rng(place % 7).standard_normal(200) + labels
        kind = "elbo" if one["backend"] else "decision"
        save_file({f"score.{kind}": scores.astype(np.float32), "y_test": labels}, folder / f"{place}")
        one["arrays"] = f"{place}"
        one["notes"] = ["ran on *half* of the rows"]
        one["marks"] = ["noisy"] if place % 3 == 0 else []
    features = [{"name": "a|b<i>", "share": 0.62, "value": 3.1, "reconstruction": -0.2}]
    records[0]["top_anomalies"] = [{"row": 17, "score": 12.5, "anomaly": True, "features": features}]
    counts = {"tn": 90, "fp": 8, "fn": 2, "tp": 8}
    metrics = {"f1": 0.7, "precision": 0.5, "recall": 0.8, "accuracy": 0.91, "threshold": 1.0}
    level = {"rule": "percentile 95", "metrics": metrics, "confusion": counts}
    records[0]["thresholds"] = [level, level | {"rule": "oracle: largest F1", "oracle": True}]
    claim = {
        **{"verified": "2026-11-22", "quick": False, "precision": "float32", "device": "cpu", "mode": "idiomatic"},
        **{"passed": True, "backends": {"torch": {"torch": "2.13.0"}, "jax": {"jax": "0.1"}}, "steps": 500},
        "errors": {"forward": [3e-16, 1e-13], "training: weights": [2e-6, None]},
    }
    for one in records:
        one["equality"] = [claim] if one["backend"] else None
    records += [record(backend=b, mode="tuned", speed=200_000.0, seed=s) for b in ("torch", "jax") for s in (0, 1)]
    records += [record("blobs", batch=batch, speed=1e4 * batch**0.5, mode="tuned") for batch in (32, 128, 512)]
    records += [record(f"blobs?rows={rows}", rows=rows) for rows in (10_000, 100_000, 1_000_000)]
    entry = {"datasets": ["wine"], "metric": "roc_auc", "value": 0.8, "source": "A | thesis", "protocol": "x"}
    records += [
        record("wine", auc=auc, protocol=p, scenario_hash=p, published=[entry]) for p, auc in (("a", 0.7), ("b", 0.9))
    ]
    records.append(record("kdd|99", status="failed", reason="out of `memory` | <b>", seed=9))
    return records, folder


def unescaped(text: str) -> str:
    """A cell of a Markdown table as it is read."""
    (token,) = MarkdownIt("commonmark").parseInline(text.strip().replace(r"\|", "|"))
    return " ".join("".join(child.content for child in token.children or []).split())


def tables_of_markdown(text: str) -> list[list[list[str]]]:
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        found.append([[unescaped(cell) for cell in line] for line in [lines[0], *lines[2:]]])
    return found


class Places(HTMLParser):
    """The keys of a page's tables, in the order in which they stand, and the page's data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.data = ""
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.inside = tag == "script" and found.get("id") == "data"
        if key := found.get("data-grid"):
            self.keys.append(key)

    def handle_data(self, data: str) -> None:
        self.data += data if self.inside else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = False


def tables_of_page(text: str) -> list[list[list[str]]]:
    places = Places(text)
    tables = json.loads(places.data)["tables"]
    assert list(tables) == places.keys
    found = []
    for grid in tables.values():
        heads = [column["title"] for column in grid["columns"]]
        lines = [[read(cell) for cell in row] for row in grid["rows"]]
        found.append([[" ".join(cell.split()) for cell in line] for line in [heads, *lines]])
    return found


def read(cell: Any) -> str:
    return cell if isinstance(cell, str) else f"{cell['t']} {cell.get('s', '')}"


def reports_shelf(folder: Path) -> Any:
    from reports.arrays import Shelf

    return Shelf(folder)


@pytest.fixture(scope="module")
def both(rich: tuple[list[dict[str, Any]], Path]) -> tuple[str, str]:
    """What the two writers make of the same records: Markdown and the page."""
    records, folder = rich
    text = markdown.written(document(Material(records, reports_shelf(folder))))
    return text, reports.page(records, directory=folder).decode()


def test_both_writers_have_the_same_tables_cell_by_cell(both: tuple[str, str]) -> None:
    text, page = both
    ours, theirs = tables_of_markdown(text), tables_of_page(page)
    assert len(ours) == len(theirs) > 25
    for one, other in zip(ours, theirs, strict=True):
        assert one == other, one[0]
    heads = [tuple(table[0]) for table in ours]
    for wanted in ("detected", "p (Holm)", "called anomaly", "threshold", "source", "× as fast", "seconds by phase"):
        assert any(wanted in head for head in heads), f"no table has {wanted}"


def test_both_writers_have_the_same_sections_in_the_same_order(both: tuple[str, str]) -> None:
    text, page = both
    ours = [unescaped(title) for title in re.findall(r"^#{2,4} (.+)$", text, re.MULTILINE)]
    main = page.split("<main>")[1].split("</main>")[0]
    heads = re.findall(r"<h[234][^>]*>(.*?)</h[234]>", main)
    assert [html.unescape(re.sub(r"<[^>]+>", "", head)) for head in heads] == ours
    folds = re.findall(r"<summary>(.*?)</summary>", text)
    assert re.findall(r"<summary>(.*?)</summary>", main) == [fold for fold in folds if fold != "Contents"]


def test_every_section_is_a_file_of_its_own_named_once() -> None:
    files = [section.__module__.rpartition(".")[2] for section in SECTIONS]
    assert len(set(files)) == len(files)
    declared = {path.stem for path in (ROOT / "sections").glob("*.py") if "\ndef section(" in path.read_text()}
    assert set(files) == declared


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "reports":
            inner = node.module.partition(".")[2]
            found |= {".".join(filter(None, [inner, alias.name])) for alias in node.names}
    return found


def test_rooms_import_one_way() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for name in imported(path) if room in MAY_IMPORT else ():
            other = name.split(".")[0]
            if other in MAY_IMPORT and other != room:
                known = MAY_IMPORT[room]
                assert other in known or any(name.startswith(one) for one in known), f"{path}: {name}"


def test_the_first_screen_answers_in_three_sentences_and_a_figure(rich: tuple[list[dict[str, Any]], Path]) -> None:
    records, folder = rich
    shown = document(Material(records, reports_shelf(folder))).answer
    sentences = re.split(r"(?<=[.:])\*{0,2} (?=[*\ue000A-Z])", shown[0].text)  # type: ignore[union-attr]
    assert len(sentences) <= 3
    assert "detects best" in sentences[0] or "No detector" in sentences[0]
    assert "trains fastest" in sentences[1]
    assert "did not end well" in sentences[2]
    data = shown[1].screen()  # type: ignore[union-attr]
    assert data["quality"]
    for line in (line for panel in (*data["quality"], data["rates"]) for line in panel["lines"]):
        assert line["low"] is None or line["low"] <= line["value"] <= line["high"]
    assert {line["label"].split(" · ")[0] for line in data["rates"]["lines"]} >= {"torch", "jax"}


def test_a_report_over_forty_sets_is_read_from_the_top(record) -> None:
    """Ranks, then one wide table with the best marked, then each data set, folded."""
    aucs = {"vae": 0.90, "knn": 0.80, "norm": 0.70}
    made = []
    for number in range(40):
        own = aucs | ({"knn": 0.95} if number < 10 else {})
        for detector, auc in own.items():
            backend = "torch" if detector == "vae" else None
            value = {"metrics": {"roc_auc": auc}, "intervals": {"roc_auc": [auc - 0.01, auc + 0.01]}}
            one = record(dataset=f"file:set{number:02}.npz", detector=detector, backend=backend, **value)
            # on one set a detector has failed: the set leaves the ranks, and not the detector
            failed = {"status": "failed", "reason": "no memory"} if (number, detector) == (39, "knn") else {}
            made.append(one | {"scenario_hash": f"{detector}{number}"} | failed)
    page = markdown.written(document(Material(made)))
    ranks, quality = page.index("## Ranks over data sets"), page.index("## Quality")
    assert ranks < quality
    assert "3 detectors on 39 data sets" in page
    assert "Left out: 1 data set without a result of each" in page
    lines = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
             for line in page[ranks : page.index("How sure")].splitlines() if line.startswith("| `")}  # fmt: skip
    # 29 sets where vae leads and 10 where knn does: (29 + 20) / 39 and (58 + 10) / 39
    assert lines["`vae`"] == ["1.26", "1", "29"]
    assert lines["`knn`"] == ["1.74", "2", "10"]
    assert lines["`norm`"] == ["3.00", "3", "0"]
    wide = [line for line in page[quality:].splitlines() if line.startswith("| `file:set")][:40]
    assert len(wide) == 40
    assert [cell.strip() for cell in wide[0].split("|")[2:-1]].count("**0.950**") == 1
    assert "**0.900**" in wide[39]
    assert "—" in wide[39]
    first = page.index("### `file:set00.npz`")
    assert page.index(wide[39]) < first
    assert page[first:].split("\n", 3)[2].startswith("<details>")


def test_a_report_on_few_sets_keeps_its_order_and_is_open(record) -> None:
    made = [
        record(dataset=f"d{number}", detector=detector, backend=None) | {"scenario_hash": f"{detector}{number}"}
        for number in range(4)
        for detector in ("knn", "norm", "mahalanobis")
    ]
    page = markdown.written(document(Material(made)))
    assert page.index("## Quality") < page.index("## Ranks over data sets")
    assert page[page.index("### `d0`") :].split("\n", 3)[2] != "<details>"


def replaced(value: Any, by: float) -> Any:
    """The value with every number in it replaced."""
    if isinstance(value, dict):
        return {key: replaced(one, by) for key, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, by) for one in value]
    return by if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.parametrize("number", [1e300, -1e300])
def test_numbers_that_nobody_can_have_measured_break_no_table(record: Any, number: float) -> None:
    first, *others = (record(detector=name, seed=seed) for name in ("vae", "knn") for seed in (0, 1))
    for key, value in first.items():
        broken = first | {key: replaced(value, number)}
        if broken != first:
            markdown.written(document(Material([broken, *others], reports_shelf(Path()))))
