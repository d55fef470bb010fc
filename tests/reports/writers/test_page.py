"""The HTML report without a browser: bytes, policy, hostile and damaged records, and counts against scikit-learn's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.metrics import confusion_matrix

import reports
from reports.arrays import Shelf
from reports.tables import counts
from reports.writers.page import page

NAMES = (
    "<script>alert(1)</script>",
    "</script><!--<img src=x onerror=alert(1)>",
    "a|b\n`c` [d](javascript:alert(1)) ![e](http://example.org/x.png)",
    "x" * 300,
    "‮abc\u2028\u2029",
    '"><b onmouseover=alert(1)> & %{x} {{y}} $title',
)


class Tags(HTMLParser):
    """Tags with their attributes, and the text of the elements asked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.inside = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data


def rendered(records: list[dict[str, Any]], folder: Path = Path("."), **more: Any) -> str:
    return reports.page(records, directory=folder, **more).decode()


def data_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Tags(text).scripts[0])
    return found


def test_the_same_records_give_the_same_bytes(run: Any) -> None:
    assert reports.page(run(detectors=["vae", "knn"])) == reports.page(run(detectors=["vae", "knn"]))


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(run: Any) -> None:
    tags = Tags(rendered(run(detectors=["vae", "knn"])))
    (policy,) = (attributes["content"] for tag, attributes in tags.tags if "http-equiv" in attributes)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in tags.scripts[1:]]
    assert rules["script-src"].split() == hashes
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "connect-src" not in rules
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
    links = [attributes.get(key) for _, attributes in tags.tags for key in ("src", "href") if key in attributes]
    assert all(link is not None and link.startswith(("#", "data:")) for link in links)


def test_only_a_served_page_listens_to_its_server(run: Any) -> None:
    records = run(seeds=[0], detectors=["knn"])
    assert "EventSource" not in rendered(records)
    live = rendered(records, live=True)
    assert "EventSource" in live
    assert "connect-src 'self'" in live


def kinds(page: Tags) -> Counter[tuple[str, ...]]:
    return Counter((tag, *attributes) for tag, attributes in page.tags)


def page_of(word: str, record: Any) -> Tags:
    """A page on which this word stands wherever a word of a user can stand."""
    records = [record(word, word, "torch", auc=0.9), record(word, "knn"), record("b", word, "jax", auc=0.8)]
    records[0] |= {"suite": word, "command": word, "mode": word, "notes": [word], "threshold_rule": word}
    records[0]["environment"]["machine"]["cpu"] = word
    records.append(record(word, status="failed", reason=word, seed=5, environment_hash=word))
    return Tags(rendered(records, warnings=[word]))


@pytest.fixture(scope="module")
def plain(record: Any) -> Tags:
    return page_of("plain", record)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_try_to_break_out_add_no_tag(plain: Tags, record: Any, name: str) -> None:
    hostile = page_of(name, record)
    # where a row stands may follow its name, so what there is counts, not where
    assert kinds(hostile) == kinds(plain)
    json.loads(hostile.scripts[0])
    assert hostile.scripts[1:] == plain.scripts[1:]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
KEYS = (
    "phases",
    "thresholds",
    "top_anomalies",
    "histogram",
    "roc_curve",
    "loss",
    "limits",
    "data",
    "arrays",
    "score",
    "other_scores",
)


@settings(max_examples=5, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), junk, min_size=1))
def test_damaged_records_are_shown_as_far_as_they_go(record: Any, changes: dict[str, Any]) -> None:
    data_of(rendered([record("digits:4"), record("digits:4", "knn") | changes, record("blobs") | changes]))


@pytest.mark.parametrize("records", [[], [{"schema": 1}]])
def test_nothing_to_report_is_said(records: list[dict[str, Any]]) -> None:
    assert re.search(r"no records|No trial finished", rendered(records))


# ------------------------------------------------------------------------------------------------------ scores, arrays

