"""The autoencoder in PyTorch.

``idiomatic``, as its guide trains: nn.Module, DataLoader, and an eager loop. ``fused``: eager too, with the data on the
device and the optimiser's fused kernel. ``tuned``: a whole step (forward, backward and optimiser) compiled as one
function, and on a GPU replayed as one CUDA graph.
"""

from __future__ import annotations

import copy
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, TensorDataset

from backends import randomness
from backends import weights as canonical
from backends.inference import CHUNK, Inference, RowFunction
from backends.interface import NO_TF32, Capabilities, EpochLoss, Weights
from backends.spec import (
    KERNEL,
    NORMAL_ENTROPY,
    PADDING,
    STRIDE,
    VARIANCE_FLOOR,
    Layer,
    NetworkSpec,
    Score,
    TrainingSettings,
)

Masks = Mapping[str, Tensor]
NOTHING: Masks = {}
Epoch = dict[str, Tensor]
"""What its batches are made of, each of shape (steps, batch, ...): ``rows``, the row numbers; for a VAE ``epsilon``;
dropout masks by layer."""
ROWS, EPSILON, CORRECTIONS = "rows", "epsilon", "corrections"


def capabilities() -> Capabilities:
    """What PyTorch reports about itself in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    precisions, modes = ["float32", "float64", "bfloat16"], list(MODES)
    if torch.cuda.is_available():
        devices["gpu"] = torch.cuda.get_device_name()
    else:
        reasons["gpu"] = "PyTorch finds no CUDA device" if torch.version.cuda else "this PyTorch is built without CUDA"
    if "gpu" in devices and torch.cuda.get_device_capability() >= (8, 0):
        precisions.append("tf32")
    else:
        reasons["tf32"] = NO_TF32
    if not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))):
        modes.remove("tuned")
        reasons["tuned"] = "torch.compile needs a C++ compiler, and none is found"
    return Capabilities(
        versions={"torch": str(torch.__version__)},
        devices=devices,
        precisions=tuple(precisions),
        modes=tuple(modes),
        threads=torch.get_num_threads(),
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    torch.set_float32_matmul_precision("high" if settings.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"
    return MODES[settings.mode](spec, weights, settings)


class Dense(nn.Linear):
    """A dense layer that starts from a canonical kernel, which is the weight's transpose."""

    canonical_axes = (1, 0)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, dtype=dtype)


class Convolution(nn.Conv2d):
    """A convolution of rows; PyTorch's images have their channels first, in view or in memory."""

    canonical_axes = (2, 3, 1, 0)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__(layer.inputs, layer.outputs, KERNEL, STRIDE, PADDING, dtype=dtype)
        self.before = layer.before

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(images).permute(0, 2, 3, 1).reshape(len(x), -1)


class Transposed(nn.ConvTranspose2d):
    """A convolution's adjoint, of rows; the output padding tells an even side from an odd one."""

    canonical_axes = (2, 3, 0, 1)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        odd = tuple(STRIDE * small - large for small, large in zip(layer.before, layer.after, strict=True))
        extra = tuple(1 - side for side in odd)
        super().__init__(layer.inputs, layer.outputs, KERNEL, STRIDE, PADDING, output_padding=extra, dtype=dtype)
        self.before = layer.before

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(len(x), *self.before, self.in_channels).permute(0, 3, 1, 2)
        return super().forward(images).permute(0, 2, 3, 1).reshape(len(x), -1)


class Wide(nn.Module):
    """A dense layer that keeps the canonical kernel as it is.

    Its gradient is then xᵀ g, which where the outputs are more than the inputs takes less time than gᵀ x.
    """

    canonical_axes = (0, 1)

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layer.inputs, layer.outputs, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(layer.outputs, dtype=dtype))

    @property
    def kernel(self) -> Tensor:
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        return product_and_bias(x, self.kernel, self.bias)


