"""Faults in what the shared source of randomness does not pass through: native draws in every mode, many rows, other
modes, other seeds, further data and further models."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import numpy as np

from backends import inference, randomness
from bench.proof import ladder, native
from making.faults import fault, patch, settings_of

RNG = np.random.default_rng


def of_torch(change: Any) -> Any:
    """``draw_epoch`` of PyTorch, with its native draws changed: in what is trained with and in what is told."""

    def wrapped(real: Any) -> Any:
        def draw_epoch(self: Any, epoch: int) -> Any:
            drawn = real(self, epoch)
            return drawn if self.settings.random_source == "shared" else drawn | change(self, epoch, drawn)

        return draw_epoch

    return wrapped


# ------------------------------------------------------------------------------------------------------- row order


@fault("jax", native.ORDER, mode="tuned")
def one_epoch_for_all(module: Any) -> Any:
    """the same order and noise in every epoch"""
    return patch(module.TunedModel, "draw_batches", lambda real: lambda self, epoch: real(self, 0))


@fault("torch", native.ORDER, mode="fused")
def never_shuffled(module: Any) -> Any:
    """rows never shuffled"""

    def in_order(self: Any, epoch: int, drawn: Any) -> Any:
        return {"rows": module.torch.arange(drawn["rows"].numel()).view_as(drawn["rows"])}

    return patch(module.FusedModel, "draw_epoch", of_torch(in_order))


@fault("keras", native.ORDER, mode="tuned")
def half_twice(module: Any) -> Any:
    """half of the rows visited twice, half never"""

    def halved(real: Any) -> Any:
        def draw_order(self: Any, epoch: int) -> Any:
            order = real(self, epoch)
            half = order[: -(-len(order) // 2)]
            return np.concatenate([half, half])[: len(order)]

        return draw_order

    return patch(module.TunedModel, "draw_order", halved)


@fault("torch", native.ORDER)
def loader_does_not_shuffle(module: Any) -> Any:
    """a DataLoader that gives the rows as they lie"""
    real = module.idiomatic.DataLoader
    return mock.patch.object(module.idiomatic, "DataLoader", lambda *a, shuffle=None, **k: real(*a, shuffle=False, **k))


@fault("torch", native.ORDER, mode="tuned")
def shuffled_within_windows(module: Any) -> Any:
    """rows shuffled within windows of 256 only"""

    def windowed(self: Any, epoch: int, drawn: Any) -> Any:
        order = np.arange(drawn["rows"].numel())
        for start in range(0, len(order), 256):
            RNG(epoch + start).shuffle(order[start : start + 256])
        return {"rows": module.torch.tensor(order).view_as(drawn["rows"])}

    return patch(module.FusedModel, "draw_epoch", of_torch(windowed))


@fault("keras", native.ORDER, mode="tuned")
def batches_shuffled_not_rows(module: Any) -> Any:
    """batches shuffled, with the same rows in each"""

    def shuffled(real: Any) -> Any:
        def draw_order(self: Any, epoch: int) -> Any:
            order, size = real(self, 0), self.settings.batch_size
            batches = order[: self.steps * size].reshape(self.steps, size)
            return np.concatenate([batches[RNG(epoch).permutation(self.steps)].ravel(), order[self.steps * size :]])

        return draw_order

    return patch(module.TunedModel, "draw_order", shuffled)


@fault("jax", native.ORDER)
def drawn_with_replacement(module: Any) -> Any:
    """rows drawn with replacement"""
    jax = module.jax
    return mock.patch.object(
        jax.random, "permutation", lambda key, rows: jax.random.randint(key, (rows,), 0, rows, dtype="int32")
    )


@fault("torch", native.ORDER, mode="fused")
def tail_never_seen(module: Any) -> Any:
    """the rows at the end of the data never visited: the partial batch dropped before shuffling"""
    torch = module.torch
    real = torch.randperm

    def cut(rows: int, **options: Any) -> Any:
        full = rows - rows % 128
        return torch.cat([real(full, **options), torch.arange(full, rows)])

    return mock.patch.object(torch, "randperm", cut)


# ----------------------------------------------------------------------------------------------------------- noise


def of_jax(change: Any) -> Any:
    """``draw`` of JAX with its ε changed."""

    def wrapped(real: Any) -> Any:
        def draw(key: Any, network: Any, rows: int) -> Any:
            epsilon, masks = real(key, network, rows)
            return (None if epsilon is None else change(epsilon)), masks

        return draw

    return wrapped


@fault("jax", native.NOISE)
def weaker_noise(module: Any) -> Any:
    """noise of deviation 0.9"""
    return patch(module.idiomatic, "draw", of_jax(lambda epsilon: 0.9 * epsilon))


@fault("torch", native.NOISE, mode="tuned")
def half_the_units(module: Any) -> Any:
    """no noise in half of the latent units"""

    def halved(self: Any, epoch: int, drawn: Any) -> Any:
        epsilon = drawn["epsilon"].clone()
        epsilon[..., ::2] = 0
        return {"epsilon": epsilon}

    return patch(module.FusedModel, "draw_epoch", of_torch(halved))


@fault("keras", native.NOISE)
def uniform_noise(module: Any) -> Any:
    """uniform noise of variance 1 instead of normal noise"""
    random = module.keras.random
    edge = 3**0.5
    return mock.patch.object(random, "normal", lambda shape, **k: random.uniform(shape, -edge, edge, **k))


@fault("keras", native.NOISE, mode="tuned")
def noise_repeated_within_an_epoch(module: Any) -> Any:
    """the first half of an epoch's noise once more in the second"""

    def repeated(real: Any) -> Any:
        def draw(self: Any, *shape: Any) -> Any:
            drawn = real(self, *shape)
            if len(shape) == 2 and shape[0] > 1:
                half = drawn["epsilon"][: -(-shape[0] // 2)]
                drawn["epsilon"] = module.keras.ops.concatenate([half, half])[: shape[0]]
            return drawn

        return draw

    return patch(module.network.Network, "draw", repeated)


@fault("jax", native.NOISE, mode="tuned")
def antithetic(module: Any) -> Any:
    """noise in pairs of opposite sign"""
    jnp = module.jax.numpy

    def mirrored(epsilon: Any) -> Any:
        half = epsilon[: len(epsilon) // 2]
        return jnp.concatenate([half, -half])

    return patch(module.tuned, "draw", of_jax(mirrored))


@fault("torch", native.NOISE, mode="fused")
def noise_of_the_row(module: Any) -> Any:
    """noise that belongs to the row of the data, the same in every epoch"""

    def of_rows(self: Any, epoch: int, drawn: Any) -> Any:
        fixed = module.torch.tensor(RNG(1).standard_normal((len(self.data), self.spec.latent)))
        return {"epsilon": fixed.to(drawn["epsilon"])[drawn["rows"]]}

    return patch(module.FusedModel, "draw_epoch", of_torch(of_rows))


@fault("torch", native.NOISE)
def one_unit_copied(module: Any) -> Any:
    """two latent units with the same noise"""

    def copied(real: Any) -> Any:
        def draw(self: Any, rows: int) -> Any:
            drawn = real(self, rows)
            drawn["epsilon"][:, 1] = drawn["epsilon"][:, 0]
            return drawn

        return draw

    return patch(module.IdiomaticModel, "draw", copied)


@fault("keras", native.NOISE, mode="xla")
def one_draw_for_a_batch(module: Any) -> Any:
    """one ε for all rows of a batch"""

    def shared(real: Any) -> Any:
        def draw(self: Any, *shape: Any) -> Any:
            drawn = real(self, *shape)
            drawn["epsilon"] = module.keras.ops.zeros_like(drawn["epsilon"]) + drawn["epsilon"][:1]
            return drawn

        return draw

    return patch(module.network.Network, "draw", shared)


@fault("torch", native.NOISE, mode="fused")
def clipped_noise(module: Any) -> Any:
    """noise cut off at two deviations"""
    return patch(
        module.FusedModel, "draw_epoch", of_torch(lambda self, epoch, drawn: {"epsilon": drawn["epsilon"].clip(-2, 2)})
    )


# --------------------------------------------------------------------------------------------------------- dropout


@fault("jax", native.DROPOUT, mode="tuned")
def one_mask_for_all_layers(module: Any) -> Any:
    """the same dropout in every layer: one key for all"""
    jax = module.jax
    real = jax.random.fold_in
    return mock.patch.object(jax.random, "fold_in", lambda key, data: real(key, data) if data is not None and (
        not isinstance(data, int) or data > 4) else real(key, 0))  # fmt: skip


@fault("jax", native.DROPOUT)
def kept_and_dropped(module: Any) -> Any:
    """dropout that keeps with the probability it should drop with"""
    jax = module.jax
    real = jax.random.bernoulli
    return mock.patch.object(jax.random, "bernoulli", lambda key, p, shape: real(key, 1 - p, shape))


@fault("keras", native.DROPOUT, mode="tuned")
def other_rate(module: Any) -> Any:
    """dropout at a rate of 0.25 where 0.2 was asked for"""
    random = module.keras.random
    real = random.uniform
    return mock.patch.object(random, "uniform", lambda shape, **k: real(shape, **k) - 0.05)


@fault("torch", native.DROPOUT)
def never_dropped_unit(module: Any) -> Any:
    """one unit of a layer that is never dropped"""

    def spared(real: Any) -> Any:
        def draw(self: Any, rows: int) -> Any:
            drawn = real(self, rows)
            drawn["decoder.0"][:, 0] = True
            return drawn

        return draw

    return patch(module.IdiomaticModel, "draw", spared)


@fault("torch", native.DROPOUT, mode="fused")
def one_mask_an_epoch(module: Any) -> Any:
    """one batch's dropout in every step of an epoch"""

    def repeated(self: Any, epoch: int, drawn: Any) -> Any:
        return {name: drawn[name][:1].expand_as(drawn[name]) for name in self.spec.dropped()}

    return patch(module.FusedModel, "draw_epoch", of_torch(repeated))


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

    def told(self: Any, epoch: int) -> Any:
        counted = self.optimizer.steps
        drawn = real(self, epoch)
        self.optimizer.steps = counted
        return {name: drawn[name] for name in drawn if name != "corrections"}

    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(module.TunedModel, "redraw", told))
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
        if isinstance(draws, tuple):
            return real(network, optimizer, totals, data, order, draws, step, w)
        return real(network, optimizer, totals, data, order[step][None], draws, 0, w)

    return mock.patch.object(module.idiomatic, "train_step", train_step)


@fault("keras", native.LOSSES, mode="tuned")
def last_step_left_out(module: Any) -> Any:
    """the last step of an epoch left out, and its loss guessed"""

    def shorter(real: Any) -> Any:
        return lambda self, epoch, steps: (
            real(self, epoch, steps - 1 if steps > 1 else steps) * steps / max(steps - 1, 1)
        )

    return patch(module.TunedModel, "run_steps", shorter)


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
            self.count = getattr(self, "count", len(self.data))
            return np.resize(RNG((self.settings.seed, epoch)).permutation(self.count), len(self.data))

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
