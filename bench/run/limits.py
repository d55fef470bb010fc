"""The hardware's limits, measured in the same run: the rate at which training would go if a step were nothing but its
matrix products, the rate of large products, and the bandwidth of copying.

One process measures one device, for all the networks that train there and with every number of threads they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import backends
from backends.arithmetic import flops, training_products
from backends.spec import Device
from bench.records.record import Record
from bench.suites.fits import Shape
from bench.suites.scenario import Scenario
from bench.worker.process import TrialFailed, WorkerProcess
from bench.worker.products import COPIED_BYTES, SIDES, Work

TIMEOUT = 300.0

Limits = dict[str, Any]
"""What a record holds under ``limits``."""
Place = tuple[Device, int]
"""A device and a number of threads."""


def measure(scenarios: Iterable[Scenario], shapes: Mapping[str, Shape]) -> dict[str, Limits | str]:
    """The limits of every network among the scenarios, by the scenario's hash; a line of why there are none.

    Parameters
    ----------
    scenarios : iterable of Scenario
        Those without a backend, or whose backend is not here, have no entry.
    shapes : mapping
        Every data set's shape, by its reference.
    """
    networks = [s for s in scenarios if s.backend is not None and backends.unavailable(s.backend) is None]
    works = {scenario.hash: _work(scenario, shapes[scenario.dataset]) for scenario in networks}
    needed: dict[Place, dict[Work, None]] = {}
    for scenario in networks:
        for place in _places(scenario):
            needed.setdefault(place, {})[works[scenario.hash]] = None
    found: dict[Place, dict[str, dict[str, Any]] | str] = {}
    for device in dict.fromkeys(device for device, _ in needed):
        found |= _measured(device, {place: list(works) for place, works in needed.items() if place[0] == device})
    return {
        scenario.hash: _limits(scenario, works[scenario.hash], {place: found[place] for place in _places(scenario)})
        for scenario in networks
    }


def attach(record: Record, scenario: Scenario, shape: Shape, limits: Limits | str) -> None:
    """Adds the limits, and the fraction of them that training reached, to the record of a trial that ended well.

    The columns of a data set can depend on the seed, where categories become columns: then the limit, measured for
    ``shape``, is scaled by the operations of a row.
    """
    if record["status"] != "ok":
        return
    if isinstance(limits, str):
        record["notes"] = [*record["notes"], f"The limit of the hardware could not be measured: {limits}."]
        return
    own = _flops_per_sample(scenario, (record["data"]["features"], shape[1]))
    limit = limits["products_samples_per_second"] * limits["flops_per_sample"] / own
    record["limits"] = limits
    record["metrics"] |= {
        "limit_samples_per_second": limit,
        "fraction_of_limit": record["metrics"]["train_samples_per_second"] / limit,
    }


def _work(scenario: Scenario, shape: Shape) -> Work:
    assert scenario.training is not None
    return scenario.precision, tuple(training_products(scenario.network(*shape), scenario.training.batch_size))


def _flops_per_sample(scenario: Scenario, shape: Shape) -> int:
    return flops(training_products(scenario.network(*shape), 1))


def _places(scenario: Scenario) -> list[Place]:
    """Small products are often faster on one thread, so that on the CPU both are tried."""
    threads = (scenario.threads,) if scenario.device == "gpu" else (1, scenario.threads)
    return [(scenario.device, count) for count in dict.fromkeys(threads)]


def _measured(device: Device, needed: Mapping[Place, list[Work]]) -> dict[Place, dict[str, dict[str, Any]] | str]:
    """Replies of ``bench.worker.products.measure`` with their products by work, or why there are none."""
    missing = backends.unavailable("torch")
    if device == "gpu" and missing:
        return dict.fromkeys(needed, missing)
    libraries = ["torch"] if device == "gpu" else ["numpy", *([] if missing else ["torch"])]
    found: dict[Place, dict[str, dict[str, Any]] | str] = {}
    # the most threads first: the worker gives up cores, but gets none back
    places = sorted(needed, key=lambda place: -place[1])
    try:
        with WorkerProcess(places[0][1], device, TIMEOUT) as worker:
            for place in places:
                works = needed[place]
                reply = worker.request("limits", place[1], device, libraries, works)
                found[place] = {
                    library: series | {"products": dict(zip(works, series["products"], strict=True))}
                    for library, series in reply.items()
                }
    except TrialFailed as failed:
        found |= {place: failed.reason for place in places if place not in found}
    return found


def _limits(scenario: Scenario, work: Work, found: Mapping[Place, dict[str, dict[str, Any]] | str]) -> Limits | str:
    """The best of all libraries and numbers of threads: a limit is a maximum."""
    assert scenario.training is not None
    precision, products = work
    samples: dict[str, dict[str, list[float]]] = {"products": {}, "matmul": {}, "copy": {}}
    sources: dict[str, tuple[str, int]] = {}
    for (_, threads), libraries in found.items():
        if isinstance(libraries, str):
            return libraries
        for library, series in libraries.items():
            if precision in series["matmul"]:
                name = f"{library}/{threads}"
                sources[name] = library, threads
                samples["products"][name] = series["products"][work]
                samples["matmul"][name] = series["matmul"][precision]
                samples["copy"][name] = series["copy"]
    if not sources:
        return f"nothing here multiplies matrices in {precision} on the {scenario.device}"
    seconds = {kind: {name: min(series) for name, series in by_name.items()} for kind, by_name in samples.items()}
    best = min(seconds["products"], key=seconds["products"].__getitem__)
    library, threads = sources[best]
    return {
        "products_samples_per_second": scenario.training.batch_size / seconds["products"][best],
        "library": library,
        "threads": threads,
        "flops_per_sample": flops(products) // scenario.training.batch_size,
        "matmul_flops_per_second": 2 * SIDES[scenario.device] ** 3 / min(seconds["matmul"].values()),
        "copy_bytes_per_second": 2 * COPIED_BYTES / min(seconds["copy"].values()),
        "samples": samples,
    }
