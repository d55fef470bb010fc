"""Training in the faster ways: fused kernels, and a whole step compiled as one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad

from backends.torch.adversarial import attacked
from backends.torch.idiomatic import ROWS, Epoch, IdiomaticModel, by_step
from backends.torch.network import TunedNetwork
from backends.torch.optimizers import WholeStepOptimizer, make_optimizer

CORRECTIONS = "corrections"
"""The name of Adam's two bias corrections among what an epoch's batches are made of."""
Step = Callable[[Mapping[str, Tensor]], None]


class FusedModel(IdiomaticModel):
    """Eager steps over rows that stay on the device, an epoch's draws made at once, and the fused optimiser.

    Rows that are streamed come to it part by part, and so do their draws.
    """

    streams = True

    def make_optimizer(self) -> Any:
        return make_optimizer(self.network, self.settings, fused=True)

    def load_data(self, X: NDArray[Any]) -> None:
        self.data = torch.tensor(self.training_rows(X), device=self.device)
        self.steps = self.count // self.settings.batch_size
        self.bounds = None if self.interval is None else torch.tensor(self.interval, device=self.device)
        self.keep_origin()

    def draw_epoch(self, epoch: int) -> Epoch:
        if self.settings.random_source == "shared":
            return self.shared_epoch(epoch)
        order = torch.randperm(len(self.data), device=self.device, generator=self.noise_generator)
        return self.batches({ROWS: order, **self.draw(self.steps * self.settings.batch_size)})

    def parts(self, epoch: int) -> Iterator[Epoch]:
        """What an epoch draws: of rows that are held at once, of others part by part, each when its rows have come to
        the device, in the order in which they are visited."""
        if self.stream is None:
            yield self.draw_epoch(epoch)
            return
        place = torch.arange(len(self.data), device=self.device)
        for steps, rows in self.stream.parts(epoch):
            self.data.copy_(torch.from_numpy(rows))
            yield self.batches({ROWS: place, **self.draw(steps * self.settings.batch_size)}, steps)

    def redraw(self, epoch: int) -> Epoch:
        if self.stream is None:
            return self.draw_epoch(epoch)
        parts = [self.draw(steps * self.settings.batch_size) for steps in self.stream.steps]
        drawn = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return self.batches({ROWS: torch.from_numpy(self.stream.visited(epoch)), **drawn})

    def run_epoch(self, epoch: int) -> None:
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        for part in self.parts(epoch):
            for batch in by_step(part):
                self.totals += self.train_step(self.data[batch[ROWS]], batch, self.last_kl_weight)
        self.network.fit_sigma(self.totals[0] / self.steps)


def compiled(step: Step, device: torch.device) -> Step:
    """The step as one function. It is compiled for one model alone and its arguments never change their form, so that
    nothing needs guarding; the compiler keeps what it has made by code object, and so the step gets one of its own."""
    step.__code__ = step.__code__.replace()
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    if not torch.cpu._is_amx_tile_supported():
        # All compilers that PyTorch can be used with know AVX-512, and the processor has told what it has: to compile
        # and load a test program for each set of instructions takes a fifth of all compiling. Not all know AMX.
        options["cpp.vec_isa_ok"] = True
    if device.type == "cpu":
        # What calls the kernels, and the library's products between them, is C++ as well: in Python that takes a fifth
        # of a small network's step.
        options["cpp_wrapper"] = True
    return torch.compile(step, fullgraph=True, dynamic=False, options=options)


class Replay:
    """A step as one CUDA graph: it reads from fixed buffers, and moves on through the epoch, or a part of no more steps
    than the first, by itself.

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
            self.buffers[name][: len(array)].copy_(array)
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
    step: Step | None = None

    @property
    def launch_bound(self) -> bool:
        """Whether launching a step's kernels takes longer than running them."""
        return self.device.type == "cuda"

    def make_optimizer(self) -> Any:
        return WholeStepOptimizer(self.network, self.settings)

    def restart_optimizer(self) -> None:
        self.optimizer.restart()

    def load_data(self, X: NDArray[Any]) -> None:
        """What is compiled reads the rows, and what their values stay in, where they lie: others take their place."""
        rows, bounds = (self.data, self.bounds) if self.step else (None, None)
        super().load_data(X)
        if rows is not None and rows.shape == self.data.shape:
            self.data = rows.copy_(self.data)
            if bounds is not None and self.bounds is not None:
                self.bounds = bounds.copy_(self.bounds)
            return
        self.totals = torch.zeros(2, dtype=self.dtype, device=self.device)
        self.kl_weight = torch.ones((), dtype=self.dtype, device=self.device)
        self.step = compiled(self.whole_step(), self.device)
        self.replay: Replay | None = None

    def whole_step(self) -> Step:
        network, optimizer, data, kl_weight, totals = (
            self.network,
            self.optimizer,
            self.data,
            self.kl_weight,
            self.totals,
        )

        how, bounds = self.settings.adversarial, self.bounds

        def loss(
            weights: Mapping[str, Tensor], at: Tensor, x: Tensor, batch: Mapping[str, Tensor]
        ) -> tuple[Tensor, Tensor]:
            reconstruction, kl = functional_call(network, weights, (at, batch, kl_weight, x))
            return reconstruction + kl_weight * kl, torch.stack((reconstruction, kl))

        def step(batch: Mapping[str, Tensor]) -> None:
            weights, x = optimizer.weights(), data[batch[ROWS]]
            at = x if how is None else attacked(lambda at: loss(weights, at, x, batch)[0], x, how, bounds)
            gradients, parts = grad(loss, has_aux=True)(weights, at, x, batch)
            optimizer.update(gradients, batch[CORRECTIONS])
            totals.add_(parts)

        return step

    def parts(self, epoch: int) -> Iterator[Epoch]:
        for part in super().parts(epoch):
            yield part | {CORRECTIONS: self.optimizer.corrections(len(part[ROWS])).to(self.totals)}

    @torch.no_grad()
    def first_step(self) -> None:
        assert self.step is not None
        part = next(self.parts(0))
        if not self.launch_bound:
            self.step(next(by_step(part)))
        elif self.replay is None:
            self.replay = Replay(self.step, part)

    @torch.no_grad()
    def run_epoch(self, epoch: int) -> None:
        assert self.step is not None
        if self.launch_bound and self.replay is None:
            self.compile_training()
        self.last_kl_weight = self.settings.kl_weight(epoch)
        self.kl_weight.fill_(self.last_kl_weight)
        self.totals.zero_()
        for part in self.parts(epoch):
            if self.replay is not None:
                self.replay.run(part)
            else:
                for batch in by_step(part):
                    self.step(batch)
        self.network.fit_sigma(self.totals[0] / self.steps)
