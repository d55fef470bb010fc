"""How sure a difference over data sets is: the Bayesian signed-rank test, and the data sets that would be enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.sections import ranks as section
from reports.tables import ranks
from reports.tables.certainty import needed, signed_rank
from reports.tables.material import Material
from reports.writers import markdown


def test_clear_differences_are_sure_and_small_ones_practically_none() -> None:
    assert signed_rank([0.1] * 12).first > 0.99
    assert signed_rank([-0.1] * 12).second > 0.99
    assert signed_rank([0.004, -0.004] * 6).neither > 0.99
    mixed = signed_rank([0.05, -0.05] * 6)
    assert mixed.first + mixed.neither + mixed.second == pytest.approx(1.0)
    assert mixed.first == pytest.approx(mixed.second, abs=0.05)


def test_the_posterior_is_that_of_baycomp_for_the_same_differences() -> None:
    """``baycomp.SignedRankTest.probs(d, 0, rope=0.01, prior=0.5, nsamples=20000)`` of release 1.0.3, of these d."""
    rng = np.random.default_rng(1)
    for mean, expected in ((0.0, (0.005, 0.995, 0.000)), (0.005, (0.074, 0.860, 0.067)), (0.01, (0.373, 0.624, 0.003))):
        found = signed_rank(rng.normal(mean, 0.02, 15))
        assert (found.first, found.neither, found.second) == pytest.approx(expected, abs=0.015)


def test_the_number_of_data_sets_that_is_said_to_do_finds_the_difference_as_often_as_is_said() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(0.0, 1.0, 400)
    seen = (seen - seen.mean()) / seen.std(ddof=1) * 0.05 + 0.02
    sets = int(needed([np.array([value]) for value in seen], 0.05).sets)
    draws = rng.normal(0.02, 0.05, (1500, sets))
    power = np.mean(stats.wilcoxon(draws, axis=1, method="asymptotic").pvalue < 0.05)
    assert power == pytest.approx(0.8, abs=0.04)


def test_more_seeds_help_where_seeds_differ_and_not_where_data_sets_do() -> None:
    noise = np.array([-0.08, 0.0, 0.08])
    few = needed([0.02 + shift + noise for shift in (-0.001, 0.001, 0.0, 0.0, 0.001, -0.001)], 0.05)
    assert few.seeds is not None
    assert 3 < few.seeds < math.inf
    apart = needed([0.02 + shift + noise / 100 for shift in (-0.2, 0.2, 0.1, -0.1, 0.0, 0.0)], 0.05)
    assert apart.seeds == math.inf
    assert needed([np.array([value]) for value in (0.1, 0.2, 0.3)], 0.05).seeds is None
    assert needed([np.zeros(2), np.zeros(2), np.zeros(2)], 0.05).sets == math.inf


def test_the_rank_of_one_seed_varies_where_seeds_do_and_counts_those_that_all_have_alone() -> None:
    names, sets = ["first", "second", "third"], ["a", "b", "c"]
    quality = {"first": (0.9, 0.9, 0.9, 0.9), "second": (0.8, 0.8, 0.6, 0.1), "third": (0.7, 0.7, 0.7, 0.7)}
    trials = pd.DataFrame(
        [
            {
                "environment": "",
                "status": "ok",
                "dataset": one,
                "scenario": f"{one} {name}",
                "seed": seed,
                "roc_auc": auc,
            }
            for one in sets
            for name in names
            for seed, auc in enumerate(quality[name])
            if (one, name, seed) != ("b", "third", 3)
        ]
    )
    table = pd.DataFrame([[0.9, 0.7, 0.8]] * 3, columns=["first", "third", "second"], index=sets)
    scenarios = pd.DataFrame({name: [f"{one} {name}" for one in sets] for name in table}, index=sets)
    found = ranks.Ranks("", table, table.rank(axis=1, ascending=False).mean(), scenarios=scenarios)
    told = ranks.over_seeds(found, trials)
    assert (told["first"].mean, told["first"].low, told["first"].high, told["first"].seeds) == (1.0, 1.0, 1.0, 3)
    assert told["second"].mean == pytest.approx(7 / 3)
    assert told["second"].low == pytest.approx(1.0)
    assert told["second"].high == pytest.approx(3.0)
    assert ranks.over_seeds(found, trials[trials["seed"] < 2]) == {}


def test_the_ranks_say_how_sure_the_first_is_and_what_would_tell_the_first_two_apart(run: Any) -> None:
    names = [f"set-{place}" for place in range(6)]
    material = Material(run(names, ["vae", "autoencoder", "knn"], ["torch"]))
    (found,) = ranks.ranks(material.quality)
    text = "".join(markdown.blocks(one.blocks) for one in section.section(material)).replace("\u00a0", " ")
    first, second = found.mean.index[:2]
    assert (first, second) == ("vae", "autoencoder")
    line = next(line for line in text.splitlines() if line.startswith("| `knn`") and " 1.00 |" in line)
    assert [float(cell) for cell in line.split("|")[2:5]] == pytest.approx([1.0, 0.0, 0.0], abs=0.02)
    assert "To tell the first two apart**, `vae` and `autoencoder`, +0.01" in text
