"""The report as a whole: complete, aligned, the same each time, and whole whatever the records lack."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import PAGE, page, write_report
from reports.document import document
from reports.tables.material import Material
from reports.writers import markdown
from reports.writers.escape import width


def rendered(records: list[dict[str, Any]], warnings: tuple[str, ...] = ()) -> str:
    """The text alone, without the time that figures take."""
    return markdown.written(document(Material(records, warnings=warnings)))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def section(text: str, heading: str) -> str:
    return text.split(f"\n{heading}", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0].replace("\u00a0", " ")


def assert_whole(text: str) -> None:
    """Every table lines up, has as many cells in each line, and nothing that is not a number is printed."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = block.splitlines()
        assert len({width(line) for line in lines}) == 1, block
        assert len({len(cells(line)) for line in lines}) == 1, block
    assert not re.search(r"\b(nan|none|null|inf)\b", text, re.IGNORECASE)


def test_every_trial_is_in_a_row_and_every_table_lines_up(run: Any) -> None:
    text = rendered(run(["digits:4", "correlated"]))
    assert_whole(text)
    for dataset in ("digits:4", "correlated"):
        rows = {
            tuple(cells(line)[:2]) for line in section(text, f"### `{dataset}`").splitlines() if line.startswith("| `")
        }
        for detector in ("vae", "autoencoder"):
            assert {(f"`{detector}`", f"`{b}`") for b in ("torch", "keras", "jax")} <= rows
        for detector in ("isolation_forest", "one_class_svm", "knn", "norm", "mahalanobis"):
            assert (f"`{detector}`", "—") in rows
    backends = section(text, "### Backends")
    assert backends.count("| `vae`") == 12, "not each backend has a row in both tables of both data sets"
    classical = section(text, "### Classical detectors")
    assert classical.count("`cpu`") == 0
    assert classical.count("`knn`") == 2


def test_the_best_is_bold_only_where_the_intervals_allow_it(record: Any) -> None:
    clear = section(rendered([record(auc=0.95), record(detector="knn", auc=0.70)]), "### `digits:4`")
    assert "**0.950** [0.940, 0.960]" in clear
    tied = section(rendered([record(auc=0.95), record(detector="knn", auc=0.94)]), "### `digits:4`")
    assert "**0.9" not in tied
    assert "≈ 0.950" in tied
    assert "≈ 0.940" in tied


def test_rows_are_sorted_by_auc_and_remarked_upon(record: Any) -> None:
    text = section(
        rendered(
            [
                record(detector="norm", auc=0.3),
                record(auc=0.6, collapsed=True, oracle=True),
                record(detector="knn", auc=0.9),
            ]
        ),
        "### `digits:4`",
    ).split("<details>")[0]
    assert [cells(line)[0] for line in text.splitlines() if line.startswith("| `")] == ["`knn`", "`vae`", "`norm`"]
    assert "sanity line, worse than chance" in text
    assert "**collapsed**, oracle threshold" in text


def test_seeds_that_did_not_finish_are_missed(record: Any) -> None:
    assert "| 1 of 2 |" in rendered([record(), record(seed=1, status="failed", reason="x")])


def test_the_data_sentence_has_counts_protocol_threshold_settings_and_notes(record: Any) -> None:
    noted = record(notes=["ran on 300 features"])
    noted["data"]["notes"] = ["40 % of the test rows are copies"]
    text = section(rendered([noted]), "### `digits:4`")
    assert (
        "1,000 training, 200 validation and 520 test rows of 64 features; 181 of the test rows are anomalies (34.8 %)"
        in text
    )
    assert "Protocol: normal rows train, digit 4 is the anomaly. Threshold: percentile 95 of validation scores." in text
    assert "`vae`: `score=elbo`, `epochs=8`, `batch_size=128`, `hidden=64-32`" in text
    assert "- Data: 40 % of the test rows are copies" in text
    assert "- `vae`: ran on 300 features" in text


