"""Training as the PyTorch tutorials show it: a DataLoader and an eager loop."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad
from torch.utils.data import DataLoader, Sampler, TensorDataset

from backends import randomness
from backends import weights as canonical
from backends.inference import Inference, RowFunction
from backends.interface import EpochLoss, Weights
from backends.randomness import CORRUPTION, EPSILON
from backends.spec import NetworkSpec, Score, TrainingSettings
from backends.torch.adversarial import attacked
from backends.torch.network import Network
from backends.torch.optimizers import make_optimizer

Epoch = dict[str, Tensor]
"""What its batches are made of, each of shape (steps, batch, ...): ``rows``, the row numbers, and the arrays of a
``randomness.Epoch`` by their names."""
ROWS = "rows"


class SharedOrder(Sampler[int]):
    """Visits the rows in the order that every backend shares, which is set before each pass."""

    def __init__(self, rows: int) -> None:
        self.order = range(rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


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
        self.make_generators()

    def make_generators(self) -> None:
        self.order_generator = torch.Generator().manual_seed(self.settings.seed)
        self.noise_generator = torch.Generator(self.device).manual_seed(self.settings.seed)

    def make_optimizer(self) -> Any:
        return make_optimizer(self.network, self.settings)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = torch.tensor(self.training_rows(X))
        self.steps = self.count // self.settings.batch_size
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
        self.keep_origin()
        self.bounds = None if self.interval is None else torch.tensor(self.interval, device=self.device)

    def keep_origin(self) -> None:
        """Remembers the generators as the first epoch over these rows finds them."""
        self.origin = self.order_generator.clone_state(), self.noise_generator.clone_state()

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
        """ε, η and dropout masks for so many rows."""
        drawn, generator = {}, self.noise_generator
        if self.spec.kind == "vae":
            shape = rows, self.spec.latent * self.settings.importance_samples
            drawn[EPSILON] = torch.randn(shape, device=self.device, dtype=self.dtype, generator=generator)
        if self.settings.input_noise:
            shape = rows, self.spec.features
            drawn[CORRUPTION] = torch.randn(shape, device=self.device, dtype=self.dtype, generator=generator)
        if self.settings.dropout:
            for name, width in self.spec.dropped().items():
                mask = torch.empty(rows, width, device=self.device, dtype=torch.bool)
                drawn[name] = mask.bernoulli_(1 - self.settings.dropout, generator=generator)
        return drawn

    def shared_epoch(self, epoch: int) -> Epoch:
        """An epoch from the source that every backend shares."""
        drawn = randomness.shared_epoch(self.spec, self.settings, epoch, self.count)
        arrays = {ROWS: torch.tensor(drawn.order)}
        for name, array in drawn.arrays.items():
            arrays[name] = torch.tensor(array, dtype=torch.bool if name in drawn.masks else self.dtype)
        return self.batches({name: array.to(self.device) for name, array in arrays.items()})

    def batches(self, arrays: Mapping[str, Tensor], steps: int | None = None) -> Epoch:
        """Arrays of as many rows as there are data, or as are used, by step; what is more than the steps of an epoch,
        or than so many, is left out."""
        shape = self.steps if steps is None else steps, self.settings.batch_size
        return {name: array[: shape[0] * shape[1]].view(*shape, *array.shape[1:]) for name, array in arrays.items()}

    def native_draws(self, epochs: Sequence[int]) -> Iterator[randomness.Epoch]:
        past = tuple(generator.clone_state() for generator in self.origin)
        for epoch in epochs:
            now = self.order_generator, self.noise_generator
            self.order_generator, self.noise_generator = past
            try:
                drawn = self.redraw(epoch)
            finally:
                self.order_generator, self.noise_generator = now
            rows = {name: array.flatten(0, 1).cpu().numpy() for name, array in drawn.items()}
            yield randomness.Epoch.of(rows.pop(ROWS), rows)

    def redraw(self, epoch: int) -> Epoch:
        """An epoch from the generators as they are."""
        loader = DataLoader(
            TensorDataset(torch.arange(len(self.data))),
            batch_size=self.settings.batch_size,
            shuffle=True,
            drop_last=True,
            generator=self.order_generator,
        )
        batches = [{ROWS: rows, **self.draw(len(rows))} for (rows,) in loader]
        return {name: torch.stack([batch[name] for batch in batches]) for name in batches[0]}

    def train_step(self, x: Tensor, drawn: Mapping[str, Tensor], kl_weight: float) -> Tensor:
        """One update; returns the batch's mean reconstruction and KL, still on the device."""
        moved = self.moved(x, drawn, kl_weight)
        self.optimizer.zero_grad(set_to_none=True)
        reconstruction, kl = self.network.batch_terms(moved, drawn, kl_weight, x)
        (reconstruction + kl_weight * kl).backward()
        self.optimizer.step()
        return torch.stack((reconstruction.detach(), kl.detach()))

    def moved(self, x: Tensor, drawn: Mapping[str, Tensor], kl_weight: float) -> Tensor:
        """The rows as they are trained on: where training is adversarial, moved."""
        if self.settings.adversarial is None or self.bounds is None:
            return x

        def loss(at: Tensor) -> Tensor:
            reconstruction, kl = self.network.batch_terms(at, drawn, kl_weight, x)
            return reconstruction + kl_weight * kl

        return attacked(loss, x, self.settings.adversarial, self.bounds)

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
        chunks = (X[start : start + self.sizes[0]] for start in range(0, max(len(X), 1), self.sizes[0]))
        results = [row_function(torch.tensor(chunk, device=self.device)) for chunk in chunks]
        return tuple(torch.cat(parts).cpu().numpy() for parts in zip(*results, strict=True))

    @torch.no_grad()
    def run_slopes(self, function: RowFunction, parts: tuple[float, ...], X: NDArray[Any]) -> NDArray[Any]:
        row_function = getattr(self.network, function)

        def total(x: Tensor) -> Tensor:
            return sum(part * result.sum() for part, result in zip(parts, row_function(x), strict=False))

        slopes = [grad(total)(chunk.to(self.device)) for chunk in torch.tensor(X).split(self.sizes[0])]
        return torch.cat(slopes).cpu().numpy()

    def device_memory_peak(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def export_weights(self) -> dict[str, NDArray[Any]]:
        return self.network.export()

    def import_weights(self, weights: Weights) -> None:
        canonical.check(weights, self.spec)
        self.network.replace(weights)

    def restart(self, weights: Weights, settings: TrainingSettings) -> None:
        canonical.check(weights, self.spec)
        self.settings = settings
        self.network.restart(weights, settings.seed)
        self.restart_optimizer()
        self.make_generators()

    def restart_optimizer(self) -> None:
        self.optimizer = self.make_optimizer()


def by_step(epoch: Epoch) -> Iterator[dict[str, Tensor]]:
    """Its batches, one after the other."""
    for values in zip(*(array.unbind() for array in epoch.values()), strict=True):
        yield dict(zip(epoch, values, strict=True))
