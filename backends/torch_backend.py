"""The autoencoder in PyTorch, trained as its guide trains: nn.Module, DataLoader, and an eager loop."""

from __future__ import annotations

import copy
import platform
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, TensorDataset

from backends import randomness
from backends import weights as canonical
from backends.inference import CHUNK, Inference, RowFunction
from backends.interface import Capabilities, EpochLoss, Weights
from backends.spec import KERNEL, PADDING, STRIDE, Layer, NetworkSpec, Score, TrainingSettings

Masks = Mapping[str, Tensor]
Draws = tuple[Tensor | None, Masks]
NOTHING: Masks = {}


def capabilities() -> Capabilities:
    """What PyTorch reports about itself in this process."""
    devices, reasons = {"cpu": platform.machine()}, {}
    if torch.cuda.is_available():
        devices["gpu"] = torch.cuda.get_device_name()
    else:
        reasons["gpu"] = "PyTorch finds no CUDA device" if torch.version.cuda else "this PyTorch is built without CUDA"
    return Capabilities(
        versions={"torch": str(torch.__version__)},
        devices=devices,
        precisions=("float32", "float64"),
        modes=tuple(MODES),
        threads=torch.get_num_threads(),
        reasons=reasons,
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> IdiomaticModel:
    """A model that starts from these weights. Raises BackendError where the settings do not work here."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
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


LAYERS = {"dense": Dense, "convolution": Convolution, "transposed": Transposed}


class Network(nn.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu; where there are no masks, nothing drops."""

    def __init__(
        self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.spec = spec
        self.dropout = settings.dropout
        self.layers = nn.ModuleDict(
            {name.replace(".", "_"): LAYERS[layer.kind](layer, dtype) for name, layer in spec.layers().items()}
        )
        named, depth = list(zip(spec.layers(), self.layers.values(), strict=True)), spec.depth
        self.encoder, self.heads, self.decoder = named[:depth], named[depth : -depth - 1], named[-depth - 1 :]
        draws = torch.tensor(randomness.scoring_noise(settings.seed, spec.latent), dtype=dtype)
        self.register_buffer("scoring_noise", draws)
        self.to(device)
        self.replace(weights)

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        for name, layer in zip(self.spec.layers(), self.layers.values(), strict=True):
            arrays[f"{name}.kernel"] = layer.weight.detach().permute(layer.canonical_axes).cpu().numpy().copy()
            arrays[f"{name}.bias"] = layer.bias.detach().cpu().numpy().copy()
        return arrays

    @torch.no_grad()
    def replace(self, weights: Weights) -> None:
        for name, layer in zip(self.spec.layers(), self.layers.values(), strict=True):
            layer.weight.permute(layer.canonical_axes).copy_(torch.tensor(weights[f"{name}.kernel"]))
            layer.bias.copy_(torch.tensor(weights[f"{name}.bias"]))

    def encode(self, x: Tensor, masks: Masks = NOTHING) -> tuple[Tensor, Tensor]:
        for name, layer in self.encoder:
            x = self.drop(name, functional.relu(layer(x)), masks)
        mu, *logvar = (head(x) for _, head in self.heads)
        return mu, logvar[0] if logvar else torch.zeros_like(mu)

    def drop(self, name: str, x: Tensor, masks: Masks) -> Tensor:
        return x * masks[name] / (1 - self.dropout) if name in masks else x

    def sample(self, mu: Tensor, logvar: Tensor, epsilon: Tensor) -> Tensor:
        return mu + torch.exp(logvar / 2) * epsilon

    def decode(self, z: Tensor, masks: Masks = NOTHING) -> Tensor:
        *hidden, (_, output) = self.decoder
        for name, layer in hidden:
            z = self.drop(name, functional.relu(layer(z)), masks)
        return output(z)

    def mean(self, output: Tensor) -> Tensor:
        return output if self.spec.likelihood == "mse" else torch.sigmoid(output)

    def reconstruction(self, output: Tensor, x: Tensor) -> Tensor:
        if self.spec.likelihood == "mse":
            return functional.mse_loss(output, x, reduction="none").sum(-1)
        return functional.binary_cross_entropy_with_logits(output, x, reduction="none").sum(-1)

    def kl(self, mu: Tensor, logvar: Tensor) -> Tensor:
        if self.spec.kind == "autoencoder":
            return mu.new_zeros(len(mu))
        return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(-1)

    def terms(self, x: Tensor, epsilon: Tensor | None = None, masks: Masks = NOTHING) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encode(x, masks)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.reconstruction(self.decode(z, masks), x), self.kl(mu, logvar)

    def reconstruct(self, x: Tensor) -> tuple[Tensor]:
        return (self.mean(self.decode(self.encode(x)[0])),)

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


class SharedOrder(Sampler[int]):
    """Visits the rows in the order that every backend shares, which is set before each pass."""

    def __init__(self, rows: int) -> None:
        self.order = range(rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


def make_optimizer(network: Network, settings: TrainingSettings) -> torch.optim.Optimizer:
    """PyTorch's own four, which all follow the definitions: their weight decay is coupled but for AdamW's."""
    s, parameters = settings, network.parameters()
    if s.optimizer == "sgd":
        return torch.optim.SGD(parameters, s.learning_rate, momentum=s.momentum, weight_decay=s.weight_decay)
    if s.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, s.learning_rate, alpha=s.rho, eps=s.epsilon, weight_decay=s.weight_decay)
    kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, s.learning_rate, (s.beta1, s.beta2), s.epsilon, s.weight_decay)


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

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = torch.device("cuda" if settings.device == "gpu" else "cpu")
        self.dtype = getattr(torch, settings.precision)
        self.network = Network(spec, weights, settings, self.device, self.dtype)
        self.optimizer = make_optimizer(self.network, settings)
        self.order_generator = torch.Generator().manual_seed(settings.seed)
        self.noise_generator = torch.Generator(self.device).manual_seed(settings.seed)

    def load_data(self, X: NDArray[Any]) -> None:
        dataset = TensorDataset(torch.tensor(self.training_rows(X)))
        shared = self.settings.random_source == "shared"
        self.shared_order = SharedOrder(len(dataset))
        self.loader = DataLoader(
            dataset,
            batch_size=self.settings.batch_size,
            shuffle=None if shared else True,
            sampler=self.shared_order if shared else None,
            drop_last=True,
            pin_memory=self.device.type == "cuda",
            generator=self.order_generator,
        )

    def compile(self, scores: Sequence[Score] = ("reconstruction",)) -> None:
        """Eager PyTorch compiles nothing; the first calls still load kernels and allocate."""
        network, optimizer = copy.deepcopy(self.network.state_dict()), copy.deepcopy(self.optimizer.state_dict())
        noise = self.noise_generator.get_state()
        x = self.loader.dataset[: self.settings.batch_size][0].to(self.device)
        self.train_step(x, *self.draw(len(x)), self.settings.beta)
        for function in self.scoring_functions(scores):
            self.run_rows(function, x.cpu().numpy())
        self.network.load_state_dict(network)
        self.optimizer.load_state_dict(optimizer)
        self.noise_generator.set_state(noise)

    def draw(self, rows: int) -> Draws:
        """A batch's ε and dropout masks."""
        draw = partial(torch.empty, device=self.device, dtype=self.dtype)
        vae, generator = self.spec.kind == "vae", self.noise_generator
        epsilon = draw(rows, self.spec.latent).normal_(generator=generator) if vae else None
        if self.settings.dropout == 0:
            return epsilon, NOTHING
        keep = 1 - self.settings.dropout
        return epsilon, {
            name: draw(rows, width).bernoulli_(keep, generator=generator) for name, width in self.spec.dropped().items()
        }

    def shared_epoch(self, epoch: int) -> list[Draws]:
        """Every batch's, from the source that every backend shares, which also sets the order."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, len(self.shared_order))
        self.shared_order.order = drawn.order.tolist()

        def batches(array: NDArray[Any]) -> tuple[Tensor, ...]:
            return torch.tensor(array, dtype=self.dtype, device=self.device).split(self.settings.batch_size)

        steps = len(self.loader)
        noise = [None] * steps if drawn.noise is None else batches(drawn.noise)[:steps]
        masks = {name: batches(mask) for name, mask in drawn.masks.items()}
        return [(epsilon, {name: mask[step] for name, mask in masks.items()}) for step, epsilon in enumerate(noise)]

    def train_step(self, x: Tensor, epsilon: Tensor | None, masks: Masks, kl_weight: float) -> Tensor:
        """One update; returns the batch's mean reconstruction and KL, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        reconstruction, kl = (term.mean() for term in self.network.terms(x, epsilon, masks))
        (reconstruction + kl_weight * kl).backward()
        self.optimizer.step()
        return torch.stack((reconstruction.detach(), kl.detach()))

    def run_epoch(self, epoch: int) -> None:
        draws = self.shared_epoch(epoch) if self.settings.random_source == "shared" else None
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        for step, (batch,) in enumerate(self.loader):
            x = batch.to(self.device, non_blocking=True)
            epsilon, masks = self.draw(len(x)) if draws is None else draws[step]
            self.totals += self.train_step(x, epsilon, masks, self.last_kl_weight)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def device_timer(self) -> EventTimer | None:
        return EventTimer() if self.device.type == "cuda" else None

    def epoch_loss(self) -> EpochLoss:
        reconstruction, kl = (self.totals / len(self.loader)).tolist()
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


MODES = {"idiomatic": IdiomaticModel}
