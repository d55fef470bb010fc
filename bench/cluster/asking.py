"""What the workers are asked before anything is sent to them, and the files that they get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import datasets
from bench.cluster import task
from bench.cluster.workers import Worker, wanted
from bench.suites.fits import Facts
from bench.suites.scenario import Scenario

if TYPE_CHECKING:
    from distributed import Client

MOST_SENT = 64 << 20
"""Bytes of a file that are sent to workers that do not have it; a larger one needs a path that they share."""


def question(scenarios: Sequence[Scenario], data_dir: str | None) -> dict[str, Any]:
    """What every worker is asked: whether it has what these scenarios need."""
    data: dict[str, str | None] = {}
    for reference in dict.fromkeys(scenario.dataset for scenario in scenarios):
        path = own_file(reference)
        data[reference] = task.sha256(path) if path else None
    detectors = {wanted(scenario): (scenario.detector, scenario.parameters) for scenario in scenarios}
    return {
        "backends": sorted({scenario.backend for scenario in scenarios if scenario.backend}),
        "detectors": [(label, name, parameters) for label, (name, parameters) in detectors.items()],
        "data": data,
        "data_dir": data_dir,
    }


def own_file(reference: str) -> Path | None:
    """The file here that a reference of the family ``file`` names; None for any other, or where there is none."""
    if not reference.startswith("file:"):
        return None
    path = Path(str(datasets.parse(reference).arguments["path"])).expanduser()
    return path if path.is_file() else None


def described(client: Client, asked: Mapping[str, Any], addresses: Sequence[str]) -> dict[str, Worker | str]:
    """What each worker is, or in one line why it cannot be used."""
    if not addresses:
        return {}
    try:
        replies = client.run(task.describe, msgspec.json.encode(asked), workers=list(addresses), on_error="return")
    except Exception as error:  # one went away meanwhile, or says what cannot be sent
        if len(addresses) == 1:
            return {addresses[0]: _unusable(error)}
        return {address: found for one in addresses for address, found in described(client, asked, [one]).items()}
    return {
        address: msgspec.json.decode(reply, type=Worker) if isinstance(reply, bytes) else _unusable(reply)
        for address, reply in replies.items()
    }


def _unusable(error: object) -> str:
    text = " ".join(str(error).split())[:200]
    if "No module named 'bench" in text:
        return "vaebench is not installed there, or another version of it"
    return f"it did not answer: {text or type(error).__name__}"


def _lacking(worker: Worker) -> dict[str, Path]:
    """The user's own files that a worker does not have, by reference; one that has another file there is not asked."""
    found = {reference: own_file(reference) for reference in worker.data}
    return {
        reference: path
        for reference, path in found.items()
        if path is not None and "is another file here" not in worker.data[reference]
    }


def with_files(worker: Worker) -> Worker:
    """The worker as it will be once a run has sent it the user's own files."""
    sent = [reference for reference, path in _lacking(worker).items() if path.stat().st_size <= MOST_SENT]
    data = {reference: reason for reference, reason in worker.data.items() if reference not in sent}
    return replace(worker, data=data, folders=dict.fromkeys(sent, ""))


def send_files(client: Client, worker: Worker, asked: Mapping[str, Any]) -> Worker:
    """The worker with the user's own files that it did not have, as far as they are small enough to be sent."""
    data, folders = dict(worker.data), dict(worker.folders)
    for reference, path in _lacking(worker).items():
        if path.stat().st_size > MOST_SENT:
            data[reference] = (
                f"{path} is not there, and larger than the {MOST_SENT >> 20} MiB that are sent: it needs a shared path"
            )
            continue
        try:
            reply = client.run(task.receive, path.name, path.read_bytes(), workers=[worker.address], on_error="return")
        except OSError as error:
            data[reference] = f"{path} could not be sent: {error}"
            continue
        folder = reply[worker.address]
        if isinstance(folder, str):
            del data[reference]
            folders[reference] = folder
        else:
            data[reference] = f"{path} could not be sent: {folder}"
    return replace(worker, data=data, folders=folders)


def facts_there(client: Client, reference: str, seed: int, data_dir: Path | None) -> Facts | str | None:
    """What some worker knows of a data set that is not here; None where none has it."""
    where = str(data_dir) if data_dir else None
    asked = question([], where) | {"data": {reference: None}}
    for address, worker in described(client, asked, list(client.nthreads())).items():
        if isinstance(worker, Worker) and reference not in worker.data:
            reply = client.submit(task.facts, reference, seed, where, workers=[address], pure=False).result()
            found = msgspec.json.decode(reply)
            return str(found["unusable"]) if "unusable" in found else msgspec.convert(found, Facts)
    return None
