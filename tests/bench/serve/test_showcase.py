"""The front page: what is put into it, what stays, and that a second time changes nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.serve import showcase

README = "# Ours\n\n<!-- showcase -->\nlast year\n<!-- /showcase -->\n\nmore\n"


def record(detector: str, backend: str | None, auc: float) -> dict:
    return {
        "schema": 1,
        "suite": "s",
        "dataset": "digits:4",
        "detector": detector,
        "backend": backend,
        "mode": backend and "idiomatic",
        "scenario_hash": f"{detector}/{backend}",
        "environment_hash": "e",
        "seed": 0,
        "round": 0,
        "status": "ok",
        "metrics": {"roc_auc": auc, "train_samples_per_second": 1e4},
        "environment": {"machine": {"cpu": "A <b> CPU", "cores": 2}},
        "command": "bench run s --data-dir /home/somebody/data",
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    rows = [record("vae", "torch", 0.9), record("vae", "jax", 0.91), record("knn", None, 0.8)]
    (folder / "records.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    (folder / "figures").mkdir()
    (folder / "figures" / "throughput.svg").write_text("<?xml a figure")
    return folder


def test_the_readme_gets_the_current_table_and_figure_and_keeps_its_own_words(results: Path, tmp_path: Path) -> None:
    readme, folder = tmp_path / "README.md", tmp_path / "reports" / "showcase"
    readme.write_text(README)
    assert showcase.main([str(results), str(folder), str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("# Ours\n\n<!-- showcase -->\n")
    assert text.endswith("<!-- /showcase -->\n\nmore\n")
    assert "last year" not in text
    assert "| `vae`    | `jax`" in text
    assert "(reports/showcase/throughput.svg)" in text
    assert "A &lt;b&gt; CPU, 2 cores." in text
    assert (folder / "throughput.svg").read_bytes().startswith(b"<?xml")
    page = (folder / "README.md").read_text()
    assert "`knn`" in page
    assert "/home/somebody" not in page + text
    showcase.main([str(results), str(folder), str(readme)])
    assert readme.read_text() == text


def test_a_readme_without_the_marks_stays_as_it_is(results: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Ours\n")
    showcase.main([str(results), str(tmp_path / "showcase"), str(readme)])
    assert readme.read_text() == "# Ours\n"
