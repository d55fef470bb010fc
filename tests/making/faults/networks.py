"""Faults in what a network computes: initial weights, forward pass and loss."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

import numpy as np

from backends import randomness, spec
from bench.proof import ladder
from making.faults.planting import fault, patch

# ------------------------------------------------------------------------------------------------- initial weights


@fault("torch", ladder.INITIAL)
def own_initialiser(module: Any) -> Any:
    """the framework's own initialiser instead of the canonical weights"""
    return mock.patch.object(module.network.Network, "replace")


@fault("keras", ladder.INITIAL)
def half_precision_weights(module: Any) -> Any:
    """weights that passed through float16"""
    return patch(
        module.network.Network,
        "replace",
        lambda real: (
            lambda self, weights: real(self, {n: w.astype("float16").astype(w.dtype) for n, w in weights.items()})
        ),
    )


@fault("jax", ladder.INITIAL)
def float32_as_float64(module: Any) -> Any:
    """float32 arrays where float64 was asked for"""
    return patch(
        module.network.Network,
        "replace",
        lambda real: (
            lambda self, weights: real(self, {n: w.astype("float32").astype(w.dtype) for n, w in weights.items()})
        ),
    )


# ---------------------------------------------------------------------------------------------------- forward pass


@fault("torch", ladder.FORWARD, "sgd, dropout")
def transposed_square_kernel(module: Any) -> Any:
    """a square kernel transposed, on its way in and out"""

    def turned(weights: Any) -> Any:
        return {n: w.T if w.ndim == 2 and w.shape[0] == w.shape[1] else w for n, w in weights.items()}

    stack = contextlib.ExitStack()
    stack.enter_context(
        patch(module.network.Network, "replace", lambda real: lambda self, weights: real(self, turned(weights)))
    )
    stack.enter_context(patch(module.network.Network, "export", lambda real: lambda self: turned(real(self))))
    return stack


@fault("jax", ladder.FORWARD)
def heads_swapped(module: Any) -> Any:
    """mu and logvar taken for each other"""
    return patch(module.network.Network, "encode", lambda real: lambda self, x, masks={}: real(self, x, masks)[::-1])


@fault("keras", ladder.FORWARD)
def other_activation(module: Any) -> Any:
    """leaky ReLU instead of ReLU"""
    return mock.patch.dict(module.layers.ACTIVATIONS, relu=module.layers.leaky_relu)


@fault("torch", ladder.FORWARD, "gaussian")
def gelu_by_tanh(module: Any) -> Any:
    """GELU by its approximation, which other libraries take for it unless told otherwise"""
    functional = module.layers.functional
    return mock.patch.dict(module.layers.ACTIVATIONS, gelu=lambda x: functional.gelu(x, approximate="tanh"))


@fault("keras", ladder.FORWARD, "sgd, dropout")
def leaky_slope_in_float32(module: Any) -> Any:
    """a leaky slope that passed through float32, as Keras's own does on TensorFlow"""
    ops = module.keras.ops
    return mock.patch.dict(module.layers.ACTIVATIONS, leaky_relu=lambda x: ops.leaky_relu(x, 0.01))


@fault("jax", ladder.FORWARD, "rmsprop")
def scaled_elu(module: Any) -> Any:
    """SELU, which scales, instead of ELU"""
    return mock.patch.dict(module.layers.ACTIVATIONS, elu=module.layers.nnx.selu)


@fault("jax", ladder.FORWARD, "adamw")
def hard_silu(module: Any) -> Any:
    """SiLU with a sigmoid of straight lines"""
    return mock.patch.dict(module.layers.ACTIVATIONS, silu=module.jax.nn.hard_silu)


@fault("torch", ladder.FORWARD, "convolutional 8×8")
def decoder_of_relu(module: Any) -> Any:
    """a decoder that keeps its ReLU, whatever the encoder has"""

    def kept(real: Any) -> Any:
        def decode(self: Any, z: Any, masks: Any = {}) -> Any:  # noqa: B006
            with mock.patch.object(self, "activate", module.layers.functional.relu):
                return real(self, z, masks)

        return decode

    return patch(module.network.Network, "decode", kept)


@fault("torch", ladder.FORWARD)
def bfloat16_products(module: Any) -> Any:
    """matrix products in bfloat16"""
    return patch(
        module.layers.Dense,
        "forward",
        lambda real: lambda self, x: real(self, x.to(module.torch.bfloat16).to(x.dtype)),
    )


