"""Faults in the richer models: free bits, cycles, noisy rows, the importance-weighted bound, variances, the priors."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

from backends import spec
from bench.proof import ladder, native
from making.faults.draws import of_torch
from making.faults.planting import fault, patch

FREE, MIXTURE, VAMP = "free bits, cycles", "mixture, draws", "vamp"

# ------------------------------------------------------------------------------------------------ free bits and cycles


@fault("torch", ladder.LOSS, FREE)
def free_bits_of_a_row(module: Any) -> Any:
    """free bits of every row by itself instead of the batch's mean"""
    return mock.patch.object(
        module.network.Network,
        "batch_kl",
        lambda self, mu, logvar: self.unit_kl(mu, logvar).clamp(min=self.free_bits).sum(-1).mean(),
    )


@fault("jax", ladder.LOSS, FREE)
def free_bits_of_the_sum(module: Any) -> Any:
    """free bits of the whole KL instead of each unit's"""
    jnp = module.jax.numpy
    return mock.patch.object(
        module.network.Network,
        "batch_kl",
        lambda self, mu, logvar: jnp.maximum(self.kl(mu, logvar).mean(), self.free_bits * self.spec.latent),
    )


@fault("keras", ladder.GRADIENTS, FREE)
def free_bits_reported_alone(module: Any) -> Any:
    """free bits that are reported, with the gradient of the KL itself"""
    ops = module.keras.ops

    def told(real: Any) -> Any:
        def batch_kl(self: Any, mu: Any, logvar: Any) -> Any:
            kl = ops.mean(self.kl(mu, logvar))
            return kl + ops.stop_gradient(real(self, mu, logvar) - kl)

        return batch_kl

    return patch(module.network.Network, "batch_kl", told)


@fault("torch", ladder.EPOCH, FREE)
def one_cycle(module: Any) -> Any:
    """a β that rises once where it should rise anew"""
    return mock.patch.object(
        spec.TrainingSettings, "kl_weight", lambda self, epoch: self.beta * min(1.0, epoch / self.kl_warmup_epochs)
    )


# ---------------------------------------------------------------------------------------------------------- noisy rows


@fault("jax", ladder.LOSS, MIXTURE)
def noisy_target(module: Any) -> Any:
    """a denoising network that is to reconstruct the noise too"""
    return patch(
        module.network.Network,
        "batch_terms",
        lambda real: (
            lambda self, x, drawn, kl_weight, target: real(self, x, drawn, kl_weight, self.corrupted(target, drawn))
        ),
    )


@fault("torch", ladder.LOSS, MIXTURE)
def noise_of_that_variance(module: Any) -> Any:
    """input noise whose variance is what its deviation should be"""
    return mock.patch.object(
        module.network.Network,
        "corrupted",
        lambda self, x, drawn: x + math.sqrt(self.input_noise) * drawn["corruption"],
    )


@fault("torch", native.NOISE, mode="fused")
def noise_of_the_first_rows(module: Any) -> Any:
    """the first step's input noise in every step of an epoch"""

    def repeated(self: Any, epoch: int, drawn: Any) -> Any:
        return {"corruption": drawn["corruption"][:1].expand_as(drawn["corruption"])}

    return patch(module.FusedModel, "draw_epoch", of_torch(repeated))


@fault("keras", native.LOSSES, mode="tuned")
def noise_that_is_not_told(module: Any) -> Any:
    """input noise that is weaker in training than was told"""

    def weaker(self: Any, x: Any, drawn: Any) -> Any:
        return x + 0.97 * self.input_noise * drawn["corruption"]

    return mock.patch.object(module.network.Network, "corrupted", weaker)


# ------------------------------------------------------------------------------------- the importance-weighted bound


@fault("keras", ladder.LOSS, MIXTURE)
def mean_of_logarithms(module: Any) -> Any:
    """the mean of the draws' bounds instead of the bound of their mean"""
    ops = module.keras.ops

    def averaged(real: Any) -> Any:
        def logsumexp(x: Any, axis: int) -> Any:
            return ops.mean(x, axis=axis) + math.log(x.shape[-1]) if len(x.shape) == 2 else real(x, axis=axis)

        return logsumexp

    return patch(ops, "logsumexp", averaged)


@fault("torch", ladder.LOSS, MIXTURE)
def draws_of_other_rows(module: Any) -> Any:
    """draws laid out one after the other, each for all rows, and read as if row by row"""

    def turned(real: Any) -> Any:
        def importance_terms(self: Any, x: Any, drawn: Any, kl_weight: Any, target: Any) -> Any:
            draws = self.importance_samples
            epsilon = drawn["epsilon"].view(len(x), draws, -1).transpose(0, 1).reshape(len(x), -1)
            return real(self, x, {**drawn, "epsilon": epsilon}, kl_weight, target)

        return importance_terms

    return patch(module.network.Network, "importance_terms", turned)