def test_measurement_marks_are_shown_and_explained_once(run: Any) -> None:
    records = run(detectors=["vae"], seeds=[0, 1])
    records[0]["marks"] = ["noisy"]
    text = rendered(records)
    assert "`noisy` (1 of 2)" in text
    assert text.count("interquartile range") == 1


def test_failures_are_listed_with_their_reasons(record: Any) -> None:
    failed = record(seed=3, status="out_of_memory", reason="killed | by `the` <system>\nat once")
    text = section(rendered([record(), failed]), "## Failed and skipped trials")
    assert "`out_of_memory`" in text
    assert "killed \\| by \\`the\\` &lt;system&gt; at once" in text
    assert "Failed and skipped" not in rendered([record()])


def test_mixed_environments_are_announced_at_the_top_and_shown_apart(record: Any) -> None:
    other = record(
        environment_hash="e2", environment={"machine": {"cpu": "B CPU", "cores": 8}, "packages": {"numpy": "2.4"}}
    )
    text = rendered([record(), other])
    assert text.index("2 different environments") < text.index("## Quality")
    assert "### `digits:4` · environment A" in text
    assert "### `digits:4` · environment B" in text
    environment = section(text, "## Environment")
    assert re.search(r"machine cpu +\| A CPU +\| B CPU +\| ≠", environment)
    assert re.search(r"package numpy +\| 2.4 +\| 2.4 +\| =", environment)
    assert_whole(text)


def test_data_that_changed_between_trials_is_announced(record: Any) -> None:
    changed = record(detector="knn")
    changed["data"]["checksum"] = "f" * 64
    assert "rows of `digits:4` with seed 0 changed" in rendered([record(), changed])
    assert "changed between" not in rendered([record(), record(seed=1)])


def test_broken_lines_are_reported(record: Any) -> None:
    assert "> line 7 is \\*broken\\*" in rendered([record()], ("line 7 is *broken*",))


def test_it_tells_how_to_run_it_again(run: Any) -> None:
    text = section(rendered(run(detectors=["vae", "knn"])), "## How to reproduce")
    assert "vaebench 0.1.0; revision abc123; seeds 0–2; 1 round; first trial started 2026-11-22T17:00:00Z." in text
    assert "```sh\nbench run quick\n```" in text
    assert "| 2     | `0000000000000000` |" in text


def test_it_tells_which_trials_shared_a_process_or_a_program(record: Any) -> None:
    made = [{"before": 0}, {"before": 1, "lanes": 8}, {"before": 1, "lanes": 8}, {"before": 9, "alone": "it has none"}]
    found = [record(seed=i, backend="jax", timed=False, process="one", made=one) for i, one in enumerate(made)]
    text = " ".join(section(rendered(found), "## How to reproduce").split())
    assert "4 trials that were not timed ran in 1 process. 2 of them were trained in lanes of one program" in text
    assert "up to 8 together. jax trained 1 without lanes: it has none." in text
    assert "not timed ran" not in rendered([record(timed=False, process="one"), record(seed=1, timed=False)])


@pytest.mark.parametrize("warped", [{"detectors": ["knn"]}, {"timed": False}, {"backends": ["jax"]}, {"seeds": [4]}])
def test_partial_suites_make_whole_reports(run: Any, warped: dict[str, Any]) -> None:
    assert_whole(rendered(run(**warped)))


def test_no_finished_trial_and_no_record_make_whole_reports(record: Any) -> None:
    assert_whole(rendered([record(status="failed", reason="boom")]))
    assert_whole(rendered([]))


@given(st.data(), st.sampled_from([None, "", [], {}, float("nan"), "x"]))
@settings(deadline=None, max_examples=6)
def test_missing_and_misshapen_keys_make_whole_reports(record: Any, data: st.DataObject, value: Any) -> None:
    keys = data.draw(st.sets(st.sampled_from(sorted(record()))))
    missing = {k: v for k, v in record().items() if k not in keys}
    assert_whole(rendered([missing, record(detector="knn")]))
    assert rendered([record(seed=1) | dict.fromkeys(keys, value), record()])


hostile = st.text(st.characters() | st.sampled_from("|`\\<>*_[]\n$"), min_size=1, max_size=20)


