"""Faults beside one training of native draws: seeds, draws that are told and not used, many rows, other modes."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import numpy as np

from backends import inference, randomness
from bench.proof import ladder, native
from making.faults.draws import of_torch
from making.faults.planting import fault, patch, settings_of

RNG = np.random.default_rng


# ----------------------------------------------------------------------------------------------------------- seeds


@fault("torch", native.SEEDS, mode="fused")
def seed_of_16_bits(module: Any) -> Any:
    """a seed cut to its lowest 16 bits"""
    real = module.torch.Generator.manual_seed
    owner = module.idiomatic.torch

    class Cut(owner.Generator):  # type: ignore[name-defined,misc]
        def manual_seed(self, seed: int) -> Any:
            return real(self, seed & 0xFFFF)

    return mock.patch.object(owner, "Generator", Cut)


@fault("jax", native.SEEDS, mode="tuned")
def seed_of_31_bits(module: Any) -> Any:
    """a seed that loses its highest bit"""
    random = module.jax.random
    return patch(random, "key", lambda real: lambda seed: real(seed & 0x7FFFFFFF))


@fault("keras", native.SEEDS, mode="tuned")
def order_without_seed(module: Any) -> Any:
    """an order that is the same for every seed"""
    return mock.patch.object(
        module.TunedModel, "draw_order", lambda self, epoch: RNG((0, epoch)).permutation(len(self.data))
    )


@fault("keras", native.SEEDS)
def noise_without_seed(module: Any) -> Any:
    """noise that is the same for every seed"""
    return patch(module.keras.random, "SeedGenerator", lambda real: lambda seed: real(1))


# ---------------------------------------------------------------------------------- told one thing, trained another


@fault("torch", native.LOSSES, mode="tuned")
def trained_with_less_noise(module: Any) -> Any:
    """noise that is weaker in training than was told"""
    real = module.TunedModel.draw_epoch
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(module.TunedModel, "redraw", real))
    change = of_torch(lambda self, epoch, drawn: {"epsilon": 0.9 * drawn["epsilon"]})
    stack.enter_context(patch(module.TunedModel, "draw_epoch", change))
    return stack


@fault("jax", native.LOSSES)
def one_noise_in_every_step(module: Any) -> Any:
    """the first step's noise in every step, though others are told"""
    real = module.idiomatic.train_step

    def train_step(
        network: Any, optimizer: Any, totals: Any, data: Any, order: Any, draws: Any, step: Any, w: Any
    ) -> Any:
        if isinstance(draws, dict):
            return real(network, optimizer, totals, data, order, draws, step, w)
        return real(network, optimizer, totals, data, order[step][None], draws, 0, w)

    return mock.patch.object(module.idiomatic, "train_step", train_step)


@fault("keras", native.LOSSES, mode="tuned")
def last_step_left_out(module: Any) -> Any:
    """the last step of an epoch left out, and its loss guessed"""

    def shorter(real: Any) -> Any:
        return lambda self, steps, rows, drawn: (
            real(self, steps - 1 if steps > 1 else steps, rows, drawn) * steps / max(steps - 1, 1)
        )

    return patch(module.TunedModel, "run_part", shorter)