class Narrow(Dense):
    """A dense layer whose bias is added with what comes after it."""

    @property
    def kernel(self) -> Tensor:
        return self.weight.t()

    def forward(self, x: Tensor) -> Tensor:
        return product_and_bias(x, self.kernel, self.bias)


def product_and_bias(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """x W + b. Of product and sum the compiler would make one call of a library, which first copies the bias to every
    row; a difference it fuses with the ReLU. Uncompiled, that call is the faster."""
    if not torch.compiler.is_compiling():
        return functional.linear(x, kernel.t(), bias)
    y = x @ kernel
    return y - (-bias).to(y.dtype)


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}


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
        named, depth = list(zip(spec.layers(), self.layers.values(), strict=True)), spec.depth
        self.encoder, self.heads, self.decoder = named[:depth], named[depth : -depth - 1], named[-depth - 1 :]
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
                x = self.drop(name, functional.relu(layer(x)), masks)
            mu, *logvar = (head.to(self.dtype) for head in self.read_heads(x))
        return mu, logvar[0] if logvar else torch.zeros_like(mu)

    def read_heads(self, x: Tensor) -> Sequence[Tensor]:
        return [head(x) for _, head in self.heads]

    def drop(self, name: str, x: Tensor, masks: Masks) -> Tensor:
        return x * masks[name] / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Tensor, logvar: Tensor, epsilon: Tensor) -> Tensor:
        return mu + torch.exp(logvar / 2) * epsilon

    def decode(self, z: Tensor, masks: Masks = NOTHING) -> Tensor:
        *hidden, (_, output) = self.decoder
        with self.arithmetic():
            for name, layer in hidden:
                z = self.drop(name, functional.relu(layer(z)), masks)
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
        return super().make_layer(layer)

    def read_heads(self, x: Tensor) -> Sequence[Tensor]:
        """Both in one product."""
        heads = [head for _, head in self.heads]
        rows, biases = [head.kernel.t() for head in heads], [head.bias for head in heads]
        return product_and_bias(x, torch.cat(rows).t(), torch.cat(biases)).chunk(len(heads), -1)


class SharedOrder(Sampler[int]):
    """Visits the rows in the order that every backend shares, which is set before each pass."""

    def __init__(self, rows: int) -> None:
        self.order = range(rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


def make_optimizer(network: Network, settings: TrainingSettings, fused: bool | None = None) -> torch.optim.Optimizer:
    """PyTorch's own four, which all follow the definitions: their weight decay is coupled but for AdamW's.

    ``fused`` takes all weights in one kernel, which RMSprop has none for."""
    s, parameters = settings, network.parameters()
    if s.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, s.learning_rate, alpha=s.rho, eps=s.epsilon, weight_decay=s.weight_decay)
    if s.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, s.learning_rate, momentum=s.momentum, weight_decay=s.weight_decay, fused=fused
        )
    kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, s.learning_rate, (s.beta1, s.beta2), s.epsilon, s.weight_decay, fused=fused)


