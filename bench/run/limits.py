"""The hardware's limits, measured in the same run: the rate at which training would go if a step were nothing but its
matrix products and convolutions, the rate of large products, and the bandwidth of copying.

One process measures one device, for all the networks that train there and with every number of threads they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import backends
from backends.arithmetic import DENSE, flops, training_parts, training_products
from backends.spec import Device
from bench.records.record import Record
from bench.suites.fits import Shape
from bench.suites.scenario import Scenario
from bench.worker.process import TrialFailed, WorkerProcess
from bench.worker.products import COPIED_BYTES, SIDES, Convolving, Work

TIMEOUT = 300.0
TRIES = 3
"""How often limits are measured on a machine that is disturbed, before the last ones are taken with a mark."""
NOISE = 1.05
"""A fraction of the limit above this is more than the noise of both measurements."""

Limits = dict[str, Any]
"""What a record holds under ``limits``."""
Place = tuple[Device, int]
"""A device and a number of threads."""
Parts = dict[str, Work]
"""What a training step is made of, by the names of ``training_parts``."""


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
            needed.setdefault(place, {}).update(dict.fromkeys(works[scenario.hash].values()))
    found: dict[Place, Reply | str] = {}
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
    fraction = record["metrics"]["train_samples_per_second"] / limit
    record["limits"] = limits
    record["metrics"] |= {"limit_samples_per_second": limit, "fraction_of_limit": fraction}
    marks = [*limits["marks"], *(["over limit"] if fraction > NOISE else [])]
    record["marks"] = [*record["marks"], *marks]


def _work(scenario: Scenario, shape: Shape) -> Parts:
    assert scenario.training is not None
    training = scenario.training
    parts = training_parts(scenario.network(*shape), training.batch_size, training.importance_samples, scenario.moves)
    return {name: Work(scenario.precision, *part) for name, part in parts.items()}


def _flops_per_sample(scenario: Scenario, shape: Shape) -> int:
    assert scenario.training is not None
    batch = scenario.training.batch_size
    products = training_products(scenario.network(*shape), batch, scenario.training.importance_samples, scenario.moves)
    return flops(products) // batch


def _places(scenario: Scenario) -> list[Place]:
    """Small products are often faster on one thread, so that on the CPU both are tried."""
    threads = (scenario.threads,) if scenario.device == "gpu" else (1, scenario.threads)
    return [(scenario.device, count) for count in dict.fromkeys(threads)]


@dataclass(frozen=True)
class Reply:
    """What ``bench.worker.products.measure`` found in one place: series by library, the products' by work."""

    libraries: dict[str, dict[str, Any]]
    disturbed: bool


def _measured(device: Device, needed: Mapping[Place, list[Work]]) -> dict[Place, Reply | str]:
    """Replies by place, or why there are none; what was disturbed is measured again, up to ``TRIES`` times in all."""
    missing = backends.unavailable("torch")
    if device == "gpu" and missing:
        return dict.fromkeys(needed, missing)
    convolutions = any(work.convolution for works in needed.values() for work in works)
    torch = [] if missing else ["torch", *([Convolving.name] if convolutions else [])]
    libraries = torch if device == "gpu" else ["numpy", *torch]
    found: dict[Place, Reply | str] = {}
    for _ in range(TRIES):
        left = {place: works for place, works in needed.items() if _undone(found.get(place))}
        # the most threads first: the worker gives up cores, but gets none back
        places = sorted(left, key=lambda place: -place[1])
        try:
            with WorkerProcess(places[0][1], device, TIMEOUT) as worker:
                for place in places:
                    reply = worker.request("limits", place[1], device, libraries, left[place])
                    for series in reply["libraries"].values():
                        series["products"] = dict(zip(left[place], series["products"], strict=True))
                    found[place] = Reply(**reply)
        except TrialFailed as failed:
            found |= {place: failed.reason for place in places if place not in found}
        if not any(_undone(reply) for reply in found.values()):
            break
    return found


def _undone(reply: Reply | str | None) -> bool:
    return reply is None or (isinstance(reply, Reply) and reply.disturbed)


def _limits(scenario: Scenario, parts: Parts, found: Mapping[Place, Reply | str]) -> Limits | str:
    """For every part of a step the best of all libraries and numbers of threads: a limit is a maximum."""
    assert scenario.training is not None
    names = {DENSE: "products"}
    samples: dict[str, dict[str, list[float]]] = {names.get(part, part): {} for part in parts}
    samples |= {"matmul": {}, "copy": {}}
    for (_, threads), reply in found.items():
        if isinstance(reply, str):
            return reply
        for library, series in reply.libraries.items():
            name = f"{library}/{threads}"
            for part, work in parts.items():
                if series["products"][work]:
                    samples[names.get(part, part)][name] = series["products"][work]
            if scenario.precision in series["matmul"]:
                samples["matmul"][name], samples["copy"][name] = series["matmul"][scenario.precision], series["copy"]
    if not samples["matmul"]:
        return f"nothing here multiplies matrices in {scenario.precision} on the {scenario.device}"
    best: dict[str, tuple[float, str]] = {}
    for part in parts:
        best[part] = min((min(series), name) for name, series in samples[names.get(part, part)].items())
    of_each = {part: _source(name) | {"seconds": seconds} for part, (seconds, name) in best.items()}
    batch, products = scenario.training.batch_size, [product for work in parts.values() for product in work.products]
    return {
        "products_samples_per_second": batch / sum(seconds for seconds, _ in best.values()),
        **_source(max(best.values())[1]),
        "parts": of_each,
        "flops_per_sample": flops(products) // batch,
        "matmul_flops_per_second": 2 * SIDES[scenario.device] ** 3 / min(map(min, samples["matmul"].values())),
        "copy_bytes_per_second": 2 * COPIED_BYTES / min(map(min, samples["copy"].values())),
        "marks": ["limit disturbed"] if any(r.disturbed for r in found.values() if isinstance(r, Reply)) else [],
        "samples": samples,
    }


def _source(name: str) -> dict[str, Any]:
    library, _, threads = name.rpartition("/")
    return {"library": library, "threads": int(threads)}
