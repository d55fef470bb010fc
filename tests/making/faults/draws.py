"""Faults in native draws, in every mode: row order, noise and dropout."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np

from bench.proof import native
from making.faults.planting import fault, patch

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
            drawn = real(key, network, rows)
            return drawn | {"epsilon": change(drawn["epsilon"])} if "epsilon" in drawn else drawn

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
