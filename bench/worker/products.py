"""How fast this process's device multiplies matrices, convolves images and copies memory with nothing else to do; a
worker runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from backends.arithmetic import Convolution, Product
from backends.interface import BackendError
from backends.spec import Device, Precision
from bench.worker.counters import Watch, disturbed, own_cores

SAMPLES = 5
SAMPLE_SECONDS = 0.01
"""At least so long is a sample; a limit is the best of them, so more samples serve it better than longer ones."""
SIDES: dict[Device, int] = {"cpu": 1024, "gpu": 4096}
"""Rows and columns of the large matrices."""
COPIED_BYTES = 1 << 27
"""Size of the copied array: 128 MiB, beyond the caches that one process gets."""

QUEUED = 50
"""Runs that a GPU gets at once, so that it never waits for the host."""


class Work(NamedTuple):
    """Products to run one after the other, and in which arithmetic; a convolution where they amount to one."""

    precision: Precision
    products: Sequence[Product]
    convolution: Convolution | None = None


Operands = tuple[Any, Any, Any]
"""Two factors and the array that takes their product."""


class Library(Protocol):
    """What multiplies and copies. What its functions return makes ``runs`` runs and may end before the device does."""

    name: str
    precisions: tuple[Precision, ...]
    runs: int
    general: bool
    """Whether it multiplies any matrices, and copies; otherwise it is asked for convolutions alone."""

    def sequence(self, work: Work) -> Callable[[], None]:
        """Each run computes all the products, one after the other."""

    def copying(self, size: int) -> Callable[[], None]:
        """Each run copies so many bytes."""

    def threads(self, count: int) -> AbstractContextManager[object]:
        """Within it, products take so many threads."""

    def synchronize(self) -> None:
        """Returns when the device has nothing left to do."""


class NumPy:
    """The BLAS that NumPy is built on."""

    name = "numpy"
    precisions: tuple[Precision, ...] = ("float32", "float64")
    runs = 1
    general = True

    def sequence(self, work: Work) -> Callable[[], None]:
        precision, products, _ = work
        draw = np.random.default_rng(0).standard_normal
        calls = operands(products, partial(draw, dtype=precision), partial(np.empty, dtype=precision))

        def run() -> None:
            for left, right, result in calls:
                np.dot(left, right, result)

        return run

    def copying(self, size: int) -> Callable[[], None]:
        source = np.ones(size, np.int8)
        return partial(np.copyto, np.zeros_like(source), source)

    def threads(self, count: int) -> AbstractContextManager[object]:
        limits: AbstractContextManager[object] = threadpool_limits(count)
        return limits

    def synchronize(self) -> None:
        """NumPy's calls return when they are done."""


class Torch:
    """What PyTorch calls: oneDNN and its BLAS on the CPU, cuBLAS on a GPU, there within one CUDA graph."""

    name = "torch"
    general = True

    def __init__(self, device: Device) -> None:
        import torch

        if device == "gpu" and not torch.cuda.is_available():
            raise BackendError("PyTorch finds no GPU")
        torch.set_grad_enabled(False)
        self.torch = torch
        self.device = torch.device("cuda" if device == "gpu" else "cpu")
        self.runs = QUEUED if device == "gpu" else 1
        self.precisions: tuple[Precision, ...] = ("float32", "float64", "bfloat16")
        if device == "gpu" and torch.cuda.get_device_capability() >= (8, 0):
            self.precisions += ("tf32",)

    def sequence(self, work: Work) -> Callable[[], None]:
        torch, new = self.torch, self._arrays(work.precision)
        calls = operands(work.products, new(torch.randn), new(torch.empty))

        def run() -> None:
            for left, right, result in calls:
                torch.mm(left, right, out=result)

        return self._queued(run)

    def _arrays(self, precision: Precision) -> Callable[[Any], Any]:
        """What makes a function of PyTorch make arrays of this precision on the device."""
        torch = self.torch
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        dtype = torch.float32 if precision == "tf32" else getattr(torch, precision)
        return partial(partial, dtype=dtype, device=self.device)

    def copying(self, size: int) -> Callable[[], None]:
        source = self.torch.ones(size, dtype=self.torch.int8, device=self.device)
        return self._queued(partial(self.torch.zeros_like(source).copy_, source))

    def _queued(self, run: Callable[[], None]) -> Callable[[], None]:
        """On a GPU, all runs as one launch: small products would otherwise be bound by their launches."""
        if self.device.type == "cpu":
            return run
        torch = self.torch
        # the first run is outside the graph, on a stream of its own, as the documentation of CUDA graphs asks
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            run()
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(self.runs):
                run()
        kept = graph, run  # the graph itself holds no reference to the arrays
        return lambda: kept[0].replay()

    def threads(self, count: int) -> AbstractContextManager[object]:
        self.torch.set_num_threads(count)
        return nullcontext()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()


