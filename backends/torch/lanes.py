"""Many trainings in one program: the step, mapped over lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad, vmap

from backends import weights as canonical
from backends.inference import TAIL
from backends.interface import BackendError, EpochLoss, Weights
from backends.lanes import Rows
from backends.spec import NORMAL_ENTROPY, NetworkSpec, TrainingSettings
from backends.torch import tuned
from backends.torch.idiomatic import ROWS, Epoch, IdiomaticModel, by_step
from backends.torch.network import Masks, Network
from backends.torch.optimizers import WholeStepOptimizer
from backends.torch.tuned import CORRECTIONS, FusedModel, Step

KEEP = "keep"
"""One minus a lane's rate of dropout, among its masks."""
LOG_SIGMA, SCORING_NOISE = "log_sigma", "scoring_noise"
"""What the network keeps beside its weights."""


class LaneNetwork(Network):
    """The network of any lane; its rate of dropout comes with the masks."""

    def drop(self, name: str, x: Tensor, masks: Masks) -> Tensor:
        return x * masks[name] / masks[KEEP] if name in masks else x

    def forward(self, function: str, *arguments: Any) -> Any:
        return getattr(self, function)(*arguments)


class LaneOptimizer(WholeStepOptimizer):
    """The four optimisers over a matrix of weights, a line for each lane, with a rate and a decay for each."""

    def __init__(self, network: Network, settings: Sequence[TrainingSettings]) -> None:
        super().__init__(network, settings[0])
        lanes = len(settings)
        self.vector = self.vector.repeat(lanes, 1)
        self.slots = [slot.repeat(lanes, 1) for slot in self.slots]
        self.going = torch.ones(lanes, 1, dtype=torch.bool, device=self.vector.device)
        self.learning_rate, self.weight_decay = (torch.empty(lanes, 1).to(self.vector) for _ in range(2))

    def weights(self) -> dict[str, Tensor]:
        parts = self.vector.split(self.sizes, -1)
        lead = self.vector.shape[:-1]
        return {name: part.view(*lead, *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def apply(self, change: Tensor) -> None:
        """Moves the lanes that are going."""
        self.vector.sub_(torch.where(self.going, change, 0.0))


class TorchLanes:
    """``backends.lanes.Lanes``: every array of a step has a first axis over the lanes."""

    def __init__(self, spec: NetworkSpec, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> None:
        self.spec, self.common = spec, settings[0]
        self.device = torch.device("cuda" if self.common.device == "gpu" else "cpu")
        self.dtype = getattr(torch, self.common.storage)
        self.network = LaneNetwork(spec, weights[0], self.common, self.device)
        self.optimizer = LaneOptimizer(self.network, settings)
        self.log_sigma = torch.zeros(len(settings), 1, dtype=self.dtype, device=self.device)
        self.scoring_noise = self.network.scoring_noise.repeat(len(settings), 1, 1)
        self.totals, self.kl_weight, self.keep_rate = (
            torch.zeros(len(settings), *shape, dtype=self.dtype, device=self.device) for shape in ((2,), (), ())
        )
        self.step: Step | None = None
        self.data: Tensor = torch.empty(0)
        self.restart(weights, settings)

    def restart(self, weights: Sequence[Weights], settings: Sequence[TrainingSettings]) -> None:
        self.settings = list(settings)
        self.optimizer.restart()
        for lane, (given, one) in enumerate(zip(weights, settings, strict=True)):
            canonical.check(given, self.spec)
            self.network.restart(given, one.seed)
            self.scoring_noise[lane] = self.network.scoring_noise
            vector = torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()])
            self.optimizer.vector[lane] = vector
            self.log_sigma[lane] = self.network.log_sigma
            self.optimizer.learning_rate[lane] = one.learning_rate
            self.optimizer.weight_decay[lane] = one.weight_decay
            self.keep_rate[lane] = 1 - one.dropout
        self.kept = self.optimizer.vector.clone(), self.log_sigma.clone()

    def load_data(self, X: Sequence[Rows]) -> None:
        rows, size = self.stacked(X), self.common.batch_size
        if rows.shape[1] < size:
            raise BackendError(f"{rows.shape[1]} training rows do not fill one batch of {size}: choose a smaller batch")
        self.steps = rows.shape[1] // size
        if self.step is not None and self.data.shape == rows.shape:
            self.data.copy_(rows)
        else:
            self.data = rows
            whole = self.whole_step()
            self.step = tuned.compiled(whole, self.device) if self.common.mode == "tuned" else whole
        self.sources = [self.source(lane) for lane in range(len(X))]

    def source(self, lane: int) -> IdiomaticModel:
        """What draws as this lane's training would alone; of its rows it knows the number, and it trains nothing."""
        kind = IdiomaticModel if self.common.mode == "idiomatic" else FusedModel
        model = kind(self.spec, self.export_weights(lane), self.settings[lane])
        model.data, model.count, model.steps = self.data[lane], self.data.shape[1], self.steps
        model.keep_origin()
        return model

    def stacked(self, X: Sequence[Rows]) -> Tensor:
        """Rows of all lanes, shape (lanes, rows, features), on the device in the storage type."""
        if len({rows.shape for rows in X}) > 1 or X[0].shape[1:] != (self.spec.features,):
            shapes = sorted({rows.shape for rows in X})
            raise ValueError(f"the rows of all lanes must have one shape (rows, {self.spec.features}), not {shapes}")
        return torch.tensor(np.stack(X), dtype=self.dtype, device=self.device)

    def whole_step(self) -> Step:
        """A step of all lanes: gather, forward, backward and the optimiser."""
        network, optimizer, data, totals, kl_weights, keeps = (
            self.network,
            self.optimizer,
            self.data,
            self.totals,
            self.kl_weight,
            self.keep_rate,
        )
        places = torch.arange(len(data), device=self.device)[:, None]

        def loss(
            weights: Mapping[str, Tensor], x: Tensor, kl_weight: Tensor, keep: Tensor, drawn: Mapping[str, Tensor]
        ) -> tuple[Tensor, Tensor]:
            arguments = "batch_terms", x, {**drawn, KEEP: keep}, kl_weight
            reconstruction, kl = functional_call(network, weights, arguments)
            return reconstruction + kl_weight * kl, torch.stack((reconstruction, kl))

        def step(batch: Mapping[str, Tensor]) -> None:
            drawn = {name: array for name, array in batch.items() if name not in (ROWS, CORRECTIONS)}
            x = data[places, batch[ROWS]]
            each = vmap(grad(loss, has_aux=True))
            gradients, parts = each(optimizer.weights(), x, kl_weights, keeps, drawn)
            optimizer.update(gradients, batch[CORRECTIONS])
            totals.add_(parts)

        return step

    @torch.no_grad()
    def compile(self) -> None:
        state = [self.optimizer.vector, *self.optimizer.slots, self.totals]
        before = [array.clone() for array in state]
        generators = [source.origin for source in self.sources]
        steps = self.optimizer.steps
        assert self.step is not None
        self.step(next(by_step(self.draw_epoch(0))))
        self.optimizer.steps = steps
        for array, value in zip(state, before, strict=True):
            array.copy_(value)
        for source, (order, noise) in zip(self.sources, generators, strict=True):
            source.order_generator, source.noise_generator = order.clone_state(), noise.clone_state()

    def draw_epoch(self, epoch: int) -> Epoch:
        """What each lane draws, of shape (steps, lanes, batch, ...), and Adam's corrections."""
        shared = self.common.random_source == "shared"
        drawn = [source.shared_epoch(epoch) if shared else source.redraw(epoch) for source in self.sources]
        corrections = self.optimizer.corrections(self.steps).to(self.totals)
        return {name: torch.stack([one[name] for one in drawn], 1) for name in drawn[0]} | {CORRECTIONS: corrections}

    @torch.no_grad()
    def run_epoch(self, epoch: int, going: Sequence[bool]) -> None:
        assert self.step is not None
        self.last_kl_weights = [one.kl_weight(epoch) for one in self.settings]
        self.kl_weight.copy_(torch.tensor(self.last_kl_weights, dtype=torch.float64))
        self.optimizer.going.copy_(torch.tensor(going)[:, None])
        self.totals.zero_()
        for batch in by_step(self.draw_epoch(epoch)):
            self.step(batch)
        if self.spec.likelihood == "gaussian":
            fitted = self.totals[:, :1] / self.steps / self.spec.features - NORMAL_ENTROPY
            self.log_sigma.copy_(torch.where(self.optimizer.going, fitted, self.log_sigma))

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def epoch_losses(self) -> list[EpochLoss]:
        parts = (self.totals / self.steps).tolist()
        return [
            EpochLoss(reconstruction + weight * kl, reconstruction, kl)
            for weight, (reconstruction, kl) in zip(self.last_kl_weights, parts, strict=True)
        ]

    @torch.no_grad()
    def evaluate(self, X: Sequence[Rows]) -> list[EpochLoss]:
        def terms(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
            found: tuple[Tensor, Tensor] = functional_call(self.network, {**weights, **own}, ("terms", x))
            return found

        weights, own = self.optimizer.weights(), {LOG_SIGMA: self.log_sigma, SCORING_NOISE: self.scoring_noise}
        found = [vmap(terms)(weights, own, chunk) for chunk in self.stacked(X).split(TAIL, 1)]
        parts = (torch.cat(terms, 1).cpu().numpy() for terms in zip(*found, strict=True))
        means = zip(*(np.mean(part, axis=1, dtype=np.float64).tolist() for part in parts), strict=True)
        return [EpochLoss(r + one.beta * kl, r, kl) for one, (r, kl) in zip(self.settings, means, strict=True)]

    @torch.no_grad()
    def keep(self, lanes: Sequence[bool]) -> None:
        chosen = torch.tensor(lanes, device=self.device)[:, None]
        for kept, now in zip(self.kept, (self.optimizer.vector, self.log_sigma), strict=True):
            kept.copy_(torch.where(chosen, now, kept))

    @torch.no_grad()
    def export_weights(self, lane: int, kept: bool = False) -> dict[str, NDArray[Any]]:
        vector, log_sigma = self.kept if kept else (self.optimizer.vector, self.log_sigma)
        parts = vector[lane].split(self.optimizer.sizes)
        for parameter, part in zip(self.network.parameters(), parts, strict=True):
            parameter.copy_(part.view(parameter.shape))
        self.network.log_sigma.copy_(log_sigma[lane])
        return self.network.export()
