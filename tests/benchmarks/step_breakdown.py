"""What a training step in mode ``tuned`` spends outside its products, by backend: prints microseconds a step.

    python tests/benchmarks/step_breakdown.py torch 1

No profiler looks into all three frameworks, so parts are told apart by what a step takes without them:

- products: the least of NumPy's and PyTorch's time for the same products, one after the other (``limits``)
- noise: an epoch's draws, its order among them, divided by its steps
- gather: the rows of a batch, taken by NumPy
- update: what Adam takes more than plain gradient descent, which still takes the gradient off the weights
- dispatch: a step of a network of the same layers with one unit each, on batches of one row, less its own draws
- activations: all the rest: ReLU, loss, the sampling of z, their gradients, and what the products take more than above
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH, STEPS, FEATURES, REPEATS = 128, 200, 20, 15


def main(name: str, threads: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    from bench.environment import worker_environment

    os.environ.update(worker_environment(threads, "cpu"))
    import backends
    from backends.arithmetic import training_products
    from backends.spec import NetworkSpec, TrainingSettings
    from backends.weights import initial_weights
    from bench.worker.process import WorkerProcess

    backend, spec = backends.load(name), NetworkSpec(FEATURES, (128, 64), 8)
    X = np.random.default_rng(0).random((BATCH * STEPS, FEATURES), dtype=np.float32)

    def trained(spec: NetworkSpec, rows: np.ndarray, **settings: Any) -> Any:
        settings = {"mode": "tuned", "threads": threads} | settings
        model = backend.build(spec, initial_weights(spec, 0), TrainingSettings(**settings))
        model.load_data(rows)
        model.compile()
        return model

    def epoch(model: Any) -> Callable[[], None]:
        def run() -> None:
            model.run_epoch(0)
            model.synchronize()

        return run

    def draws(model: Any) -> Callable[[], None]:
        draw = getattr(model, "draw_batches", None) or model.draw_epoch

        def run() -> None:
            drawn = draw(0)
            if name == "jax":
                import jax

                jax.block_until_ready(drawn)

        return run

    adam, plain = trained(spec, X), trained(spec, X, optimizer="sgd", momentum=0.0)
    unit = trained(NetworkSpec(1, (1, 1), 1), X[:STEPS, :1].copy(), batch_size=1)
    order = np.random.default_rng(0).permutation(len(X)).reshape(STEPS, BATCH)
    taken = best(
        {
            "step": epoch(adam),
            "plain": epoch(plain),
            "unit": epoch(unit),
            "noise": draws(adam),
            "unit's noise": draws(unit),
            "gather": lambda: [X[rows] for rows in order],
        }
    )
    with WorkerProcess(threads, "cpu", 120) as worker:
        works = [("float32", training_products(spec, BATCH))]
        libraries = ["numpy", *([] if backends.unavailable("torch") else ["torch"])]
        found = [worker.request("limits", n, "cpu", libraries, works) for n in sorted({threads, 1}, reverse=True)]
    products = min(min(series["products"][0]) for reply in found for series in reply["libraries"].values()) * 1e6
    parts = {
        "products": products,
        "update": taken["step"] - taken["plain"],
        "noise": taken["noise"],
        "gather": taken["gather"],
        "dispatch": taken["unit"] - taken["unit's noise"],
    }
    parts["activations"] = taken["step"] - sum(parts.values())
    said = "  ".join(f"{part} {spent:.0f}" for part, spent in parts.items())
    print(f"{name}, {threads} threads: step {taken['step']:.0f} µs = {said}  (of limit {products / taken['step']:.2f})")


def best(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Microseconds a step of each, the best of several in turn: of what is the same each time, the rest is others'."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - start)
    return {name: min(seconds) / STEPS * 1e6 for name, seconds in found.items()}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