@fault("torch", native.LOSSES)
def one_generator_for_all_models(module: Any) -> Any:
    """one generator for all models of a process: another model's noise is taken out of this one's"""
    real = module.IdiomaticModel.__init__
    generator = module.torch.default_generator

    def build(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        self.noise_generator = generator.manual_seed(self.settings.seed)

    return mock.patch.object(module.IdiomaticModel, "__init__", build)


@fault("keras", native.LOSSES)
def second_data_ignored(module: Any) -> Any:
    """a second load_data that trains on with the rows of the first"""

    def first_only(real: Any) -> Any:
        def fit(self: Any, batches: Any) -> Any:
            self.kept = getattr(self, "kept", batches)
            return real(self, self.kept)

        return fit

    return patch(module.IdiomaticModel, "fit", first_only)


@fault("torch", native.LOSSES, mode="fused")
def second_data_forgets_the_moments(module: Any) -> Any:
    """a second load_data that sets the optimiser back"""

    def anew(real: Any) -> Any:
        def load_data(self: Any, X: Any) -> None:
            real(self, X)
            self.optimizer = self.make_optimizer()

        return load_data

    return patch(module.FusedModel, "load_data", anew)


@fault("keras", native.ORDER, mode="tuned")
def second_data_as_long_as_the_first(module: Any) -> Any:
    """a second load_data that visits no more rows than the first had"""

    def as_first(real: Any) -> Any:
        def draw_order(self: Any, epoch: int) -> Any:
            self.first = getattr(self, "first", self.count)
            return np.resize(RNG((self.settings.seed, epoch)).permutation(self.first), self.count)

        return draw_order

    return patch(module.TunedModel, "draw_order", as_first)


@fault("jax", native.LOSSES, mode="tuned")
def imported_into_the_modules_alone(module: Any) -> Any:
    """imported weights that scoring sees and training does not"""
    real = module.IdiomaticModel.import_weights

    def import_weights(self: Any, weights: Any) -> None:
        self.settle()
        real(self, weights)

    return mock.patch.object(module.TunedModel, "import_weights", import_weights)


@fault("keras", native.WEIGHTS)
def import_forgets_the_moments(module: Any) -> Any:
    """imported weights that set the optimiser's moments back"""

    def anew(real: Any) -> Any:
        def import_weights(self: Any, weights: Any) -> None:
            real(self, weights)
            for variable in self.optimizer.variables[2:]:
                variable.assign(module.keras.ops.zeros_like(variable))

        return import_weights

    return patch(module.IdiomaticModel, "import_weights", anew)


@fault("jax", native.LOSSES)
def annealing_of_native_epochs(module: Any) -> Any:
    """a β that is not annealed where the draws are native"""

    def full(real: Any) -> Any:
        def run_epoch(self: Any, epoch: int) -> None:
            shared = self.settings.random_source == "shared"
            real(self, epoch if shared else max(epoch, self.settings.kl_warmup_epochs))

        return run_epoch

    return patch(module.IdiomaticModel, "run_epoch", full)


# ------------------------------------------------------------------------------------------------ many rows, and few


@fault("torch", ladder.MANY, "adamw")
def second_chunk_is_the_first(module: Any) -> Any:
    """rows beyond one chunk scored with the first chunk's results"""

    def short(real: Any) -> Any:
        def run_rows(self: Any, function: Any, X: Any) -> Any:
            found = real(self, function, X)
            return tuple(np.concatenate([a[: inference.CHUNK], a[: len(a) - inference.CHUNK]]) if
                         len(a) > inference.CHUNK else a for a in found)  # fmt: skip

        return run_rows

    return patch(module.IdiomaticModel, "run_rows", short)


@fault("keras", ladder.MANY, "adamw", mode="tuned")
def every_full_chunk_is_the_first(module: Any) -> Any:
    """every full chunk scored as the first one"""

    def first(real: Any) -> Any:
        def padded_chunks(function: Any, X: Any, *fetch: Any) -> Any:
            full = len(X) - len(X) % inference.CHUNK
            return real(function, np.concatenate([np.resize(X[: inference.CHUNK], X[:full].shape), X[full:]]), *fetch)

        return padded_chunks

    return patch(module.tuned, "padded_chunks", first)


@fault("jax", ladder.MANY, "adamw")
def last_partial_chunk_of_zeros(module: Any) -> Any:
    """the last partial chunk scored as if its rows were zeros"""

    def zeroed(real: Any) -> Any:
        def padded_chunks(function: Any, X: Any, *fetch: Any) -> Any:
            full = len(X) - len(X) % inference.TAIL
            if len(X) > inference.CHUNK and full < len(X):
                X = np.concatenate([X[:full], np.zeros_like(X[full:])])
            return real(function, X, *fetch)

        return padded_chunks

    return patch(module.idiomatic, "padded_chunks", zeroed)


@fault("keras", ladder.MANY, "adamw")
def mean_of_chunk_means(module: Any) -> Any:
    """a loss of many rows that is the mean of its chunks' means"""

    def averaged(real: Any) -> Any:
        def evaluate(self: Any, X: Any) -> Any:
            parts = [real(self, X[i : i + inference.CHUNK]) for i in range(0, len(X), inference.CHUNK)]
            return type(parts[0])(*np.mean([[p.loss, p.reconstruction, p.kl] for p in parts], axis=0).tolist())

        return evaluate

    return patch(module.IdiomaticModel, "evaluate", averaged)


@fault("torch", ladder.MANY, "adamw")
def few_rows_centred(module: Any) -> Any:
    """scores of fewer than 100 rows less their mean"""

    def centred(real: Any) -> Any:
        def score(self: Any, X: Any, kind: Any = "reconstruction") -> Any:
            found = real(self, X, kind)
            return found - found.mean() if len(X) < 100 else found

        return score

    return patch(module.IdiomaticModel, "score", centred)


@fault("jax", ladder.FORWARD)
def generates_logits(module: Any) -> Any:
    """generated rows that are logits where they should be probabilities"""
    return mock.patch.object(module.network.Network, "generate", lambda self, z: (self.decode(z),))


# ------------------------------------------------------------------------------- float64 in float32, seeds, other modes


@fault("jax", ladder.LOSS)
def deviation_in_float32(module: Any) -> Any:
    """the deviation of z computed in float32 within float64"""
    jnp = module.jax.numpy
    return mock.patch.object(
        module.network.Network,
        "sample",
        lambda self, mu, logvar, epsilon: mu + jnp.exp(logvar.astype("float32") / 2).astype(mu.dtype) * epsilon,
    )


@fault("keras", ladder.EXCHANGE)
def beta_in_float32(module: Any) -> Any:
    """a score whose β went through float32"""

    def single(real: Any) -> Any:
        def score(self: Any, X: Any, kind: Any = "reconstruction") -> Any:
            if kind != "elbo":
                return real(self, X, kind)
            reconstruction, kl = self.run_rows("terms", self.rows(X))
            return reconstruction + float(np.float32(self.settings.beta)) * kl

        return score

    return patch(module.IdiomaticModel, "score", single)


@fault("torch", ladder.STEPS)
def rate_in_float32(module: Any) -> Any:
    """a learning rate that went through float32"""
    return settings_of(module, learning_rate=lambda s: float(np.float32(s.learning_rate)))


@fault("torch", ladder.SCORING, "gaussian")
def scoring_noise_of_seed_0(module: Any) -> Any:
    """a Monte Carlo score that takes the noise of seed 0 for every seed"""
    return patch(randomness, "scoring_noise", lambda real: lambda seed, latent: real(0, latent))


@fault("jax", ladder.LOSS)
def shared_seed_of_16_bits(module: Any) -> Any:
    """shared draws of a seed that was cut to 16 bits"""
    return patch(randomness, "stream", lambda real: lambda seed, *more: real(seed & 0xFFFF, *more))


@fault("torch", ladder.EPOCH, "adamw", mode="tuned")
def sums_not_set_back(module: Any) -> Any:
    """loss sums that go on from the epoch before, in a compiled epoch"""

    def on(real: Any) -> Any:
        def run_epoch(self: Any, epoch: int) -> None:
            before = self.totals.clone() / 100
            real(self, epoch)
            self.totals += before

        return run_epoch

    return patch(module.TunedModel, "run_epoch", on)


@fault("jax", ladder.TRAINING_LOSSES, "early stopping", mode="tuned")
def stale_weights_evaluated(module: Any) -> Any:
    """early stopping in `tuned` that watches the weights of the epoch before"""

    def late(real: Any) -> Any:
        def evaluate(self: Any, X: Any) -> Any:
            now = real(self, X)
            before, self.before = getattr(self, "before", now), now
            return before

        return evaluate

    return patch(module.TunedModel, "evaluate", late)


@fault("torch", ladder.TRAINING_WEIGHTS, "early stopping", mode="tuned")
def restored_beside_the_vector(module: Any) -> Any:
    """early stopping in `tuned` that restores nothing: the best weights are a view of the current ones"""

    def view(real: Any) -> Any:
        def import_weights(self: Any, weights: Any) -> None:
            real(self, self.export_weights())

        return import_weights

    return patch(module.TunedModel, "import_weights", view)


@fault("keras", ladder.GRADIENTS, "adamw", "bce", mode="tuned")
def annealing_late_in_compiled_epochs(module: Any) -> Any:
    """a β that a compiled epoch reads before it is set"""

    def late(real: Any) -> Any:
        def set_kl_weight(self: Any, epoch: int) -> None:
            real(self, epoch)
            self.network.kl_weight.assign(0.5 * self.last_kl_weight)

        return set_kl_weight

    return patch(module.IdiomaticModel, "set_kl_weight", late)
