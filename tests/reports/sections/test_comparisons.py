"""Detectors paired on the same rows, ranked over data sets, and environments side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.stats import friedmanchisquare, wilcoxon
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from reports import figures, tables
from reports.arrays import Shelf
from reports.blocks import Document, Section
from reports.sections import paired as fold
from reports.sections import ranks as section
from reports.sections import runs
from reports.tables import paired, ranks
from reports.tables.material import Material
from reports.writers import markdown


def scored(seed: int, shift: float, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(rows) % 4 == 0
    return np.random.default_rng(seed).standard_normal(rows) + shift * labels, labels


def test_a_paired_difference_sees_what_two_intervals_would_not() -> None:
    scores, labels = scored(0, 1.5)
    worse = scores - 0.15 * labels
    key = (0.0, "c")
    found = paired.Leader({key: (scores, labels)}).compared({key: (worse, labels)})
    assert found is not None
    value, low, high, p = found
    assert low < value < high < 0
    assert p < 0.001
    equal = paired.Leader({key: (scores, labels)}).compared({key: (scores, labels)})
    assert equal == (0, 0, 0, 1)


def test_a_paired_difference_is_the_mean_over_all_seeds() -> None:
    leader = {(float(seed), "c"): scored(seed, 1.5) for seed in range(2 * paired.RESAMPLED_SEEDS)}
    other = {key: (scores - key[0] * 0.1 * labels, labels) for key, (scores, labels) in leader.items()}
    found = paired.Leader(leader).compared(other)
    assert found is not None
    gaps = [roc_auc_score(other[key][1], other[key][0]) - roc_auc_score(*leader[key][::-1]) for key in leader]
    assert found[0] == pytest.approx(np.mean(gaps), abs=1e-12)


def test_rows_of_another_seed_or_with_other_labels_are_no_pairs() -> None:
    one, (scores, labels) = scored(0, 1.0), scored(1, 1.0)
    assert paired.Leader({(0.0, "c"): one}).compared({(1.0, "c"): one}) is None
    assert paired.Leader({(0.0, "c"): one}).compared({(0.0, "c"): (scores, ~labels)}) is None


@pytest.mark.parametrize("p", [[0.03], [0.02, 0.5, 0.01, 0.01, 0.04], [0.9, 0.8], [1.0, 0.0, 0.3]])
def test_p_values_are_corrected_as_statsmodels_does(p: list[float]) -> None:
    np.testing.assert_allclose(paired.holm(p), multipletests(p, method="holm")[1])


def test_every_row_is_held_against_the_leader(record: Any, tmp_path: Path) -> None:
    records = []
    for detector, auc, shift in (("knn", 0.9, 2.0), ("vae", 0.8, 1.0), ("norm", 0.5, 0.0)):
        scores, labels = scored(0, shift)
        kind = "elbo" if detector == "vae" else "decision"
        save_file({f"score.{kind}": scores.astype(np.float32), "y_test": labels.astype(np.uint8)}, tmp_path / detector)
        records.append(record(detector=detector, auc=auc, arrays=detector))
    trials = tables.trials(records)
    text = markdown.blocks(fold.fold(tables.quality(tables.scored(trials, records)), trials, records, Shelf(tmp_path)))
    assert "minus that of `knn`" in text
    assert re.search(r"\| `vae` +\| `torch` \| +−0\.\d{4} \| \[−0\.\d{4},.−0\.\d{4}\] \| +<0.001 \|", text)
    assert fold.fold(tables.quality(tables.scored(trials, records)), trials, records, Shelf(None)) == []


def shown(sections: list[Section]) -> str:
    return "".join(markdown.blocks(section.blocks) for section in sections).replace("\u00a0", " ")


def drawings(sections: list[Section]) -> list[Any]:
    return Document("", "", [], [], sections).drawings


def ranked(run: Any, sets: int) -> ranks.Ranks:
    records = run([f"d{i}" for i in range(sets)], ["vae", "knn", "norm"], seeds=[0])
    (found,) = ranks.ranks(tables.quality(tables.scored(tables.trials(records), records)))
    return found


def test_too_few_data_sets_have_ranks_and_a_reason_why_there_is_no_diagram(run: Any) -> None:
    found = ranked(run, 5)
    assert list(found.mean.index) == ["vae", "knn", "norm"]
    assert list(found.mean) == [1, 2, 3]
    assert not found.enough
    sections = section.section(Material(run([f"d{i}" for i in range(5)], ["vae", "knn", "norm"], seeds=[0])))
    assert not drawings(sections)
    text = shown(sections)
    assert "with 5 data sets and 3 pairs the smallest p" in text
    assert "could give is 0.19" in text


def test_enough_data_sets_have_a_diagram_and_holm_s_p_of_wilcoxon_s_test(run: Any) -> None:
    found = ranked(run, 8)
    assert found.enough
    own = wilcoxon(found.table["vae"], found.table["knn"], zero_method="zsplit").pvalue
    assert ranks.adjusted(found).loc["vae", "knn"] == pytest.approx(3 * own)
    sections = section.section(Material(run([f"d{i}" for i in range(8)], ["vae", "knn", "norm"], seeds=[0])))
    (drawing,) = drawings(sections)
    assert "over 8 data sets" in drawing.caption
    assert figures.draw([drawing])[0].svg.startswith(b"<?xml")
    assert "(figures/ranks.svg)" in shown(sections)


def test_friedman_s_statistic_is_scipy_s_with_ties_and_without() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.random((7, 4)), rng.integers(0, 3, (9, 5)) / 3.0):
        table = pd.DataFrame(values, columns=[f"d{i}" for i in range(values.shape[1])])
        found = ranks.friedman(ranks.Ranks("", table, table.rank(axis=1).mean()))
        assert found == pytest.approx(tuple(friedmanchisquare(*values.T)))


def test_a_network_is_ranked_by_its_first_backend_and_not_by_its_best(run: Any) -> None:
    records = run(["a", "b", "c"], ["vae", "knn", "norm"], seeds=[0])
    for one in records:
        if one["backend"] == "jax":
            one["metrics"]["roc_auc"] = 0.999
    (found,) = ranks.ranks(tables.quality(tables.scored(tables.trials(records), records)))
    assert found.table["vae"].max() < 0.99


def test_runs_are_set_side_by_side_and_never_averaged(record: Any) -> None:
    records = [
        record(auc=auc, run=run, samples={"train": [1000 / rate]}, train_rows_per_sample=1000, device=device, seed=seed)
        for run, auc, rate, device in (("laptop", 0.8, 1000.0, "cpu"), ("server", 0.9, 4000.0, "gpu"))
        for seed in (0, 1)
    ]
    text = shown(runs.section(Material(records)))
    line = next(line for line in text.splitlines() if line.startswith("| `vae`"))
    assert re.search(r"0.800 ± 0.000 \| +0.900 ± 0.000 \| +1.00k \| +4.00k \| 4.00 × \[4.00, 4.00\]", line)
    assert runs.section(Material([r for r in records if r["run"] == "laptop"])) == []
