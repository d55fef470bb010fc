"""The search for the best settings: what judges a point, what is pruned, and what is not trained twice."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.environment import environment_hash
from bench.records import store
from bench.run import tuning
from bench.suites import suite
from bench.suites.spaces import spaces

optuna = pytest.importorskip("optuna", reason="Optuna is not installed")

HERE: dict[str, Any] = {"machine": {"memory_bytes": 0}, "packages": {}}
SUITE = """
seeds = [0, 1]
datasets = ["digits:4"]
detectors = ["{detector}"]
backends = ["torch"]
training = {{ epochs = 4 }}
[[scenarios]]
[scenarios.sweep]
{key} = {values}
"""


@dataclass
class Machine:
    """Trains in no time: the loss falls towards |latent − 5|, and what was trained is written down."""

    trained: list[tuple[int, int]] = field(default_factory=list)
    breaks_at: int | None = None
    fails: int | None = None

    def record(self, trial: Any, *, heard: Any) -> dict[str, Any]:
        training = trial.scenario.training
        losses = [abs(training.latent - 5) + 1.0 / (epoch + 1) for epoch in range(training.epochs)]
        for epoch, loss in enumerate(losses):
            heard(epoch, {"loss": loss, "validation_loss": loss})
        if self.breaks_at == len(self.trained):
            self.breaks_at = None
            raise KeyboardInterrupt
        self.trained.append((training.latent, trial.seed))
        return {
            "schema": 1,
            "dataset": "digits:4",
            "detector": trial.scenario.detector,
            "scenario_hash": trial.scenario.hash,
            "environment_hash": environment_hash(HERE),
            "seed": trial.seed,
            "round": 0,
            "timed": False,
            "status": "failed" if training.latent == self.fails else "ok",
            "reason": "diverged" if training.latent == self.fails else None,
            "validation_loss": losses,
            "mean_kl": 0.0,
            "settings": {"beta": training.beta},
        }


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Searches a space of latent sizes until so many points ended, with an own machine; the lines it told come too."""

    def searched(machine: Machine, trials: int, detector="autoencoder", key="latent", values="[1, 3, 5, 7, 9]"):
        path = tmp_path / "mine.toml"
        path.write_text(SUITE.format(detector=detector, key=key, values=values))
        monkeypatch.setattr(tuning, "Series", lambda *_, **__: nullcontext(machine))
        monkeypatch.setattr(tuning, "environment", lambda: HERE)
        chosen = suite.load(str(path))
        lines: list[str] = []
        out = tmp_path / "out"
        kwargs = {"trials": trials, "data_dir": None, "command": "", "tell": lines.append}
        (found,) = tuning.tune(chosen, list(spaces(chosen, 1)), out, **kwargs)
        return found, lines, out

    return searched


def test_the_best_point_is_the_one_of_the_lowest_mean_validation_loss(search):
    found, lines, out = search(Machine(), 12)
    assert found.best == {"latent": 5}
    assert found.value == pytest.approx(0.25)
    assert found.complete + found.pruned == 12 == len(lines)
    assert (out / tuning.JOURNAL).stat().st_size > 0


def test_a_training_that_falls_behind_is_pruned_and_leaves_no_record(search):
    machine = Machine()
    found, lines, out = search(machine, 30, values="[5, 6, 900]")
    assert found.pruned > 0
    assert sum("latent=900" in line and "pruned" in line for line in lines) > 0
    kept = [(record["scenario_hash"], record["seed"]) for record in store.read(out)[0]]
    assert len(kept) == len(machine.trained) == len(set(machine.trained)), "a finished training ran again"


def test_under_a_searched_beta_no_epoch_prunes_but_seeds_do(search, monkeypatch):
    steps = []
    report = optuna.trial.Trial.report
    monkeypatch.setattr(optuna.trial.Trial, "report", lambda *a: (steps.append(a[2]), report(*a))[1])
    search(Machine(), 3, detector="vae", key="beta", values="[0.5, 1.0, 2.0]")
    assert steps
    assert min(steps) >= tuning._END
    steps.clear()
    search(Machine(), 4)
    assert {0, 1, 2, 3} <= set(steps)


def test_a_search_that_was_stopped_goes_on_without_training_again_what_had_ended(search):
    machine = Machine(breaks_at=3)
    with pytest.raises(KeyboardInterrupt):
        search(machine, 8)
    assert len(machine.trained) == 3
    half = machine.trained[2]
    found, _, out = search(machine, 8)
    assert found.complete + found.pruned == 8
    assert len(machine.trained) == len(set(machine.trained)) == len(store.read(out)[0])
    assert (half[0], 1) in machine.trained, "the point that was under way was dropped"
    before = list(machine.trained)
    search(machine, 8)
    assert machine.trained == before


def test_a_point_that_fails_is_told_and_never_the_best(search):
    found, lines, _ = search(Machine(fails=5), 10)
    assert found.failed > 0
    assert found.best != {"latent": 5}
    assert any("failed: diverged" in line for line in lines)


def test_a_range_is_searched_in_whole_numbers_where_its_key_has_such(search):
    _, lines, _ = search(Machine(), 6, values="{ low = 2, high = 64, log = true }\nsample = 2")
    latents = [int(line.split("latent=")[1].split(":")[0]) for line in lines]
    assert len(latents) == 6
    assert all(2 <= latent <= 64 for latent in latents)