class Convolving(Torch):
    """The convolutions that PyTorch calls: oneDNN's own on the CPU, cuDNN's on a GPU; channels last or first, whichever
    takes less time."""

    name = "torch convolution"
    general = False

    def sequence(self, work: Work) -> Callable[[], None]:
        layouts = (self.torch.channels_last, self.torch.contiguous_format)
        tried = [self._queued(self._step(work, layout)) for layout in layouts]
        return min(tried, key=lambda run: min(samples(run, self.synchronize, self.runs)))

    def _step(self, work: Work, layout: Any) -> Callable[[], None]:
        """Output and gradients of one layer, in this layout of memory."""
        torch, draw = self.torch, self._arrays(work.precision)(self.torch.randn)
        torch.backends.cudnn.allow_tf32 = work.precision == "tf32"
        assert work.convolution is not None
        rows, outer, inner, larger, transposed, first, window, stride, moves = work.convolution
        smaller = [-(-side // s) for side, s in zip(larger, stride, strict=True)]
        extra = [side - s * (small - 1) - 1 for side, s, small in zip(larger, stride, smaller, strict=True)]
        shapes = (rows, outer, *larger), (rows, inner, *smaller)
        x, g = (draw(shape).to(memory_format=layout) for shape in (reversed(shapes) if transposed else shapes))
        kernel = draw((inner, outer, *window)).to(memory_format=layout)
        how = stride, [side // 2 for side in window], [1, 1], transposed, extra if transposed else [0, 0], 1

        def run() -> None:
            for _ in range(moves):
                torch.ops.aten.convolution(x, kernel, None, *how)
                torch.ops.aten.convolution_backward(g, x, kernel, None, *how, [True, False, False])
            torch.ops.aten.convolution(x, kernel, None, *how)
            torch.ops.aten.convolution_backward(g, x, kernel, None, *how, [not first, True, False])

        return run


def operands(
    products: Iterable[Product], draw: Callable[[tuple[int, int]], Any], empty: Callable[[tuple[int, int]], Any]
) -> list[Operands]:
    """Arrays for the products. Equal shapes share memory, as a step's weights and activations are read again and again,
    but no result is a factor: the values stay what was drawn, however often the products run."""
    factor, result = cache(draw), cache(empty)
    return [(factor((m, k)), factor((k, n)), result((m, n))) for m, k, n in products]


def measure(threads: int, device: Device, libraries: Sequence[str], works: Sequence[Work]) -> dict[str, Any]:
    """Seconds a run, every sample of it, by library, and whether anything else used the cores meanwhile.

    ``products`` holds one series a work, in their order, or None where the library lacks its precision or it is no
    convolution; ``matmul`` one a precision, of the product of two large square matrices; ``copy`` one, of copying an
    array.

    Raises
    ------
    BackendError
        The device is not there; one line.
    """
    works = [Work(*work) for work in works]
    large = [Product(*3 * (SIDES[device],))]
    reply, watch = {}, Watch()
    for library in _loaded(device, libraries):
        used = dict.fromkeys(work.precision for work in works if work.precision in library.precisions)
        timed = partial(samples, synchronize=library.synchronize, runs=library.runs)
        with watch.stretch(), library.threads(threads):
            reply[library.name] = {
                "products": [
                    timed(library.sequence(work))
                    if work.precision in used and (library.general or work.convolution)
                    else None
                    for work in works
                ],
                "matmul": {p: timed(library.sequence(Work(p, large))) for p in used if library.general},
                "copy": timed(library.copying(COPIED_BYTES)) if library.general else None,
            }
    return {"libraries": reply, "disturbed": disturbed(watch.disturbance(), len(reply), len(own_cores()))}


def samples(
    run: Callable[[], None],
    synchronize: Callable[[], None],
    runs: int = 1,
    now: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds a run in each of ``SAMPLES`` samples, where a call of ``run`` makes so many ``runs``.

    A sample ends with the first call that ends after ``SAMPLE_SECONDS``: where another process holds a core, a call can
    take a thousand times as long as the one before it.
    """

    def sample() -> float:
        synchronize()
        start, calls = now(), 0
        while (elapsed := now() - start) < SAMPLE_SECONDS:
            run()
            synchronize()
            calls += 1
        return elapsed / (calls * runs)

    run()  # the first call allocates, loads kernels and starts threads
    return [sample() for _ in range(SAMPLES)]


def _loaded(device: Device, libraries: Sequence[str]) -> Iterator[Library]:
    """One after the other, so that NumPy is measured before another library's threads are there."""
    if "numpy" in libraries:
        yield NumPy()
    if "torch" in libraries:
        yield Torch(device)
    if Convolving.name in libraries:
        yield Convolving(device)
