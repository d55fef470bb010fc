"""Quality over what detectors were trained on: which curves there are, and which value stands for the others."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from reports import figures
from reports.document import document
from reports.tables.material import Material
from reports.writers import markdown

SEEDS = (0, 1, 2)
AUC = {"vae": {100: 0.70, 1000: 0.80, 0: 0.90}, "knn": {100: 0.95, 1000: 0.96, 0: 0.97}}


def trial(record: Any, detector: str, rows: int, seed: int, **more: Any) -> dict[str, Any]:
    name = "digits:4" + (f"?train_rows={rows}" if rows else "")
    auc = AUC[detector][rows] + (0.01, 0.0, -0.01)[seed]
    made: dict[str, Any] = record(
        name, detector, seed=seed, auc=auc, rows=rows or 5000, scenario_hash=f"{detector}{rows}"
    )
    return made | {"swept": {"data.train_rows": rows}, **more}


@pytest.fixture
def records(record: Any) -> list[dict[str, Any]]:
    return [trial(record, name, rows, seed) for name in AUC for rows in AUC[name] for seed in SEEDS]


def test_a_curve_has_its_values_in_order_with_all_rows_last_and_intervals_over_seeds(records: Any) -> None:
    knn, vae = Material(records).data_curves
    assert (vae.detector, vae.dataset, vae.option, vae.values) == ("vae", "digits:4", "train_rows", [100, 1000, 0])
    assert vae.rows == [100, 1000, 5000]
    found = vae.quality(0)
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.70, 0.70 - half, 0.70 + half))
    # the seeds move both ends alike, so their difference is certain
    assert (knn.gain.mean, knn.gain.low, knn.gain.high) == pytest.approx((0.02, 0.02, 0.02))


def test_the_plain_data_set_stands_for_all_values_in_the_rest_of_the_report(records: Any) -> None:
    assert set(Material(records).quality["dataset"]) == {"digits:4"}
    some = [one for one in records if one["swept"]["data.train_rows"]]
    assert set(Material(some).quality["dataset"]) == {"digits:4?train_rows=100"}


def test_a_sweep_of_settings_is_chosen_from_at_each_value_and_the_curve_is_of_the_chosen(record: Any) -> None:
    def at(rows: int, latent: int, loss: float, auc: float) -> list[dict[str, Any]]:
        more = {"swept": {"latent": latent, "data.train_rows": rows}, "validation_loss": [loss], "mean_kl": 0.0}
        made = [trial(record, "vae", rows, seed, **more) for seed in SEEDS]
        for one in made:
            one["metrics"] = one["metrics"] | {"roc_auc": auc}
            one["scenario_hash"] += f" {latent}"
        return made

    records = [*at(100, 2, 1.0, 0.6), *at(100, 8, 2.0, 0.9), *at(0, 2, 5.0, 0.7), *at(0, 8, 3.0, 0.8)]
    material = Material(records)
    assert len(material.studies) == 2
    (curve,) = material.data_curves
    assert [curve.quality(place).mean for place in (0, 1)] == pytest.approx([0.6, 0.8])


def test_the_report_tells_each_value_and_draws_one_figure(records: Any) -> None:
    made = document(Material(records))
    section = next(one for one in made.sections if one.key == "training-data")
    (drawing,) = [one for one in made.drawings if one.kind == "training"]
    assert [tick[1] for tick in drawing.data["panels"][0]["ticks"]] == ["100", "1000", "all"]
    (drawn,) = figures.draw([drawing])
    assert drawn.svg.startswith(b"<?xml")
    text = markdown.written(made)
    line = next(line for line in text.splitlines() if line.startswith("| `digits:4` | `knn`"))
    assert "0.950" in line
    assert "+0.020" in line
    assert section.title == "Training data"
    assert not any(one.key == "sweeps" for one in made.sections)
