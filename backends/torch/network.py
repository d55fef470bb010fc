"""The network in PyTorch: encoder, heads, decoder, and the terms of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from backends import randomness
from backends import weights as canonical
from backends.interface import Weights
from backends.spec import NORMAL_ENTROPY, VARIANCE_FLOOR, Layer, NetworkSpec, TrainingSettings
from backends.torch.layers import ACTIVATIONS, CONVOLUTIONS_BY_PRODUCTS, LAYERS, Narrow, Wide, product_and_bias

Masks = Mapping[str, Tensor]
NOTHING: Masks = {}


class Network(nn.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings, device: torch.device) -> None:
        super().__init__()
        self.spec = spec
        self.dropout = settings.dropout
        self.device = device
        self.mixed = settings.precision == "bfloat16"
        self.dtype = dtype = getattr(torch, settings.storage)
        self.layers = nn.ModuleDict(
            {name.replace(".", "_"): self.make_layer(layer) for name, layer in spec.layers().items()}
        )
        named = list(zip(spec.layers(), self.layers.values(), strict=True))
        self.encoder, self.heads, self.decoder = (named[part] for part in spec.parts)
        draws = torch.tensor(randomness.scoring_noise(settings.seed, spec.latent), dtype=dtype)
        self.register_buffer("scoring_noise", draws)
        self.register_buffer("log_sigma", torch.zeros(1, dtype=dtype))
        self.to(device)
        self.replace(weights)

    def make_layer(self, layer: Layer) -> nn.Module:
        return LAYERS[layer.kind](layer, self.dtype)

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in zip(self.spec.layers(), self.layers.values(), strict=True):
            arrays[f"{name}.kernel"] = layer.weight.detach().permute(layer.canonical_axes).cpu().numpy().copy()
            arrays[f"{name}.bias"] = layer.bias.detach().cpu().numpy().copy()
        if self.spec.likelihood == "gaussian":
            arrays[canonical.LOG_SIGMA] = self.log_sigma.cpu().numpy().copy()
        return arrays

    @torch.no_grad()
    def replace(self, weights: Weights) -> None:
        for name, layer in zip(self.spec.layers(), self.layers.values(), strict=True):
            layer.weight.permute(layer.canonical_axes).copy_(torch.tensor(weights[f"{name}.kernel"]))
            layer.bias.copy_(torch.tensor(weights[f"{name}.bias"]))
        if self.spec.likelihood == "gaussian":
            self.log_sigma.copy_(torch.tensor(weights[canonical.LOG_SIGMA]))

    def arithmetic(self) -> AbstractContextManager[object]:
        """What the layers compute in."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.mixed else nullcontext()

    def encode(self, x: Tensor, masks: Masks = NOTHING) -> tuple[Tensor, Tensor]:
        with self.arithmetic():
            for name, layer in self.encoder:
                x = self.drop(name, self.activate(layer(x)), masks)
            mu, *logvar = (head.to(self.dtype) for head in self.read_heads(x))
        return mu, logvar[0] if logvar else torch.zeros_like(mu)

    def read_heads(self, x: Tensor) -> Sequence[Tensor]:
        return [head(x) for _, head in self.heads]

    def activate(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.spec.activation](x)

    def drop(self, name: str, x: Tensor, masks: Masks) -> Tensor:
        return x * masks[name] / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Tensor, logvar: Tensor, epsilon: Tensor) -> Tensor:
        return mu + torch.exp(logvar / 2) * epsilon

    def decode(self, z: Tensor, masks: Masks = NOTHING) -> Tensor:
        *hidden, (_, output) = self.decoder
        with self.arithmetic():
            for name, layer in hidden:
                z = self.drop(name, self.activate(layer(z)), masks)
            return output(z).to(self.dtype)

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output) if self.spec.likelihood == "bce" else output

    def reconstruction(self, output: Tensor, x: Tensor) -> Tensor:
        if self.spec.likelihood == "bce":
            return functional.binary_cross_entropy_with_logits(output, x, reduction="none").sum(-1)
        squares = functional.mse_loss(output, x, reduction="none").sum(-1)
        if self.spec.likelihood == "mse":
            return squares
        return squares * torch.exp(-2 * self.log_sigma) / 2 + self.spec.features * (
            self.log_sigma + NORMAL_ENTROPY - 0.5
        )

    def batch_reconstruction(self, output: Tensor, x: Tensor) -> Tensor:
        if self.spec.likelihood == "gaussian":
            variance = functional.mse_loss(output, x) + VARIANCE_FLOOR
            return self.spec.features * (variance.log() / 2 + NORMAL_ENTROPY)
        return self.reconstruction(output, x).mean()

    @torch.no_grad()
    def fit_sigma(self, reconstruction: Tensor) -> None:
        if self.spec.likelihood == "gaussian":
            self.log_sigma.copy_(reconstruction / self.spec.features - NORMAL_ENTROPY)

    def kl(self, mu: Tensor, logvar: Tensor) -> Tensor:
        if self.spec.kind == "autoencoder":
            return mu.new_zeros(len(mu))
        return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(-1)

    def propagate(self, x: Tensor, epsilon: Tensor | None = None, masks: Masks = NOTHING) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.decode(z, masks), self.kl(mu, logvar)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output, kl = self.propagate(x)
        return self.reconstruction(output, x), kl

    def batch_terms(self, x: Tensor, epsilon: Tensor | None, masks: Masks) -> tuple[Tensor, Tensor]:
        output, kl = self.propagate(x, epsilon, masks)
        return self.batch_reconstruction(output, x), kl.mean()

    forward = batch_terms

    def generate(self, z: Tensor) -> tuple[Tensor]:
        return (self.mean(self.decode(z)),)

    def reconstruct(self, x: Tensor) -> tuple[Tensor]:
        return self.generate(self.encode(x)[0])

    def squared_error(self, x: Tensor) -> tuple[Tensor]:
        return ((self.reconstruct(x)[0] - x).square().sum(-1),)

    def absolute_error(self, x: Tensor) -> tuple[Tensor]:
        return ((self.reconstruct(x)[0] - x).abs().sum(-1),)

    def expected_reconstruction(self, x: Tensor) -> tuple[Tensor]:
        mu, logvar = self.encode(x)
        if self.spec.kind == "autoencoder":
            return (self.reconstruction(self.decode(mu), x),)
        total = x.new_zeros(len(x))
        for epsilon in self.scoring_noise:
            total += self.reconstruction(self.decode(self.sample(mu, logvar, epsilon)), x)
        return (total / len(self.scoring_noise),)


class TunedNetwork(Network):
    """The same with its memory laid out, and its products formed, as the CPU's library takes least time for."""

    def make_layer(self, layer: Layer) -> nn.Module:
        if layer.kind == "dense":
            return (Wide if layer.outputs > layer.inputs else Narrow)(layer, self.dtype)
        kinds = CONVOLUTIONS_BY_PRODUCTS if self.device.type == "cpu" else LAYERS
        return kinds[layer.kind](layer, self.dtype)

    def read_heads(self, x: Tensor) -> Sequence[Tensor]:
        """Both in one product."""
        heads = [head for _, head in self.heads]
        rows, biases = [head.kernel.t() for head in heads], [head.bias for head in heads]
        return product_and_bias(x, torch.cat(rows).t(), torch.cat(biases)).chunk(len(heads), -1)