@given(hostile, hostile)
@example("<b>a</b>", "| `b` *c* [d](e) <i>f</i>")
@example("0", "=")
@example("---", "# a")
@example("1. a", "- a")
@example("+ a", "12) a")
@settings(deadline=None, max_examples=4)
def test_hostile_words_break_no_table_and_bring_no_html(record: Any, name: str, words: str) -> None:
    odd = {"dataset": name, "threshold_rule": words, "notes": [words], "command": words, "suite": name}
    failed = record(seed=1, status="failed", reason=words, **odd)
    text = rendered([record(**odd), failed], (words,))
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = [t.type for t in parsed]
    inline = [c.type for t in parsed for c in t.children or []]
    ours = re.compile(r"</?details>\n(<summary>[\w ,]+</summary>\n)?")
    assert all(ours.fullmatch(t.content) for t in parsed if t.type == "html_block")
    assert "html_inline" not in inline
    assert kinds.count("table_open") == 9
    assert kinds.count("heading_open") == 13
    assert "ordered_list_open" not in kinds
    assert "hr" not in kinds


@given(hostile, hostile)
@example("</details><script>", "a | b\n# c <i>d</i>")
@settings(deadline=None, max_examples=3)
def test_hostile_words_of_runs_protocols_and_published_figures_stay_words(record: Any, name: str, words: str) -> None:
    figure = {"datasets": [name], "metric": "roc_auc", "value": 0.9, "source": words, "protocol": words}
    records = [
        record(name, run=run, protocol=protocol + words, scenario_hash=run + protocol, published=[figure])
        for run in (name, "server")
        for protocol in ("one ", "two ")
    ]
    text = rendered(records)
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    ours = re.compile(r"</?details>\n(<summary>[\w ,]+</summary>\n)?")
    assert all(ours.fullmatch(t.content) for t in parsed if t.type == "html_block")
    assert "html_inline" not in [c.type for t in parsed for c in t.children or []]
    told = [t.content for t in parsed if t.type == "inline"]
    assert any("by protocol" in heading for heading in told)
    assert any("side by side" in heading for heading in told)
    assert "published" in text
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(cells(line)) for line in block.splitlines()}) == 1, block


def test_the_same_records_give_the_same_bytes(run: Any, tmp_path: Path) -> None:
    records = run(detectors=["vae", "knn"], seeds=[0, 1])
    first, second = (write_report(records, tmp_path / name, html=True).parent for name in "ab")
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert len(files) == 8
    assert (first / PAGE).read_bytes() == page(records, directory=first)
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)


def test_importing_the_package_loads_neither_pandas_nor_matplotlib(process: None) -> None:
    code = "import sys, reports; print(sorted({'pandas', 'matplotlib', 'numpy'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_it_says_so_where_not_every_data_set_has_figures(run: Any) -> None:
    many = run([f"set-{i}" for i in range(25)], ["knn"], seeds=[0])
    assert "Figures are drawn for the first 24 data sets." in rendered(many)
    assert "Figures are drawn" not in rendered(many[:24])


def test_without_the_line_norm_nobody_is_told_that_a_data_set_is_not_trivial(record: Any) -> None:
    told = "nothing tells whether this data set is trivial"
    assert told in rendered([record(auc=0.95), record(detector="knn", auc=0.70)])
    assert told not in rendered([record(auc=0.95), record(detector="norm", auc=0.70)])


def test_early_stopping_is_told_once_a_detector_and_backend(record: Any) -> None:
    settings = {"epochs": 50, "hidden": [64, 32], "filters": []}
    records = [
        record(backend=backend, seed=seed, best_epoch=3 + seed, loss=[1.0] * (6 + seed), settings=settings)
        for backend in ("torch", "jax")
        for seed in (0, 1)
    ]
    text = rendered(records)
    for backend in ("torch", "jax"):
        line = f"`vae` on `{backend}`: early stopping after 6–7 of 50 epochs, with the weights of epoch 4–5."
        assert text.count(line) == 1
    assert "filters=" not in text
    assert "early stopping" not in rendered([record(best_epoch=None)])
