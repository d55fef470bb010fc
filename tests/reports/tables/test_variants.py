"""Variants in a report: compared with the plain network seed by seed, and said to help only where that is shown."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from scipy import stats

from reports.document import document
from reports.tables.material import Material
from reports.writers import markdown

SEEDS = range(5)
WOBBLE = (0.02, -0.01, 0.0, -0.02, 0.01)
"""Of the seeds, which a variant shares with the plain network."""
GAINS = {"free_bits": 0.03, "importance_samples": 0.0, "input_noise": -0.04, "dropout": 0.009}


def trial(record: Any, key: str, seed: int, dataset: str = "digits:4", gain: float | None = None) -> dict[str, Any]:
    gain = GAINS.get(key, 0.0) if gain is None else gain
    own = 0.002 * ((seed * 2) % 5 - 2) if key else 0.0
    varied = {key: 0.5} if key else {}
    made = record(dataset=dataset, seed=seed, auc=0.8 + WOBBLE[seed] + gain + own, scenario_hash=f"{dataset} {key}")
    made |= {"settings": {"batch_size": 128, "beta": 1.0} | varied}
    return made | ({"varied": varied} if key else {})


@pytest.fixture
def tried(record: Any) -> list[dict[str, Any]]:
    return [trial(record, key, seed) for key, seed in itertools.product(("", *GAINS), SEEDS)]


def test_a_variant_is_compared_on_the_same_seeds_with_holms_correction(tried: Any) -> None:
    found = {variant.name: variant for variant in Material(tried).variants}
    assert [(name, v.verdict) for name, v in found.items()] == [
        ("free_bits=0.5", "helps"),
        ("importance_samples=0.5", "no difference shown"),
        ("input_noise=0.5", "hurts"),
        ("dropout=0.5", "practically no difference"),
    ]
    helps = found["free_bits=0.5"]
    assert helps.gain.mean == pytest.approx(0.03)
    assert helps.plain.mean == pytest.approx(0.8)
    # the seeds' own spread, 0.016, is in neither side alone of a pair
    assert helps.gain.high - helps.gain.low < 0.01
    own = [0.03 + 0.002 * ((seed * 2) % 5 - 2) for seed in SEEDS]
    assert helps.p == pytest.approx(3 * stats.ttest_1samp(own, 0.0).pvalue)  # the second smallest of four


def test_the_plain_network_is_the_one_whose_other_settings_are_the_variants(record: Any, tried: Any) -> None:
    other = [trial(record, "", seed, gain=0.1) for seed in SEEDS]
    for one in other:
        one["settings"] = one["settings"] | {"beta": 4.0}
        one["scenario_hash"] = "another"
    assert Material([*other, *tried]).variants == Material(tried).variants
    assert Material([*other, *(one for one in tried if "varied" in one)]).variants == []


def test_two_seeds_show_nothing_and_say_so(tried: Any) -> None:
    few = Material([one for one in tried if one["seed"] < 2])
    assert {variant.verdict for variant in few.variants} == {"too few seeds"}


def test_the_rest_of_the_report_has_the_plain_network_alone(tried: Any) -> None:
    material = Material(tried)
    assert set(material.quality["scenario"]) == {"digits:4 "}
    assert len(material.trials) == 5 * len(SEEDS)


def test_the_report_has_one_table_and_says_what_does_not_help(record: Any, tried: Any) -> None:
    elsewhere = [trial(record, key, seed, "blobs", 0.0) for key, seed in itertools.product(("", "free_bits"), SEEDS)]
    for one in tried:
        one["collapsed"] = "free_bits" in one.get("varied", {}) and one["seed"] < 2
    (found,) = (one for one in document(Material([*tried, *elsewhere])).sections if one.title == "Variants")
    text = " ".join(markdown.blocks(found.blocks).replace("\u00a0", " ").split())
    assert "| `vae` | plain | 0.800 | 0.800 |" in text
    assert "| `vae` | `free_bits=0.5` | **+0.030** [0.026, 0.034] | +0.000" in text
    said = "`free_bits=0.5` of `vae`: helps on `digits:4`; no difference shown on `blobs`."
    assert f"{said} **Collapsed posterior** in 2 of 5 on `digits:4`. - " in text
    assert "`input_noise=0.5` of `vae`: hurts on `digits:4`. It is not shown to help." in text
