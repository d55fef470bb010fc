"""What a timed trial proves of itself: that the run on the clock went where the reference goes.

Off the clock the worker keeps what the first timed epochs themselves left: their losses, and the weights after each.
When all is timed, the NumPy reference starts from the canonical weights of the trial's seed, follows the draws of those
epochs, and has to arrive at the same losses, weights and validation losses; the draws have to be such as chance draws;
and the scores that were timed have to be those of the weights at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends import reference
from backends.inference import CHUNK
from backends.interface import BackendError, EpochLoss, Model, Weights
from backends.randomness import Epoch
from backends.spec import SCORES, NetworkSpec, TrainingSettings
from backends.weights import initial_weights
from bench.worker import draws

LEAST_SECONDS = 1.0
SHARE = 0.03
"""The check takes no longer than the first, or than this share of the trial's own time if that is more."""
SPARE = 0.6
"""The part of that time that is planned with."""
STREAM = 1 << 16
"""Values of a stream that is looked at for repetitions; the ladder looks at more."""
DRAWN_BYTES = 1 << 27
"""Of what an epoch draws, told at once: where it is more, the timed epochs are not looked at. To draw and judge 174 MiB
took 10 seconds, and 200 MiB of memory."""
VALIDATED = 20_000
"""Validation rows up to which their loss is computed anew."""
PARTS = ("loss", "reconstruction", "kl")
ROWS = 600
"""Test rows whose scores are held against the reference's: about the first, the last, and the edges of a chunk."""

BITS: Mapping[str, int] = {"float64": 53, "float32": 24, "tf32": 11, "bfloat16": 8}
"""Of the significand in which the layers compute."""
BOUNDS: Mapping[str, Mapping[str, float]] = {
    "float64": {"loss": 1e-10, "weights": 1e-7, "validation loss": 1e-9, "scores": 1e-9},
    "float32": {"loss": 1e-5, "weights": 1e-3, "validation loss": 1e-4, "scores": 1e-4},
    "tf32": {"loss": 1e-2, "weights": 1e-1, "validation loss": 2e-2, "scores": 2e-2},
    "bfloat16": {"loss": 2e-2, "weights": 2e-1, "validation loss": 5e-2, "scores": 1e-1},
}
"""What may lie between the trial and the reference, at least, by precision; docs/equality.md has what was measured.
Losses and scores relative to the largest, weights by what was changed, relative in the Euclidean norm."""
UNITS = 1.0
"""The error of a gradient's elements, in units in the last place of the largest of its tensor; docs/equality.md has the
measured."""
MULTIPLE = 8.0
"""Training may amplify rounding: then the bound is so many times what errors of that size, made at every step, do to
the reference's own training."""
MOST: Mapping[str, float] = {"loss": 0.05, "reconstruction": 0.05, "kl": 0.2, "weights": 0.5, "validation loss": 0.2}
"""Where that is more than this, the trial's precision says nothing of where it should have gone."""


Build = Callable[[NetworkSpec, Weights, TrainingSettings], Model]


