"""The autoencoder in PyTorch, trained as its guide trains: nn.Module, DataLoader, and an eager loop."""

from __future__ import annotations

import copy
import platform
from collections.abc import Iterator, Sequence
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
from backends.spec import NetworkSpec, Score, TrainingSettings


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


class Network(nn.Module):
    """The layers; every method maps rows to rows. Where ε is None, z = mu."""

    def __init__(self, spec: NetworkSpec, weights: Weights, seed: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.spec = spec
        shapes = canonical.layers(spec)
        dense = [nn.utils.skip_init(nn.Linear, *shape, dtype=dtype) for shape in shapes.values()]
        depth = len(spec.hidden)
        self.encoder = nn.ModuleList(dense[:depth])
        self.heads = nn.ModuleList(dense[depth : -depth - 1])
        self.decoder = nn.ModuleList(dense[-depth - 1 :])
        self.register_buffer("scoring_noise", torch.tensor(randomness.scoring_noise(seed, spec.latent), dtype=dtype))
        with torch.no_grad():
            for name, layer in zip(shapes, dense, strict=True):
                layer.weight.copy_(torch.tensor(weights[f"{name}.kernel"]).T)
                layer.bias.copy_(torch.tensor(weights[f"{name}.bias"]))

    def export(self) -> dict[str, NDArray[Any]]:
        arrays = {}
        dense = [*self.encoder, *self.heads, *self.decoder]
        for name, layer in zip(canonical.layers(self.spec), dense, strict=True):
            arrays[f"{name}.kernel"] = layer.weight.detach().T.cpu().numpy().copy()
            arrays[f"{name}.bias"] = layer.bias.detach().cpu().numpy().copy()
        return arrays

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.encoder:
            x = functional.relu(layer(x))
        mu = self.heads[0](x)
        return mu, self.heads[1](x) if self.spec.kind == "vae" else torch.zeros_like(mu)

    def sample(self, mu: Tensor, logvar: Tensor, epsilon: Tensor) -> Tensor:
        return mu + torch.exp(logvar / 2) * epsilon

    def decode(self, z: Tensor) -> Tensor:
        *hidden, output = self.decoder
        for layer in hidden:
            z = functional.relu(layer(z))
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

    def terms(self, x: Tensor, epsilon: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encode(x)
        z = mu if epsilon is None else self.sample(mu, logvar, epsilon)
        return self.reconstruction(self.decode(z), x), self.kl(mu, logvar)

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
    """Visits the rows in the order that every backend shares; ``epoch`` is set before each pass."""

    def __init__(self, seed: int, rows: int) -> None:
        self.seed, self.rows, self.epoch = seed, rows, 0

    def __iter__(self) -> Iterator[int]:
        return iter(randomness.permutation(self.seed, self.epoch, self.rows).tolist())

    def __len__(self) -> int:
        return self.rows


class IdiomaticModel(Inference):
    """``backends.interface.Model`` with the training loop of the PyTorch tutorials."""

    def __init__(self, spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> None:
        super().__init__(spec, settings)
        self.device = torch.device("cuda" if settings.device == "gpu" else "cpu")
        self.dtype = getattr(torch, settings.precision)
        self.network = Network(spec, weights, settings.seed, self.dtype).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
        )
        self.order_generator = torch.Generator().manual_seed(settings.seed)
        self.noise_generator = torch.Generator(self.device).manual_seed(settings.seed)

    def load_data(self, X: NDArray[Any]) -> None:
        dataset = TensorDataset(torch.tensor(self.training_rows(X)))
        shared = self.settings.random_source == "shared"
        self.shared_order = SharedOrder(self.settings.seed, len(dataset))
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
        self.train_step(x, self.draw_noise(len(x)), self.settings.beta)
        for function in self.scoring_functions(scores):
            self.run_rows(function, x.cpu().numpy())
        self.network.load_state_dict(network)
        self.optimizer.load_state_dict(optimizer)
        self.noise_generator.set_state(noise)

    def draw_noise(self, rows: int) -> Tensor | None:
        if self.spec.kind == "autoencoder":
            return None
        return torch.randn(
            (rows, self.spec.latent), generator=self.noise_generator, device=self.device, dtype=self.dtype
        )

    def shared_noise(self, epoch: int) -> Tensor:
        noise = randomness.noise(self.settings.seed, epoch, len(self.shared_order), self.spec.latent)
        return torch.tensor(noise, dtype=self.dtype, device=self.device)

    def train_step(self, x: Tensor, epsilon: Tensor | None, kl_weight: float) -> Tensor:
        """One update; returns the batch's mean reconstruction and KL, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        reconstruction, kl = (term.mean() for term in self.network.terms(x, epsilon))
        (reconstruction + kl_weight * kl).backward()
        self.optimizer.step()
        return torch.stack((reconstruction.detach(), kl.detach()))

    def run_epoch(self, epoch: int) -> None:
        size = self.settings.batch_size
        self.shared_order.epoch = epoch
        shared = self.settings.random_source == "shared" and self.spec.kind == "vae"
        noise = self.shared_noise(epoch).split(size) if shared else None
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        for step, (batch,) in enumerate(self.loader):
            x = batch.to(self.device, non_blocking=True)
            epsilon = self.draw_noise(size) if noise is None else noise[step]
            self.totals += self.train_step(x, epsilon, self.last_kl_weight)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

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


MODES = {"idiomatic": IdiomaticModel}