def tf32(array: Any) -> Any:
    """Cut to the ten bits of mantissa that TF32 keeps."""
    jax = __import__("jax")
    bits = jax.lax.bitcast_convert_type(array, "int32") & ~0x1FFF
    return array + jax.lax.stop_gradient(jax.lax.bitcast_convert_type(bits, "float32") - array)


@fault("jax", ladder.FORWARD, precision="float32")
def tf32_products(module: Any) -> Any:
    """matrix products in TF32, in the float32 ladder"""
    return patch(module.layers.Dense, "__call__", lambda real: lambda self, x: real(self, tf32(x)))


@fault("keras", ladder.FORWARD)
def float32_forward(module: Any) -> Any:
    """a layer computed in float32 within float64"""
    return patch(
        module.layers.Dense,
        "call",
        lambda real: lambda self, x: real(self, module.keras.ops.cast(module.keras.ops.cast(x, "float32"), x.dtype)),
    )


@fault("keras", ladder.FORWARD, "convolutional 8×8")
def same_padding(module: Any) -> Any:
    """a convolution's padding off by one: all at the end of the side, as `same` has it"""
    return patch(module.keras.ops, "pad", lambda real: lambda x, widths: real(x, ((0, 0), (0, 2), (0, 2), (0, 0))))


@fault("torch", ladder.FORWARD, "convolutional 8×8")
def transposed_off_by_one(module: Any) -> Any:
    """a transposed convolution's image off by one pixel"""
    return patch(
        module.layers.Transposed,
        "forward",
        lambda real: (
            lambda self, x: (
                real(self, x).view(len(x), -1, self.before[1] * 2, self.out_channels).roll(1, 2).reshape(len(x), -1)
            )
        ),
    )


@fault("jax", ladder.FORWARD, "convolutional 8×8")
def kernel_not_turned(module: Any) -> Any:
    """a transposed convolution that does not turn its kernel round"""
    return patch(
        module.jax.lax,
        "conv_transpose",
        lambda real: lambda images, kernel, *more, **options: real(images, kernel[::-1, ::-1], *more, **options),
    )


@fault("torch", ladder.FORWARD, "convolutional 8×8")
def channels_first(module: Any) -> Any:
    """an image flattened channel by channel"""
    return patch(
        module.layers.Convolution,
        "forward",
        lambda real: (
            lambda self, x: real(self, x).view(len(x), -1, self.out_channels).transpose(1, 2).reshape(len(x), -1)
        ),
    )


@fault("keras", ladder.FORWARD, "convolutional 7×7")
def window_cut_as_a_smaller_one(module: Any) -> Any:
    """a transposed convolution of 5×5 cut as one of 3×3"""

    def cut(real: Any) -> Any:
        def call(self: Any, x: Any) -> Any:
            self.low = (1, 1)
            return real(self, x)

        return call

    return patch(module.layers.Transposed, "call", cut)


@fault("jax", ladder.FORWARD, "convolutional 7×7", mode="tuned")
def pixels_in_the_other_order(module: Any) -> Any:
    """a transposed convolution by products whose even and odd pixels are taken for each other"""
    return patch(
        module.layers,
        "interleaved",
        lambda real: (
            lambda windows, axis, place, stride: module.jax.numpy.flip(real(windows, axis, place, stride), axis + 1)
        ),
    )


@fault("torch", ladder.FORWARD, "convolutional 7×7")
def linear_before_the_projection(module: Any) -> Any:
    """no activation before a decoder's projection to a single channel"""

    def linear(real: Any) -> Any:
        def decode(self: Any, z: Any, masks: Any = {}) -> Any:  # noqa: B006
            activate, left = self.activate, [len(self.decoder) - 1]

            def all_but_the_last(x: Any) -> Any:
                left[0] -= 1
                return activate(x) if left[0] else x

            with mock.patch.object(self, "activate", all_but_the_last):
                return real(self, z, masks)

        return decode

    return patch(module.network.Network, "decode", linear)


# ------------------------------------------------------------------------------------------------------------ loss


@fault("torch", ladder.LOSS)
def kl_averaged(module: Any) -> Any:
    """KL averaged over the latent dimensions instead of summed"""
    return patch(
        module.network.Network, "kl", lambda real: lambda self, mu, logvar: real(self, mu, logvar) / self.spec.latent
    )


@fault("jax", ladder.LOSS)
def kl_without_half(module: Any) -> Any:
    """KL without its ½"""
    return patch(module.network.Network, "kl", lambda real: lambda self, mu, logvar: 2 * real(self, mu, logvar))


