"""The proof that the backends are one model: every backend climbs the ladder, and each rung compares them all.

Each backend is held against the reference and against every other.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

import backends
import datasets
from backends.interface import BackendError, Capabilities
from backends.spec import Device, Precision, TrainingSettings
from bench.environment import environment, environment_hash, revision, source_digest
from bench.proof import compiled, known, ladder, native
from bench.proof.cases import Case, cases
from bench.proof.coverage import kind_of
from bench.proof.judging import areas, judge
from bench.proof.known import SCHEMA, Result
from bench.proof.ladder import REFERENCE, Data, Observed, Rows
from bench.suites.scenario import Scenario
from bench.worker.process import TrialFailed, WorkerProcess

TIMEOUT = 900.0
"""Seconds a backend may climb; far more than it needs on any machine that is worth a benchmark."""

BLOBS = "blobs?rows=16900"
"""9,633 training rows: 75 batches of 128 and a partial one, 3,750 steps in 50 epochs."""
TEST_STRIDE = 4
"""Of the blobs' test rows every so many: 1,014, which every climber scores with the weights of every other."""
DIGITS = "digits:4"

Progress = Callable[[str], None]


class VerifyError(ValueError):
    """A request that leaves nothing to verify; one line."""


def verify(
    names: Sequence[str] | None = None,
    *,
    precisions: Sequence[Precision] = ("float64", "float32"),
    device: Device = "cpu",
    mode: str = "idiomatic",
    quick: bool = False,
    strict: bool = True,
    progress: Progress = lambda doing: None,
) -> Result:
    """Sends the backends up the ladder, side by side, each in a worker of its own, and compares them.

    Parameters
    ----------
    names : sequence of str, optional
        Backends; without them all of ``backends.defaults()`` that can run here.
    precisions, device, mode
        What is verified; the reference always runs in float64 on the CPU.
    quick : bool
        Train for 5 epochs instead of 50 and leave out what ``bench.proof.cases.cases`` tells.
    strict : bool
        Whether a backend that is named and cannot be verified here is an error; otherwise it is left out.
    progress : callable
        Told in a few words what happens now.

    Returns
    -------
    dict
        Plain data, as ``bench verify --format json`` prints it; ``passed`` tells the whole of it.

    Raises
    ------
    VerifyError
        No backend can run here, or one that was named cannot, or there is none of that name.
    """
    started = time.perf_counter()
    asked = list(dict.fromkeys(names or backends.defaults()))
    required = strict and names is not None
    try:
        absent = {name: reason for name in asked if (reason := backends.unavailable(name))}
    except ValueError as error:
        raise VerifyError(str(error)) from None
    present = [name for name in asked if name not in absent]
    if absent and (required or not present):
        name, reason = next(iter(absent.items()))
        raise VerifyError(f"backend {name!r} cannot run here: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        here, versions, troubles, ladders = _climb(present, precisions, device, mode, quick, Path(folder), progress)
    skipped = {name: trouble.reason for name, trouble in troubles.items() if trouble.status == "skipped"}
    if skipped and (required or skipped.keys() == set(present)):
        name, reason = next(iter(skipped.items()))
        raise VerifyError(f"backend {name!r} cannot be verified here: {reason}")
    failures = {name: f"{t.status}: {t.reason}" for name, t in troubles.items() if name not in skipped}
    return {
        "schema": SCHEMA,
        "verified": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "quick": quick,
        "device": device,
        "mode": mode,
        "seconds": round(time.perf_counter() - started, 1),
        "passed": not failures and all(found["passed"] for found in ladders),
        "environment_hash": environment_hash(here),
        "revision": revision(),
        "source": source_digest(),
        "backends": {name: versions[name] for name in present if name not in troubles},
        "absent": absent | skipped,
        "failures": failures,
        "ladders": ladders,
    }


def _climb(
    climbing: list[str],
    precisions: Sequence[Precision],
    device: Device,
    mode: str,
    quick: bool,
    home: Path,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, dict[str, str]], dict[str, TrialFailed], list[dict[str, Any]]]:
    """The environment, the backends' versions, what kept backends from climbing, and one ladder a precision."""
    troubles: dict[str, TrialFailed] = {}
    with ExitStack() as stack:
        places = dict.fromkeys(climbing, device) | {REFERENCE: "cpu"}
        more = compiled.variables()
        workers = {n: stack.enter_context(WorkerProcess(1, p, TIMEOUT, variables=more)) for n, p in places.items()}
        pool = stack.enter_context(ThreadPoolExecutor(len(workers)))
        # The way out, also that of Ctrl-C: the processes end, so that the threads that wait for their replies do, and
        # only then are the pipes closed, since a thread that waits on a closed pipe would wait on.
        for worker in workers.values():
            stack.callback(worker.kill)

        def ask(command: str, requests: Mapping[str, Sequence[Any]]) -> dict[str, Future[dict[str, Any]]]:
            return {name: pool.submit(workers[name].request, command, *more) for name, more in requests.items()}

        def replies(pending: Mapping[str, Future[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
            """Of all that could reply; the others climb no further."""
            found = {}
            for name, future in pending.items():
                try:
                    found[name] = future.result()
                except TrialFailed as failed:
                    if name == REFERENCE:
                        raise VerifyError(f"the reference could not climb: {failed.reason}") from None
                    troubles[name] = failed
            return found

        progress(f"{', '.join(climbing)} import their frameworks")
        importing = ask("capabilities", {name: (name,) for name in climbing})
        data, labels = rows_and_labels()
        save_file(dict(data), home / ladder.DATA_FILE)
        here = environment()
        imported = {name: msgspec.convert(reply, Capabilities) for name, reply in replies(importing).items()}
        versions = {name: dict(found.versions) for name, found in imported.items()}
        for name, found in imported.items():
            wanted = TrainingSettings(random_source="shared", device=device, mode=mode, precision=precisions[0])
            try:
                found.check(wanted)
            except BackendError as error:
                troubles[name] = TrialFailed("skipped", str(error))

        ladders: list[dict[str, Any]] = []
        golden: Observed = {}
        for precision in precisions if set(climbing) - set(troubles) else ():
            climbing = [name for name in climbing if name not in troubles]
            progress(f"{', '.join(climbing)} climb in {precision}")
            requests: dict[str, Sequence[Any]] = {n: (n, str(home), precision, device, mode, quick) for n in climbing}
            if not golden:
                requests[REFERENCE] = (REFERENCE, str(home), "float64", "cpu", "idiomatic", quick)
            owners = [*replies(ask("climb", requests)), *([REFERENCE] if golden else [])]
            exchanged = replies(ask("exchange", dict.fromkeys(owners, (owners,))))
            golden = golden or ladder.read(home / ladder.observed_file(REFERENCE))
            observed = {n: ladder.read(home / ladder.observed_file(n)) for n in exchanged if n != REFERENCE}
            observed[REFERENCE] = dict(golden)
            expected = {n: ladder.read(home / ladder.expected_file(n)) for n in exchanged if n != REFERENCE}
            for name, seen in observed.items():
                seen |= ladder.read(home / ladder.exchanged_file(name)) | {ladder.AUC: areas(seen, labels, precision)}
            whole = cases(precision, quick=quick)[0]
            steps = whole.epochs * (len(data["blobs/train"]) // whole.settings.batch_size)
            judged = judge(observed, precision, expected)
            ladders.append(judged | {"steps": steps, "cases": climbed(precision, device, mode, quick)})
    return here, versions, troubles, ladders


def climbed(precision: Precision, device: Device, mode: str, quick: bool) -> list[dict[str, Any]]:
    """What the cases of a ladder are of: plain data, for whoever asks later what was covered."""
    found: list[Case | native.Case] = [*cases(precision, device, mode, quick)]
    found += native.cases(precision, device, mode, quick)
    return [
        {
            "case": case.name,
            "kind": kind_of(case.spec),
            "likelihood": case.spec.likelihood,
            "source": case.settings.random_source,
        }
        for case in found
    ]


def missing(scenarios: Sequence[Scenario], progress: Progress) -> Iterator[Result]:
    """Verifies, quickly, the backends of those scenarios of whose precision nothing is known here, one device and mode
    at a time.

    What cannot be verified is passed over: its trials will say by themselves why they cannot run.
    """
    for (device, mode), group in _arenas(scenarios).items():
        results = known.known(environment())
        # what is proved of a reduced precision is the model, in the type it is kept in
        stored = ("float64" if scenario.precision == "float64" else "float32" for scenario in group)
        if all(kept in _known_precisions(scenario, results) for kept, scenario in zip(stored, group, strict=True)):
            continue
        names = list(dict.fromkeys(str(scenario.backend) for scenario in group))
        with suppress(VerifyError):
            yield verify(names, device=device, mode=mode, quick=True, strict=False, progress=progress)


def _known_precisions(scenario: Scenario, results: list[Result]) -> set[str]:
    return {entry["precision"] for entry in known.of_scenario(scenario, results) or []}


def holds(scenarios: Sequence[Scenario]) -> bool:
    """Whether nothing that is known here tells that the backends of these scenarios differ."""
    results = known.known(environment())
    found = [known.of_scenario(scenario, results) for group in _arenas(scenarios).values() for scenario in group]
    return all(entry["passed"] for entries in found for entry in entries or [])


def _arenas(scenarios: Sequence[Scenario]) -> dict[tuple[Device, str], list[Scenario]]:
    """The scenarios whose backend can run here, by device and mode."""
    arenas: dict[tuple[Device, str], list[Scenario]] = {}
    for scenario in scenarios:
        if scenario.backend and scenario.mode and backends.unavailable(scenario.backend) is None:
            arenas.setdefault((scenario.device, scenario.mode), []).append(scenario)
    return arenas


def rows_and_labels() -> tuple[Data, NDArray[np.int8]]:
    """The rows of all cases, and the labels of the blobs' test rows."""
    blobs, digits = datasets.load(BLOBS, seed=0), datasets.load(DIGITS, seed=0)
    arrays: dict[str, Rows] = {}
    for part in ("train", "validation", "test"):
        attribute = "X_val" if part == "validation" else f"X_{part}"
        arrays[f"blobs/{part}"] = getattr(blobs, attribute)
        arrays[f"digits/{part}"] = getattr(digits, attribute)
        images = arrays[f"digits/{part}"].reshape(-1, 8, 8)
        arrays[f"odd/{part}"] = _rows(images[:, :7, :7])
        # three times as large, in a margin: 28×28 pixels
        enlarged = np.kron(images, np.ones((3, 3), np.float32))
        arrays[f"images/{part}"] = _rows(np.pad(enlarged, ((0, 0), (2, 2), (2, 2))))
    arrays["blobs/test"] = np.ascontiguousarray(blobs.X_test[::TEST_STRIDE])
    return arrays, blobs.y_test[::TEST_STRIDE]


def _rows(images: Rows) -> Rows:
    return np.ascontiguousarray(images.reshape(len(images), -1))
