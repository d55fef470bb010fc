"""The network in PyTorch: encoder, heads, decoder, and the terms of the loss."""

from __future__ import annotations

import math
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
from backends.layer import Layer
from backends.randomness import CORRUPTION, EPSILON
from backends.spec import LOG_TAU, NORMAL_ENTROPY, VARIANCE_FLOOR, NetworkSpec, TrainingSettings
from backends.torch.layers import ACTIVATIONS, CONVOLUTIONS_BY_PRODUCTS, LAYERS, Narrow, Wide, product_and_bias

Masks = Mapping[str, Tensor]
NOTHING: Masks = {}


class Network(nn.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings, device: torch.device) -> None:
        super().__init__()
        self.spec = spec
        self.dropout = settings.dropout
        self.input_noise = settings.input_noise
        self.importance_samples = settings.importance_samples
        self.free_bits = settings.free_bits
        self.device = device
        self.mixed = settings.precision == "bfloat16"
        self.dtype = dtype = getattr(torch, settings.storage)
        self.layers = nn.ModuleDict(
            {name.replace(".", "_"): self.make_layer(layer) for name, layer in spec.layers().items()}
        )
        named = list(zip(spec.layers(), self.layers.values(), strict=True))
        self.encoder, self.heads, self.decoder = (named[part] for part in spec.parts)
        self.beside = nn.ParameterDict(
            {name.replace(".", "_"): torch.zeros(shape, dtype=dtype) for name, shape in canonical.beside(spec).items()}
        )
        draws = torch.tensor(randomness.scoring_noise(settings.seed, spec.latent), dtype=dtype)
        self.register_buffer("scoring_noise", draws)
        self.register_buffer("log_sigma", torch.zeros(1, dtype=dtype))
        self.to(device)
        self.replace(weights)

    def make_layer(self, layer: Layer) -> nn.Module:
        return LAYERS[layer.kind](layer, self.dtype)

    @torch.no_grad()
    def restart(self, weights: Weights, seed: int) -> None:
        """Starts from these weights, with the scoring noise of this seed."""
        self.replace(weights)
        self.scoring_noise.copy_(torch.tensor(randomness.scoring_noise(seed, self.spec.latent)))

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in zip(self.spec.layers(), self.layers.values(), strict=True):
            arrays[f"{name}.kernel"] = layer.weight.detach().permute(layer.canonical_axes).cpu().numpy().copy()
            arrays[f"{name}.bias"] = layer.bias.detach().cpu().numpy().copy()
        for name in canonical.beside(self.spec):
            arrays[name] = self.other(name).detach().cpu().numpy().copy()
        if self.spec.likelihood == "gaussian":
            arrays[canonical.LOG_SIGMA] = self.log_sigma.cpu().numpy().copy()
        return arrays

    @torch.no_grad()
    def replace(self, weights: Weights) -> None:
        for name, layer in zip(self.spec.layers(), self.layers.values(), strict=True):
            layer.weight.permute(layer.canonical_axes).copy_(torch.tensor(weights[f"{name}.kernel"]))
            layer.bias.copy_(torch.tensor(weights[f"{name}.bias"]))
        for name in canonical.beside(self.spec):
            self.other(name).copy_(torch.tensor(weights[name]))
        if self.spec.likelihood == "gaussian":
            self.log_sigma.copy_(torch.tensor(weights[canonical.LOG_SIGMA]))

    def other(self, name: str) -> Tensor:
        """What is trained beside the layers, by its canonical name."""
        return self.beside[name.replace(".", "_")]

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
        if self.spec.likelihood == "diagonal_gaussian":
            variances = self.other(canonical.LOG_VARIANCE).exp() + VARIANCE_FLOOR
            return ((output - x).square() / variances + variances.log() + LOG_TAU).sum(-1) / 2
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

    def unit_kl(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return -0.5 * (1 + logvar - mu.square() - logvar.exp())

    def kl(self, mu: Tensor, logvar: Tensor) -> Tensor:
        if self.spec.kind == "autoencoder":
            return mu.new_zeros(len(mu))
        if self.spec.prior != "normal":
            prior, total = self.prior(), mu.new_zeros(len(mu))
            for epsilon in self.scoring_noise:
                total += self.log_ratio(self.sample(mu, logvar, epsilon), logvar, epsilon, prior)
            return total / len(self.scoring_noise)
        return self.unit_kl(mu, logvar).sum(-1)

    def batch_kl(self, mu: Tensor, logvar: Tensor) -> Tensor:
        if self.free_bits:
            return self.unit_kl(mu, logvar).mean(0).clamp(min=self.free_bits).sum()
        return self.kl(mu, logvar).mean()

    def prior(self) -> Sequence[Tensor]:
        """Means, log variances and logits of the prior's components; nothing of the normal one."""
        if self.spec.prior == "normal":
            return ()
        if self.spec.prior == "vamp":
            means, logvars = self.encode(self.other(canonical.INPUTS))
            return means, logvars, means.new_zeros(len(means))
        return [self.other(name) for name in canonical.PRIOR]

    def log_ratio(self, z: Tensor, logvar: Tensor, epsilon: Tensor, prior: Sequence[Tensor]) -> Tensor:
        if not prior:
            return (z.square() - epsilon.square() - logvar).sum(-1) / 2
        means, logvars, logits = prior
        squares = (z.unsqueeze(-2) - means).square() / logvars.exp()
        log_p = (logits.log_softmax(-1) - (squares + logvars + LOG_TAU).sum(-1) / 2).logsumexp(-1)
        return -(epsilon.square() + logvar + LOG_TAU).sum(-1) / 2 - log_p

    def propagate(
        self, x: Tensor, epsilon: Tensor | None = None, masks: Masks = NOTHING
    ) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.decode(z, masks), mu, logvar

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output, mu, logvar = self.propagate(x)
        return self.reconstruction(output, x), self.kl(mu, logvar)

    def corrupted(self, x: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        return x + self.input_noise * drawn[CORRUPTION] if self.input_noise else x

    def batch_terms(
        self, x: Tensor, drawn: Mapping[str, Tensor], kl_weight: Tensor | float, target: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``target`` is what x is to be reconstructed to; without one, x itself."""
        target = x if target is None else target
        if self.importance_samples > 1:
            return self.importance_terms(x, drawn, kl_weight, target)
        output, mu, logvar = self.propagate(self.corrupted(x, drawn), drawn.get(EPSILON), drawn)
        if self.spec.prior != "normal":
            ratio = self.log_ratio(self.sample(mu, logvar, drawn[EPSILON]), logvar, drawn[EPSILON], self.prior())
            return self.batch_reconstruction(output, target), ratio.mean()
        return self.batch_reconstruction(output, target), self.batch_kl(mu, logvar)

    forward = batch_terms

    def importance_terms(
        self, x: Tensor, drawn: Mapping[str, Tensor], kl_weight: Tensor | float, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        rows, draws = len(x), self.importance_samples
        mu, logvar = (part.unsqueeze(1) for part in self.encode(self.corrupted(x, drawn), drawn))
        epsilon = drawn[EPSILON].view(rows, draws, -1)
        z = self.sample(mu, logvar, epsilon)
        masks = {n: drawn[n].repeat_interleave(draws, 0) for n, _ in self.decoder if n in drawn}
        output = self.decode(z.view(rows * draws, -1), masks)
        reconstruction = self.reconstruction(output, target.repeat_interleave(draws, 0)).view(rows, draws)
        ratio = self.log_ratio(z, logvar, epsilon, self.prior())
        log_weights = -reconstruction - kl_weight * ratio
        kl = (log_weights.softmax(1) * ratio).sum(1).mean().detach()
        return math.log(draws) - log_weights.logsumexp(1).mean() - kl_weight * kl, kl

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

    def importance_bound(self, x: Tensor) -> tuple[Tensor]:
        mu, logvar = self.encode(x)
        prior, total = self.prior(), x.new_full((len(x),), -math.inf)
        for epsilon in self.scoring_noise:
            z = self.sample(mu, logvar, epsilon)
            log_weight = -self.reconstruction(self.decode(z), x) - self.log_ratio(z, logvar, epsilon, prior)
            total = torch.logaddexp(total, log_weight)
        return (math.log(len(self.scoring_noise)) - total,)


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