class EventTimer:
    """``backends.interface.DeviceTimer`` by a pair of CUDA events."""

    def __init__(self) -> None:
        self.first, self.last = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def start(self) -> None:
        self.first.record()

    def stop(self) -> None:
        self.last.record()

    def seconds(self) -> float:
        self.last.synchronize()
        return self.first.elapsed_time(self.last) / 1000


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the PyTorch tutorials."""

    network_class = Network

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = torch.device("cuda" if settings.device == "gpu" else "cpu")
        self.dtype = getattr(torch, settings.storage)
        self.network = self.network_class(spec, weights, settings, self.device)
        self.optimizer = self.make_optimizer()
        self.order_generator = torch.Generator().manual_seed(settings.seed)
        self.noise_generator = torch.Generator(self.device).manual_seed(settings.seed)

    def make_optimizer(self) -> Any:
        return make_optimizer(self.network, self.settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = torch.tensor(self.training_rows(X))
        self.steps = len(X) // self.settings.batch_size
        shared = self.settings.random_source == "shared"
        self.shared_order = SharedOrder(len(X))
        self.loader = DataLoader(
            TensorDataset(self.data),
            batch_size=self.settings.batch_size,
            shuffle=None if shared else True,
            sampler=self.shared_order if shared else None,
            drop_last=True,
            pin_memory=self.device.type == "cuda",
            generator=self.order_generator,
        )

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        self.compile_training()
        batch = self.data[: self.settings.batch_size].cpu().numpy()
        for function in self.scoring_functions(scores):
            self.run_rows(function, batch)

    def compile_training(self) -> None:
        network, optimizer = copy.deepcopy(self.network.state_dict()), copy.deepcopy(self.optimizer.state_dict())
        noise = self.noise_generator.get_state()
        self.first_step()
        self.network.load_state_dict(network)
        self.optimizer.load_state_dict(optimizer)
        self.noise_generator.set_state(noise)

    def first_step(self) -> None:
        """Eager PyTorch compiles nothing; the first calls still load kernels and allocate."""
        x = self.data[: self.settings.batch_size].to(self.device)
        self.train_step(x, self.draw(len(x)), self.settings.beta)

    def draw(self, rows: int) -> dict[str, Tensor]:
        """ε and dropout masks for so many rows."""
        drawn, generator = {}, self.noise_generator
        if self.spec.kind == "vae":
            shape = rows, self.spec.latent
            drawn[EPSILON] = torch.randn(shape, device=self.device, dtype=self.dtype, generator=generator)
        if self.settings.dropout:
            for name, width in self.spec.dropped().items():
                mask = torch.empty(rows, width, device=self.device, dtype=torch.bool)
                drawn[name] = mask.bernoulli_(1 - self.settings.dropout, generator=generator)
        return drawn

    def shared_epoch(self, epoch: int) -> Epoch:
        """An epoch from the source that every backend shares."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, len(self.data))
        arrays = {ROWS: torch.tensor(drawn.order), **{name: torch.tensor(mask) for name, mask in drawn.masks.items()}}
        if drawn.noise is not None:
            arrays[EPSILON] = torch.tensor(drawn.noise, dtype=self.dtype)
        return self.batches({name: array.to(self.device) for name, array in arrays.items()})

    def batches(self, arrays: Mapping[str, Tensor]) -> Epoch:
        """Arrays of as many rows as there are data, or as are used, by step; the last partial batch is left out."""
        shape = self.steps, self.settings.batch_size
        return {name: array[: shape[0] * shape[1]].view(*shape, *array.shape[1:]) for name, array in arrays.items()}

    def train_step(self, x: Tensor, drawn: Mapping[str, Tensor], kl_weight: float) -> Tensor:
        """One update; returns the batch's mean reconstruction and KL, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        reconstruction, kl = self.network.batch_terms(x, drawn.get(EPSILON), drawn)
        (reconstruction + kl_weight * kl).backward()
        self.optimizer.step()
        return torch.stack((reconstruction.detach(), kl.detach()))

    def run_epoch(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        draws: Iterator[Mapping[str, Tensor]] | None = None
        if self.settings.random_source == "shared":
            drawn = self.shared_epoch(epoch)
            self.shared_order.order = drawn[ROWS].flatten().tolist()
            draws = by_step(drawn)
        for (batch,) in self.loader:
            x = batch.to(self.device, non_blocking=True)
            self.totals += self.train_step(x, self.draw(len(x)) if draws is None else next(draws), self.last_kl_weight)
        self.network.fit_sigma(self.totals[0] / self.steps)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def device_timer(self) -> EventTimer | None:
        return EventTimer() if self.device.type == "cuda" else None

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = (self.totals / self.steps).tolist()
        return EpochLoss(reconstruction + self.last_kl_weight * kl, reconstruction, kl)

    @torch.inference_mode()
    def run_rows(self, function: RowFunction, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        row_function = getattr(self.network, function)
        results = [row_function(chunk.to(self.device)) for chunk in torch.tensor(X).split(CHUNK)]
        return tuple(torch.cat(parts).cpu().numpy() for parts in zip(*results, strict=True))

    def device_memory_peak(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.replace(weights)


def by_step(epoch: Epoch) -> Iterator[dict[str, Tensor]]:
    """Its batches, one after the other."""
    for values in zip(*(array.unbind() for array in epoch.values()), strict=True):
        yield dict(zip(epoch, values, strict=True))


class FusedModel(IdiomaticModel):
    """Eager steps over rows that stay on the device, an epoch's draws made at once, and the fused optimiser."""

    def make_optimizer(self) -> Any:
        return make_optimizer(self.network, self.settings, fused=True)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = torch.tensor(self.training_rows(X), device=self.device)
        self.steps = len(X) // self.settings.batch_size

    def draw_epoch(self, epoch: int) -> Epoch:
        if self.settings.random_source == "shared":
            return self.shared_epoch(epoch)
        order = torch.randperm(len(self.data), device=self.device, generator=self.noise_generator)
        return self.batches({ROWS: order, **self.draw(self.steps * self.settings.batch_size)})

    def run_epoch(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        for batch in by_step(self.draw_epoch(epoch)):
            self.totals += self.train_step(self.data[batch[ROWS]], batch, self.last_kl_weight)
        self.network.fit_sigma(self.totals[0] / self.steps)


class WholeStepOptimizer:
    """The four optimisers as their definitions read, in place, for a compiler to fuse with the rest of the step.

    All weights lie in one vector, which the network's parameters are made views of, so that the update is one loop.
    """

    def __init__(self, network: Network, settings: TrainingSettings) -> None:
        self.settings = settings
        self.steps = 0
        parameters = dict(network.named_parameters())
        self.vector = torch.cat([parameter.detach().flatten() for parameter in parameters.values()])
        self.sizes = [parameter.numel() for parameter in parameters.values()]
        self.shapes = {name: parameter.shape for name, parameter in parameters.items()}
        for name, view in self.weights().items():
            parameters[name].data = view
        count = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 1 if settings.momentum else 0}[settings.optimizer]
        self.slots = [torch.zeros_like(self.vector) for _ in range(count)]

    def weights(self) -> dict[str, Tensor]:
        """The network's parameters by name, views of the vector."""
        parts = self.vector.split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "slots": self.slots}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = state["steps"]
        for slot, value in zip(self.slots, state["slots"], strict=True):
            slot.copy_(value)

    def corrections(self, steps: int) -> Tensor:
        """1 / (1 − β1ᵗ) and 1 / (1 − β2ᵗ) of the next so many steps, shape (steps, 2); counts them as made."""
        t = np.arange(self.steps + 1, self.steps + steps + 1)[:, None]
        self.steps += steps
        return torch.tensor(1 / (1 - np.array([self.settings.beta1, self.settings.beta2]) ** t))

    def update(self, gradients: Mapping[str, Tensor], corrections: Tensor) -> None:
        """One step t, with its two corrections."""
        s, w = self.settings, self.vector
        g = torch.cat([gradients[name].flatten() for name in self.shapes])
        decay = s.learning_rate * s.weight_decay * w if s.optimizer == "adamw" else 0.0
        if s.weight_decay and s.optimizer != "adamw":
            g = g + s.weight_decay * w
        if s.optimizer == "sgd":
            change = self.slots[0].mul_(s.momentum).add_(g) if self.slots else g
        elif s.optimizer == "rmsprop":
            change = g / (self.slots[0].mul_(s.rho).add_((1 - s.rho) * g * g).sqrt() + s.epsilon)
        else:
            m = self.slots[0].mul_(s.beta1).add_((1 - s.beta1) * g)
            v = self.slots[1].mul_(s.beta2).add_((1 - s.beta2) * g * g)
            change = m * corrections[0] / ((v * corrections[1]).sqrt() + s.epsilon)
        w.sub_(s.learning_rate * change + decay)