@fault("keras", ladder.LOSS)
def free_bits(module: Any) -> Any:
    """KL clamped from below, so that the first nats are free"""
    return patch(
        module.network.Network,
        "kl",
        lambda real: lambda self, mu, logvar: module.keras.ops.maximum(real(self, mu, logvar), 1.0),
    )


@fault("keras", ladder.LOSS)
def logvar_as_deviation(module: Any) -> Any:
    """logvar taken for the logarithm of the standard deviation: z = mu + exp(logvar) ε"""
    return patch(
        module.network.Network,
        "sample",
        lambda real: lambda self, mu, logvar, epsilon: real(self, mu, 2 * logvar, epsilon),
    )


@fault("jax", ladder.LOSS)
def logvar_as_variance(module: Any) -> Any:
    """logvar taken for the standard deviation itself: z = mu + logvar ε"""
    return mock.patch.object(module.network.Network, "sample", lambda self, mu, logvar, epsilon: mu + logvar * epsilon)


@fault("torch", ladder.LOSS, "rmsprop")
def mean_squared_error(module: Any) -> Any:
    """squared errors averaged over the features instead of summed"""
    return patch(
        module.network.Network,
        "reconstruction",
        lambda real: lambda self, output, x: real(self, output, x) / x.shape[-1],
    )


@fault("keras", ladder.LOSS)
def clipped_probabilities(module: Any) -> Any:
    """cross-entropy on probabilities clipped at 1e-7 instead of on logits"""

    ops = module.keras.ops

    def clipped(x: Any, output: Any, from_logits: bool) -> Any:
        p = ops.clip(ops.sigmoid(output), 1e-7, 1 - 1e-7)
        return -x * ops.log(p) - (1 - x) * ops.log(1 - p)

    return mock.patch.object(ops, "binary_crossentropy", clipped)


@fault("torch", ladder.LOSS, "gaussian")
def sigma_as_variance(module: Any) -> Any:
    """σ taken for σ²: the squared errors of a Gaussian over σ"""
    real = module.torch.exp
    return mock.patch.object(module.torch, "exp", lambda x: real(x / 2 if x.shape == (1,) else x))


@fault("jax", ladder.LOSS, "gaussian")
def without_log_sigma(module: Any) -> Any:
    """a Gaussian without its log σ²"""
    return patch(
        module.network.Network,
        "reconstruction",
        lambda real: lambda self, output, x: real(self, output, x) - self.spec.features * self.log_sigma[...],
    )


@fault("keras", ladder.LOSS, "gaussian")
def sigma_of_the_last_epoch(module: Any) -> Any:
    """a Gaussian trained with the σ of the epoch before instead of the batch's own"""
    return mock.patch.object(
        module.network.Network,
        "batch_reconstruction",
        lambda self, output, x: module.keras.ops.mean(self.reconstruction(output, x)),
    )


@fault("torch", ladder.LOSS, "dense")
def beta_late(module: Any) -> Any:
    """β off by one epoch"""
    return patch(spec.TrainingSettings, "kl_weight", lambda real: lambda self, epoch: real(self, max(0, epoch - 1)))


@fault("jax", ladder.LOSS)
def other_permutation(module: Any) -> Any:
    """another permutation of the rows"""
    return patch(randomness, "permutation", lambda real: lambda seed, epoch, rows: np.arange(rows))


@fault("keras", ladder.LOSS)
def noise_of_the_first_epoch(module: Any) -> Any:
    """the first epoch's noise in every epoch"""
    return patch(randomness, "noise", lambda real: lambda seed, epoch, rows, latent: real(seed, 0, rows, latent))


@fault("torch", ladder.LOSS, "sgd, dropout")
def dropout_unscaled(module: Any) -> Any:
    """dropout that does not divide by one minus its rate"""
    return mock.patch.object(
        module.network.Network, "drop", lambda self, name, x, masks: x * masks[name] if name in masks else x
    )


@fault("jax", ladder.LOSS, "sgd, dropout")
def dropout_turned_round(module: Any) -> Any:
    """dropout that zeroes what it should keep"""
    return patch(
        module.network.Network,
        "drop",
        lambda real: lambda self, name, x, masks: real(self, name, x, {n: ~masks[n] for n in {name} & masks.keys()}),
    )


@fault("keras", ladder.LOSS, "sgd, dropout")
def dropout_before_decoder_only(module: Any) -> Any:
    """dropout in the encoder alone"""
    return patch(
        module.network.Network,
        "drop",
        lambda real: lambda self, name, x, masks: real(self, name, x, masks if name.startswith("encoder") else {}),
    )
