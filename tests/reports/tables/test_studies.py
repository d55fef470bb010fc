"""Sweeps in a report: what is chosen without the test labels, what the labels would choose, and the gap between."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats

from reports.document import document
from reports.sections import sweeps
from reports.tables import studies
from reports.tables.material import Material
from reports.writers import markdown

SEEDS = (0, 1, 2)
AUC = {(2, 0.1): 0.80, (2, 4.0): 0.90, (8, 0.1): 0.95, (8, 4.0): 0.70}
RECONSTRUCTION = {(2, 0.1): 9.0, (2, 4.0): 6.0, (8, 0.1): 2.0, (8, 4.0): 8.0}
KL = {(2, 0.1): 3.0, (2, 4.0): 1.0, (8, 0.1): 9.0, (8, 4.0): 0.5}
"""Reconstruction + KL is least at (2, 4.0); the loss that trained it, with β, is least at (8, 0.1)."""


def trial(record: Any, latent: int, beta: float, seed: int, **more: Any) -> dict[str, Any]:
    key = latent, beta
    wobble = (0.01, 0.0, -0.01)[seed] * (1 if beta < 1 else 2)
    swept = {"latent": latent, "beta": beta}
    return record(seed=seed, auc=AUC[key] + wobble, scenario_hash=f"{key}") | {
        "swept": swept,
        "settings": {"batch_size": 128, "likelihood": "mse"} | swept,
        "validation_loss": [99.0, RECONSTRUCTION[key] + beta * KL[key], 50.0],
        "best_epoch": 1,
        "mean_kl": KL[key],
        **more,
    }


@pytest.fixture
def sweep(record: Any) -> list[dict[str, Any]]:
    return [trial(record, *key, seed) for key, seed in itertools.product(AUC, SEEDS)]


def only(records: list[dict[str, Any]]) -> studies.Study:
    (study,) = Material(records).studies
    return study


def test_the_kl_counts_once_in_what_chooses_whatever_beta_trained_it(sweep: Any) -> None:
    study = only(sweep)
    expected = [RECONSTRUCTION[v["latent"], v["beta"]] + KL[v["latent"], v["beta"]] for v in study.values]
    assert study.criterion == pytest.approx(expected)
    (choice,) = study.choices
    assert (choice.by, study.values[choice.setting]) == ("validation", {"beta": 4.0, "latent": 2})


def test_the_oracle_is_the_best_on_the_test_rows_and_the_gap_is_paired_by_seed(sweep: Any) -> None:
    study = only(sweep)
    assert study.values[study.oracle] == {"beta": 0.1, "latent": 8}
    (choice,) = study.choices
    differences = np.array([0.05 - 0.01, 0.05, 0.05 + 0.01])
    low, high = stats.t.interval(0.95, 2, differences.mean(), stats.sem(differences))
    assert (choice.gap.mean, choice.gap.low, choice.gap.high) == pytest.approx((0.05, low, high))


def test_a_plain_autoencoder_is_chosen_by_its_loss_alone(sweep: Any) -> None:
    for one in sweep:
        one |= {"detector": "autoencoder", "mean_kl": None}
    study = only(sweep)
    by_loss = {(2, 0.1): 9.3, (2, 4.0): 10.0, (8, 0.1): 2.9, (8, 4.0): 10.0}
    assert study.criterion == pytest.approx([by_loss[v["latent"], v["beta"]] for v in study.values])


def test_labelled_rows_choose_beside_the_loss_and_stand_for_the_sweep(sweep: Any) -> None:
    for one in sweep:
        auc = 0.99 if one["swept"] == {"latent": 2, "beta": 0.1} else 0.5
        one["labelled_validation"] = {"rows": 9, "anomalies": 3, "metrics": {"elbo": {"roc_auc": auc}}}
    study = only(sweep)
    assert [choice.by for choice in study.choices] == ["validation", "labelled"]
    assert study.values[study.shown] == {"beta": 0.1, "latent": 2}


def test_only_what_was_chosen_competes_in_the_rest_of_the_report(sweep: Any, record: Any) -> None:
    material = Material([*sweep, *(record(detector="knn", seed=seed, auc=0.92) for seed in SEEDS)])
    aucs = dict(zip(material.quality["detector"], material.quality["roc_auc"], strict=True))
    # the oracle's 0.95 would have won
    assert aucs == pytest.approx({"knn": 0.92, "vae": 0.90})
    assert len(material.trials) == len(sweep) + 3


def test_a_setting_that_a_seed_failed_for_is_not_chosen_from(sweep: Any) -> None:
    for one in sweep:
        if one["swept"] == {"latent": 2, "beta": 4.0} and one["seed"] == 1:
            one |= {"status": "failed", "reason": "diverged"}
    study = only(sweep)
    assert (len(study.values), study.failed) == (3, 1)
    assert study.values[study.choices[0].setting] == {"beta": 4.0, "latent": 8}


def test_likelihoods_are_chosen_apart_as_their_losses_do_not_compare(sweep: Any) -> None:
    for one in sweep:
        one["settings"]["likelihood"] = "mse" if one["swept"]["latent"] == 2 else "bce"
    assert [study.likelihood for study in Material(sweep).studies] == ["mse", "bce"]


def test_quality_over_a_key_is_a_mean_over_the_others_or_of_the_others_chosen(sweep: Any) -> None:
    study = only(sweep)
    small, large = study.levels("latent")
    assert (small.label, large.label) == ("2", "8")
    assert study.over_others(small.settings).mean == pytest.approx(0.85)
    chosen = study.chosen_of(large.settings)
    assert chosen is not None
    assert chosen.mean == pytest.approx(0.70)
    assert study.effect("latent") == pytest.approx(0.85 - 0.825)


def test_many_numbers_of_a_key_are_put_together_as_many_in_each_part(record: Any) -> None:
    found = []
    for place in range(20):
        swept = {"learning_rate": 0.001 * (place + 1)}
        found.append(record(auc=0.5 + 0.01 * place, scenario_hash=f"{place}") | {"swept": swept})
    levels = only(found).levels("learning_rate")
    assert [level.label for level in levels][:2] == ["0.001–0.004", "0.005–0.008"]
    assert [len(level.settings) for level in levels] == [4] * 5


def test_agreement_is_spearmans_correlation_of_low_loss_and_high_auc(sweep: Any) -> None:
    study = only(sweep)
    rho = stats.spearmanr(-study.criterion, study.means).statistic
    assert study.agreement == pytest.approx(rho)


def test_no_interval_is_told_from_two_seeds() -> None:
    two = studies.estimate([0.8, 0.9])
    assert two.mean == pytest.approx(0.85)
    assert math.isnan(two.low)
    assert studies.estimate([0.99, 1.0, 0.98], (0.0, 1.0)).high == 1.0


def test_the_section_names_choice_oracle_and_gap(sweep: Any) -> None:
    (section,) = sweeps.section(Material(sweep))
    text = markdown.blocks(section.blocks).replace("\u00a0", " ")
    line = next(line for line in text.splitlines() if "validation loss" in line and line.startswith("| `digits:4`"))
    assert re.search(r"0\.900 \[.*\| +0\.950 \[.*\| +\+0\.050 \[0\.025, 0\.075\]", line)
    assert line.index("`beta=4`") < line.index("`beta=0.1`")
    assert "4 settings of `beta` and `latent`, 3 seeds each" in text
    best = [line for line in text.splitlines() if line.endswith("| oracle                    |")]
    assert len(best) == 1
    assert "0.950" in best[0]


def test_a_report_without_a_sweep_has_no_such_section(run: Any) -> None:
    assert "sweeps" not in [section.key for section in document(Material(run(["digits:4"]))).sections]


def test_what_a_screen_draws_holds_every_setting_and_marks_choice_and_oracle(sweep: Any) -> None:
    from reports.sections import landscapes

    study = only(sweep)
    (shown,) = landscapes.parallel(study).screen()
    assert [axis["name"] for axis in shown["axes"]] == ["beta", "latent", "validation loss", "ROC AUC"]
    signs = {line["text"]: (line["sign"], line["at"]) for line in shown["lines"]}
    assert len(signs) == 4
    assert signs["beta=4, latent=2"] == ("○", [1.0, 0.0, 1.0, pytest.approx(0.8)])
    assert signs["beta=0.1, latent=8"][0] == "★"
    (heat,) = landscapes.heat(study, "stem").screen()
    (panel,) = heat["panels"]
    cells = {
        (panel["rows"][y], panel["columns"][x]): v for y, line in enumerate(panel["cells"]) for x, v in enumerate(line)
    }
    assert (panel["down"], panel["across"]) == ("beta", "latent")
    assert cells == pytest.approx({("0.1", "2"): 0.8, ("0.1", "8"): 0.95, ("4", "2"): 0.9, ("4", "8"): 0.7})
    assert sorted(panel["marks"]) == [(0, 1, "○"), (1, 0, "★")]


def test_hostile_names_stay_words(sweep: Any) -> None:
    for one in sweep:
        one |= {"detector": "<script>|x", "dataset": "<img src=x>"}
        one["swept"] = {"latent": f"<b>{one['swept']['latent']}|", "beta": one["swept"]["beta"]}
    (section,) = sweeps.section(Material(sweep))
    rendered = MarkdownIt().enable("table").render(markdown.blocks(section.blocks))
    assert "&lt;script&gt;" in rendered
    assert not re.search(r"<(script|b|img src=x)>", rendered)