Step = Callable[[Mapping[str, Tensor]], None]


def compiled(step: Step) -> Step:
    """The step as one function. It is compiled for one model alone and its arguments never change their form, so that
    nothing needs guarding; the compiler keeps what it has made by code object, and so the step gets one of its own."""
    step.__code__ = step.__code__.replace()
    unguarded = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    return torch.compile(step, fullgraph=True, dynamic=False, options=unguarded)


class Replay:
    """A step as one CUDA graph: it reads from fixed buffers, and moves on through the epoch by itself.

    Making it runs the step a few times.
    """

    def __init__(self, step: Step, epoch: Epoch) -> None:
        self.step, self.buffers = step, epoch
        self.place = torch.zeros(1, dtype=torch.int64, device=epoch[ROWS].device)
        self.launch = captured(self.next_step)

    def next_step(self) -> None:
        self.step({name: buffer.index_select(0, self.place)[0] for name, buffer in self.buffers.items()})
        self.place.add_(1).remainder_(len(self.buffers[ROWS]))

    def run(self, epoch: Epoch) -> None:
        for name, array in epoch.items():
            self.buffers[name].copy_(array)
        self.place.zero_()
        for _ in range(len(epoch[ROWS])):
            self.launch()


def captured(work: Callable[[], None]) -> Callable[[], None]:
    """The work as a CUDA graph; before it is captured it has to have run, on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class TunedModel(FusedModel):
    """A step, from the gathering of its rows to the update of its weights, as one compiled function.

    On a GPU the step reads its place in the epoch from the device and is replayed as one CUDA graph, so that the host
    launches once a step.
    """

    network_class = TunedNetwork

    @property
    def launch_bound(self) -> bool:
        """Whether launching a step's kernels takes longer than running them."""
        return self.device.type == "cuda"

    def make_optimizer(self) -> Any:
        return WholeStepOptimizer(self.network, self.settings)

    def load_data(self, X: NDArray[Any]) -> None:
        super().load_data(X)
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        self.kl_weight = torch.ones((), dtype=self.dtype, device=self.device)
        self.step = compiled(self.whole_step())
        self.replay: Replay | None = None

    def whole_step(self) -> Step:
        network, optimizer, data, kl_weight, totals = (
            self.network,
            self.optimizer,
            self.data,
            self.kl_weight,
            self.totals,
        )

        def loss(weights: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            arguments = data[batch[ROWS]], batch.get(EPSILON), batch
            reconstruction, kl = functional_call(network, weights, arguments)
            return reconstruction + kl_weight * kl, torch.stack((reconstruction, kl))

        def step(batch: Mapping[str, Tensor]) -> None:
            gradients, parts = grad(loss, has_aux=True)(optimizer.weights(), batch)
            optimizer.update(gradients, batch[CORRECTIONS])
            totals.add_(parts)

        return step

    def draw_epoch(self, epoch: int) -> Epoch:
        return super().draw_epoch(epoch) | {CORRECTIONS: self.optimizer.corrections(self.steps).to(self.totals)}

    @torch.no_grad()
    def first_step(self) -> None:
        epoch = self.draw_epoch(0)
        if self.launch_bound:
            self.replay = Replay(self.step, epoch)
        else:
            self.step(next(by_step(epoch)))

    @torch.no_grad()
    def run_epoch(self, epoch: int) -> None:
        if self.launch_bound and self.replay is None:
            self.compile_training()
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.kl_weight.fill_(self.last_kl_weight)
        self.totals.zero_()
        drawn = self.draw_epoch(epoch)
        if self.replay is not None:
            self.replay.run(drawn)
        else:
            for batch in by_step(drawn):
                self.step(batch)
        self.network.fit_sigma(self.totals[0] / self.steps)


MODES = {"idiomatic": IdiomaticModel, "fused": FusedModel, "tuned": TunedModel}