class SelfCheck:
    """Follows a timed run in the reference, when all is timed.

    Parameters
    ----------
    model : Model
        The one that was timed; its data are loaded.
    spec, settings
        What it was built from.
    X, X_val : float arrays of shape (rows, features)
        The rows that it trained on, and those of its validation loss.
    build : callable
        What it was built by, from a network, weights and settings.
    """

    def __init__(
        self,
        model: Model,
        spec: NetworkSpec,
        settings: TrainingSettings,
        X: NDArray[Any],
        X_val: NDArray[Any],
        build: Build,
    ) -> None:
        self.model, self.spec, self.settings, self.build = model, spec, settings, build
        self.X, self.X_val = (np.asarray(rows, dtype=np.float32) for rows in (X, X_val))

    def conclude(
        self,
        left: Sequence[tuple[EpochLoss, Weights, float]],
        elapsed: float,
        building: float,
        kind: str | None,
        X: NDArray[Any],
        scores: NDArray[Any],
    ) -> dict[str, Any]:
        """What the record holds as ``self_check``.

        Parameters
        ----------
        left : of each of the first epochs of the run that was timed its losses, the weights after it, and their
            validation loss
        elapsed : float
            Seconds that the trial has taken.
        building : float
            Those that building and compiling its model have taken.
        kind : str or None
            Of the scores; None where no reference computes them.
        X, scores : the test rows, and what the timed scoring gave for them
        """
        self.left = [Place(*one) for one in left]
        begun = time.perf_counter()
        allowed = SPARE * max(LEAST_SECONDS, SHARE * elapsed)
        findings = Findings(self.settings.precision)
        steps = epochs = 0
        reason = None
        try:
            steps, epochs, reason = self._follow(findings, allowed, building)
            if kind in SCORES:
                self._score(findings, kind, X, scores)
        except BackendError as error:
            reason = str(error)
        except (ValueError, IndexError, AttributeError) as error:
            findings.refuse(f"what the epochs are told to have drawn cannot be followed: {error}")
        followed = findings.holds if steps or not findings.holds else None
        return {
            "followed": followed,
            "reason": findings.failure or reason,
            "steps": steps,
            "epochs": epochs,
            "rehearsed": steps > 0 and epochs == 0,
            "precision": self.settings.precision,
            **findings.largest,
            "seconds": time.perf_counter() - begun,
        }

    def _follow(self, findings: Findings, allowed: float, building: float) -> tuple[int, int, str | None]:
        """Steps and epochs that were followed, and why none where there are none.

        What it may take is counted in the processor's time, which the company of other programs does not stretch."""
        begun = time.process_time()
        settings = replace(self.settings, precision="float64", device="cpu", mode="idiomatic")
        start = initial_weights(self.spec, self.settings.seed, self.X)
        start = {name: array.astype(self.settings.storage).astype(np.float64) for name, array in start.items()}
        golden, rounded = (reference.build(self.spec, start, settings) for _ in range(2))
        round_steps(rounded, BITS[self.settings.precision])
        for model in (golden, rounded):
            model.load_data(self.X)
        steps = len(self.X) // settings.batch_size
        if (size := self._drawn_bytes(steps)) > DRAWN_BYTES:
            return 0, 0, f"to tell what an epoch of {steps} steps draws would take {size >> 20} MiB"
        followed = 0
        told: list[Epoch] = []
        for number, epoch in enumerate(self.model.draws(range(len(self.left)))):
            told.append(draws.kept(epoch, settings.batch_size))
            if number == 0:
                seconds = self._seconds_per_step(start, settings, epoch)
                if 2 * steps * seconds > allowed:
                    self._judge_draws(findings, told)
                    if (most := int((allowed - building) / (4 * seconds))) > 0:
                        return self._rehearse(findings, start, settings, epoch.order[: most * settings.batch_size])
                    return 0, 0, f"an epoch of {steps} steps takes the reference more time than there is"
            elif time.process_time() - begun + 2 * steps * seconds > allowed:
                break
            golden.follow(number, epoch)
            rounded.follow(number, epoch)
            at = f"step {(number + 1) * steps}, "
            spread = self._spread(number, golden, rounded, start)
            if number > 0 and any(spread[what] > MOST[what] for what in spread):
                break
            for what, (error, where) in self.left[number].apart(Place.of(golden, self.X_val), start).items():
                findings.take(what, f"{at}{where}", error, spread[what])
            followed += 1
        self._judge_draws(findings, told)
        return followed * steps, followed, None

    def _drawn_bytes(self, steps: int) -> int:
        """Of an epoch's draws, as a backend tells them."""
        s, spec = self.settings, self.spec
        noise = spec.latent * s.importance_samples if spec.kind == "vae" else 0
        noise += spec.features if s.input_noise else 0
        return steps * s.batch_size * (4 * noise + (sum(spec.dropped().values()) if s.dropout else 0))

    def _rehearse(
        self, findings: Findings, start: Any, settings: TrainingSettings, order: NDArray[Any]
    ) -> tuple[int, int, None]:
        """Follows a second model of the same backend, mode and settings, over the rows of the first steps alone."""
        rows = self.X[order]
        parts = max(len(rows) // 2, 1) if draws.part_of(self.model) else 0
        model = self.build(self.spec, start, replace(self.settings, stream_rows=parts))
        model.load_data(rows)
        model.run_epoch(0)
        golden, rounded = (reference.build(self.spec, start, settings) for _ in range(2))
        round_steps(rounded, BITS[self.settings.precision])
        (drawn,) = model.draws(range(1))
        for followed in (golden, rounded):
            followed.load_data(rows)
            followed.follow(0, drawn)
        steps, none = len(rows) // settings.batch_size, self.X_val[:1]
        spread = self._spread(0, golden, rounded, start)
        shown = Place(model.epoch_loss(), model.export_weights(), None)
        for what, (error, where) in shown.apart(Place.of(golden, none), start).items():
            findings.take(what, f"step {steps} of a rehearsal, {where}", error, spread[what])
        return steps, 0, None

    def _spread(
        self, epoch: int, golden: reference.ReferenceModel, rounded: reference.ReferenceModel, start: Any
    ) -> dict[str, float]:
        """The bounds that follow from rounding. A mean's is the mean of what it is made of, batch by batch and row by
        row, since those may by accident cancel out in it."""
        weight, scale = self.settings.kl_weight(epoch), abs(golden.epoch_loss().loss) or 1.0
        apart = golden.batch_losses - rounded.batch_losses
        spread = {
            "loss": np.abs(apart @ (1.0, weight)).mean() / scale,
            "reconstruction": np.abs(apart[:, 0]).mean() / scale,
            "kl": np.abs(apart[:, 1]).mean() / scale,
            "weights": Place.of(rounded, self.X_val).apart(Place.of(golden, self.X_val), start)["weights"][0],
        }
        if len(self.X_val) <= VALIDATED:
            scored = [model.score(self.X_val, "elbo") for model in (golden, rounded)]
            spread["validation loss"] = np.abs(scored[0] - scored[1]).mean() / (abs(scored[0].mean()) or 1.0)
        return {what: MULTIPLE * float(value) for what, value in spread.items()}

    def _seconds_per_step(self, start: Any, settings: TrainingSettings, epoch: Epoch) -> float:
        """By two steps of a reference that is thrown away."""
        trial = reference.build(self.spec, start, settings)
        trial.load_data(self.X)
        trial.follow(0, epoch, steps=1)
        begun = time.process_time()
        trial.follow(0, epoch, steps=1)
        return time.process_time() - begun

    def _judge_draws(self, findings: Findings, told: list[Epoch]) -> None:
        if self.settings.random_source == "shared":
            return
        s, part = self.settings, draws.part_of(self.model)
        shares = draws.judged(told, len(self.X), s.batch_size, s.dropout, STREAM, part)
        for about, found in shares.items():
            for what, share in found.items():
                if share > 1:
                    findings.refuse(f"{about}: {what}: {share:.1f} times as unlikely as chance allows")

    def _score(self, findings: Findings, kind: Any, X: NDArray[Any], scores: NDArray[Any]) -> None:
        """Scores at the start, at the end and about the edges of chunks, by the reference with the weights as they are
        now."""
        rows = np.arange(len(X))
        near = np.minimum(rows % CHUNK, -rows % CHUNK) < ROWS // 8
        chosen = rows[near | (rows >= len(X) - ROWS // 4)][:ROWS]
        chosen = np.union1d(chosen, rows[-ROWS // 4 :])
        weights = {name: np.asarray(array, dtype=np.float64) for name, array in self.model.export_weights().items()}
        settings = replace(self.settings, precision="float64", device="cpu", mode="idiomatic")
        golden = reference.build(self.spec, weights, settings)
        right = golden.score(np.asarray(X[chosen], dtype=np.float32), kind)
        error = np.abs(np.asarray(scores)[chosen] - right).max() / (np.abs(right).max() or 1.0)
        findings.take("scores", f"scores of the test rows, {kind}", float(error))


@dataclass(frozen=True)
class Place:
    """Where a training has come to after an epoch."""

    loss: EpochLoss
    weights: Weights
    validation_loss: float | None

    @classmethod
    def of(cls, model: reference.ReferenceModel, X_val: NDArray[Any]) -> Place:
        validated = model.evaluate(X_val).loss if len(X_val) <= VALIDATED else None
        return cls(model.epoch_loss(), model.export_weights(), validated)

    def apart(self, right: Place, start: Mapping[str, NDArray[Any]]) -> dict[str, tuple[float, str]]:
        """How far it is from the right one, and in which tensor or part most."""
        scale = abs(right.loss.loss) or 1.0
        parts = {part: abs(getattr(self.loss, part) - getattr(right.loss, part)) / scale for part in PARTS}
        tensors = {name: float(np.linalg.norm(self.weights[name] - array)) for name, array in right.weights.items()}
        changed = sum(float(np.linalg.norm(array - start[name])) ** 2 for name, array in right.weights.items())
        found = {
            **{part: (error, part) for part, error in parts.items()},
            "weights": (
                float(np.sqrt(sum(value**2 for value in tensors.values()) / (changed or 1.0))),
                max(tensors, key=lambda name: tensors[name]),
            ),
        }
        if right.validation_loss is not None and self.validation_loss is not None:
            error = abs(self.validation_loss - right.validation_loss) / (abs(right.validation_loss) or 1.0)
            found["validation loss"] = error, "validation loss"
        return found


def round_steps(model: reference.ReferenceModel, bits: int) -> None:
    """Lets a reference compute with gradients that are off as those of an arithmetic of so many significant bits are:
    by ``UNITS`` units in the last place of a tensor's largest element, since every element is a sum of larger ones."""
    network, exact = model.network, model.network.gradient
    rng = np.random.default_rng(0)

    def gradient(*batch: Any) -> tuple[float, float, dict[str, NDArray[Any]]]:
        reconstruction, kl, gradients = exact(*batch)
        for name, array in gradients.items():
            size = UNITS * 2.0**-bits * float(np.abs(array).max())
            gradients[name] = array + size * rng.standard_normal(array.shape)
        return reconstruction, kl, gradients

    network.gradient = gradient  # type: ignore[assignment, method-assign]


class Findings:
    """The comparisons of one check; the largest is the one that comes nearest to its bound."""

    def __init__(self, precision: str) -> None:
        self.bounds = BOUNDS[precision]
        self.largest: dict[str, Any] = {"error": None, "bound": None, "where": None}
        self.failure: str | None = None

    @property
    def holds(self) -> bool:
        return self.failure is None

    def refuse(self, why: str) -> None:
        """The first reason is kept."""
        self.failure = self.failure or why

    def take(self, what: str, where: str, error: float, rounding: float = 0.0) -> None:
        """One comparison; ``rounding`` raises its bound where it is more."""
        bound = max(self.bounds["loss" if what in PARTS else what], rounding)
        error = error if np.isfinite(error) else float("inf")
        held = self.largest["error"]
        if held is None or error / bound > held / self.largest["bound"]:
            self.largest = {"error": error, "bound": bound, "where": where}
        if error > bound:
            self.refuse(f"{where}: an error of {error:.1e}, and {bound:.1e} is allowed")
