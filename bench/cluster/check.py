"""What ``bench cluster check`` says: each worker in lines, who is odd, and what cannot run where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.cluster.workers import Worker, odd, software
from bench.suites.scenario import Scenario, Trial

GIB = 1 << 30
SHOWN = ("python", "numpy", "scikit-learn", "torch", "tensorflow", "tensorflow-cpu", "jax", "vaebench", "revision")


def lines(
    workers: Mapping[str, Worker | str], scenarios: Sequence[Scenario], *, timed: bool = True
) -> tuple[list[str], bool]:
    """The lines, and whether every worker can be used and every scenario runs somewhere.

    Parameters
    ----------
    workers : mapping
        By address: what a worker is, or why it cannot be used.
    scenarios : sequence of Scenario
        What is to be run there; none where it is only asked what there is.
    """
    usable = [worker for worker in workers.values() if isinstance(worker, Worker)]
    strange = odd(usable)
    machines = {name: letter for letter, name in enumerate(dict.fromkeys(w.machine for w in usable), start=1)}
    environments = list(dict.fromkeys(worker.environment_hash for worker in usable))
    told = [
        f"{_many(len(workers), 'worker')} on {_many(len(machines), 'machine')}, "
        f"{_many(len(environments), 'environment')}"
        + ("" if len(environments) < 2 else "; rates of different environments are shown apart")
    ]
    for address, worker in sorted(workers.items()):
        if isinstance(worker, str):
            told.append(f"{address}: refused: {worker}")
            continue
        told += [
            f"{worker.name} at {address}: machine {machines[worker.machine]} ({worker.host}), environment "
            f"{worker.environment_hash}",
            f"  {worker.threads} threads of {worker.cores} cores, {worker.memory / GIB:.1f} GiB, "
            f"GPU {worker.gpu or 'none'}, {worker.environment['machine']['cpu']}",
            "  " + ", ".join(f"{name} {software(worker)[name]}" for name in SHOWN if software(worker).get(name)),
        ]
        if address in strange:
            told.append(f"  no timed trials without --mixed: {strange[address]}")
        told += [f"  {name}: {reason}" for name, reason in {**worker.backends, **worker.data}.items()]
        told += [f"  {name.partition(' ')[0]}: {reason}" for name, reason in worker.detectors.items()]
        told += [f"  {reference}: sent from here when a run begins" for reference in worker.folders]
    nowhere = [
        f"nowhere: {scenario.label}: {reasons[0]}"
        for scenario in scenarios
        if usable and None not in (reasons := [worker.cannot(Trial("", scenario, 0, 0, timed)) for worker in usable])
    ]
    return told + nowhere, bool(usable) and len(usable) == len(workers) and not strange and not nowhere


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