@fault("jax", ladder.LOSS, MIXTURE)
def kl_without_weights(module: Any) -> Any:
    """a bound whose KL is told as if all draws had the same weight"""
    jnp = module.jax.numpy
    return mock.patch.object(module.network.nnx, "softmax", lambda a: jnp.full_like(a, 1 / a.shape[-1]))


@fault("keras", ladder.SCORING, MIXTURE)
def sum_of_draws(module: Any) -> Any:
    """an importance-weighted score of the sum over draws instead of their mean"""
    return patch(
        module.network.Network,
        "importance_bound",
        lambda real: lambda self, x: (real(self, x)[0] - math.log(self.scoring_noise.shape[0]),),
    )


# ------------------------------------------------------------------------------------------ variances and the mixture


@fault("torch", ladder.LOSS, MIXTURE)
def variances_without_floor(module: Any) -> Any:
    """variances of the features without what keeps them from 0"""
    return mock.patch.object(module.network, "VARIANCE_FLOOR", 0.0)


@fault("jax", ladder.LOSS, MIXTURE)
def variances_as_deviations(module: Any) -> Any:
    """logarithms of variances taken for those of deviations"""
    jnp = module.jax.numpy

    def doubled(self: Any, output: Any, x: Any) -> Any:
        variances = jnp.exp(2 * self.beside["output.log_variance"][...]) + spec.VARIANCE_FLOOR
        return (jnp.square(output - x) / variances + jnp.log(variances) + spec.LOG_TAU).sum(-1) / 2

    return mock.patch.object(module.network.Network, "reconstruction", doubled)


@fault("torch", ladder.LOSS, MIXTURE)
def shares_forgotten(module: Any) -> Any:
    """a mixture whose components all have the same share"""
    return mock.patch.object(module.torch.Tensor, "log_softmax", lambda a, axis: a * 0 - math.log(a.shape[axis]))


@fault("keras", ladder.LOSS, MIXTURE)
def shares_not_normalised(module: Any) -> Any:
    """a mixture whose shares do not sum to 1"""
    return mock.patch.object(module.keras.ops, "log_softmax", lambda a: a)


@fault("jax", ladder.LOSS, MIXTURE)
def nearest_component(module: Any) -> Any:
    """a mixture that counts only the likeliest of its components"""
    nnx = module.network.nnx
    real = nnx.logsumexp
    return mock.patch.object(nnx, "logsumexp", lambda a, axis: a.max(axis) if a.ndim != 2 else real(a, axis))


@fault("keras", ladder.GRADIENTS, MIXTURE)
def prior_not_trained(module: Any) -> Any:
    """a mixture that stays as it began"""
    ops = module.keras.ops

    def fixed(real: Any) -> Any:
        return lambda self: [ops.stop_gradient(part) + 0 * part for part in real(self)]

    return patch(module.network.Network, "prior", fixed)


# ------------------------------------------------------------------------------------------------------ pseudo-inputs


@fault("torch", ladder.GRADIENTS, VAMP)
def encoder_without_pseudo_inputs(module: Any) -> Any:
    """pseudo-inputs whose gradient stops at the encoder's output, as if their posteriors were constants"""

    def cut(real: Any) -> Any:
        return lambda self: [part.detach() + 0 * part for part in real(self)]

    return patch(module.network.Network, "prior", cut)


@fault("jax", ladder.GRADIENTS, VAMP)
def variances_that_stay(module: Any) -> Any:
    """pseudo-inputs whose posteriors' variances are taken for constants"""
    stop = module.jax.lax.stop_gradient

    def cut(real: Any) -> Any:
        def prior(self: Any) -> Any:
            means, logvars, logits = real(self)
            return means, stop(logvars), logits

        return prior

    return patch(module.network.Network, "prior", cut)


@fault("keras", ladder.LOSS, VAMP)
def posteriors_added_up(module: Any) -> Any:
    """the sum of the pseudo-inputs' posteriors instead of their mean"""
    return mock.patch.object(module.keras.ops, "log_softmax", lambda a: a)


@fault("jax", ladder.LOSS, VAMP)
def points_of_pseudo_inputs(module: Any) -> Any:
    """a prior of unit Gaussians around the pseudo-inputs' means, whatever their variances"""

    def unit(real: Any) -> Any:
        def prior(self: Any) -> Any:
            means, logvars, logits = real(self)
            return means, 0 * logvars, logits

        return prior

    return patch(module.network.Network, "prior", unit)


@fault("torch", ladder.LOSS, VAMP)
def pseudo_inputs_dropped(module: Any) -> Any:
    """pseudo-inputs that dropout acts on as on the first rows of their batch"""

    def dropping(real: Any) -> Any:
        def batch_terms(self: Any, x: Any, drawn: Any, *others: Any) -> Any:
            inputs = self.other("prior.inputs")
            masks = {name: array[: len(inputs)] for name, array in drawn.items() if name.startswith("encoder")}
            prior = *self.encode(inputs, masks), x.new_zeros(len(inputs))
            with mock.patch.object(self, "prior", return_value=prior):
                return real(self, x, drawn, *others)

        return batch_terms

    return patch(module.network.Network, "batch_terms", dropping)