scores_and_labels = st.lists(st.tuples(st.floats(-50, 50, width=16), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@settings(deadline=None)
@given(scores_and_labels, st.floats(-60, 60))
def test_counts_at_a_threshold_are_those_of_scikit_learn(rows: list[tuple[float, bool]], threshold: float) -> None:
    scores, labels = np.array([s for s, _ in rows], np.float32), np.array([label for _, label in rows])
    found = counts.count(scores, labels, [threshold])
    assert found.whole
    place = found.place(threshold)
    flagged = int(found.flagged[place]) if place >= 0 else found.rows
    caught = int(found.caught[place]) if place >= 0 else found.anomalies
    tn, fp, fn, tp = confusion_matrix(labels, scores > np.float32(threshold), labels=[False, True]).ravel()
    assert (tp, fp) == (caught, flagged - caught)
    assert (tn + fp + fn + tp, tp + fn) == (found.rows, found.anomalies)


def test_of_many_scores_few_are_kept_and_the_marked_one_is_among_them() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(50_000) < 0.02
    scores = (rng.standard_normal(50_000) + 2 * labels).astype(np.float32)
    found = counts.count(scores, labels, [1.2345])
    assert len(found.thresholds) <= counts.MOST_THRESHOLDS + 3
    assert not found.whole
    place = found.place(1.2345)
    assert found.flagged[place] == (scores > np.float32(1.2345)).sum()
    for place in range(0, len(found.thresholds), 37):
        above = scores > found.thresholds[place]
        assert (found.flagged[place], found.caught[place]) == (above.sum(), (above & labels).sum())
    steps = np.abs(np.diff(found.caught / labels.sum()))
    assert steps.max() < 0.02


@pytest.fixture
def pictured(record: Any, tmp_path: Path) -> dict[str, Any]:
    """A record with arrays in the folder ``results``."""
    rng = np.random.default_rng(0)
    labels = (np.arange(90) % 9 == 0).astype(np.uint8)
    folder = tmp_path / "results" / "arrays"
    folder.mkdir(parents=True)
    images = rng.random((3, 16)).astype(np.float32)
    arrays = {
        "y_test": labels,
        "score.elbo": (rng.random(90) + labels).astype(np.float32),
        "score.mae": rng.random(90).astype(np.float32),
        "mu_rows": np.arange(0, 90, 2, dtype=np.int32),
        "mu_pca": rng.standard_normal((45, 2)).astype(np.float32),
        "top_rows": np.array([0, 9, 4], np.int32),
        "top_inputs": images,
        "top_reconstructions": 1 - images,
    }
    save_file(arrays, folder / "one.safetensors")
    save_file(arrays, tmp_path / "outside.safetensors")
    found: dict[str, Any] = record("digits:4", arrays="arrays/one.safetensors")
    found["data"] |= {"image_shape": [4, 4]}
    found["other_scores"] = [{"score": "mae", "histogram": found["histogram"]}, {"score": "gone"}]
    found["thresholds"] = [{"rule": "percentile 95", "oracle": False, "metrics": {"threshold": 0.9}}]
    return found


def test_arrays_become_counts_latent_space_and_images(pictured: dict[str, Any], tmp_path: Path) -> None:
    (series,) = data_of(rendered([pictured], tmp_path / "results"))["plots"]["plot-dataset"]["series"]
    assert (series["counts"]["rows"], series["counts"]["anomalies"], series["counts"]["whole"]) == (90, 10, True)
    assert series["counts"]["marks"][0]["rule"] == "percentile 95"
    assert [(other["kind"], other["counts"]["rows"]) for other in series["others"]] == [("mae", 90)]
    assert list(series["latent"]["views"]) == ["principal components"]
    assert series["latent"]["anomaly"][:6] == [1, 0, 0, 0, 0, 0]
    assert series["images"]["anomaly"] == [True, True, False]
    assert len(base64.b64decode(series["images"]["inputs"][0])) == 16


@pytest.mark.parametrize(
    "path",
    ["../outside.safetensors", "/etc/hostname", "arrays/none.safetensors", "arrays", "\0", 3, "", "x" * 5000, "\ud800"],
)
def test_a_record_reads_no_file_outside_its_results(pictured: dict[str, Any], tmp_path: Path, path: object) -> None:
    (series,) = data_of(rendered([pictured | {"arrays": path}], tmp_path / "results"))["plots"]["plot-dataset"][
        "series"
    ]
    assert "counts" not in series
    assert "latent" not in series


def test_a_link_does_not_lead_out_of_the_results(pictured: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "results" / "arrays" / "link").symlink_to(tmp_path / "outside.safetensors")
    shelf = Shelf(tmp_path / "results")
    assert shelf.load({"arrays": "arrays/link"}, "y_test") == {}
    assert list(shelf.load({"arrays": "arrays/one.safetensors"}, "y_test")) == ["y_test"]


def test_a_damaged_file_of_arrays_is_left_out(pictured: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "results" / "arrays" / "one.safetensors").write_bytes(b"\xff" * 100)
    (series,) = data_of(rendered([pictured], tmp_path / "results"))["plots"]["plot-dataset"]["series"]
    assert "counts" not in series


def test_every_asset_of_the_page_is_there_and_the_bundled_library_names_its_licence() -> None:
    for name in (page.PLOTLY, page.STYLE, *page.SCRIPTS, page.LIVE, "plotly-LICENSE.txt", "page.html"):
        assert page.asset(name)
    for name in (page.PLOTLY, *page.SCRIPTS, page.LIVE):
        assert "</script" not in page.asset(name)
        assert "<!--" not in page.asset(name)


def test_many_data_sets_are_one_table_with_pictures_for_the_first(record: Any) -> None:
    data = data_of(rendered([record(f"set-{i}", "knn") for i in range(60)]))
    assert len(data["tables"]["roc-auc-on-every-data-set"]["rows"]) == 60
    assert sum(key.startswith("plot-dataset") for key in data["plots"]) == 24


def test_the_page_tells_when_a_mode_has_paid_the_limits_and_the_peers(record: Any) -> None:
    told = {"library": "pyod", "version": "3.6.7", "differences": ["It adds <script>dropout</script>."]}
    limit = {"products_samples_per_second": 4e5, "library": "numpy", "threads": 1, "matmul_flops_per_second": 5e10}
    records = [
        record(limits=limit),
        record(mode="tuned", speed=200_000.0, scenario_hash="t", limits=limit),
        record(detector="pyod_vae", auc=0.9, peer=told),
    ]
    text = rendered(records)
    assert "paid for compilation" in text
    assert "large products GFLOP/s" in text
    assert "Beside <code>pyod_vae</code>" in text
    assert "It adds &lt;script&gt;dropout&lt;/script&gt;." in text


def test_the_page_stays_small_with_as_many_rows_as_the_suite_standard_has(run: Any) -> None:
    sets = [f"set-{i}" for i in range(7)]
    assert len(reports.page(run(sets))) < 3_000_000
