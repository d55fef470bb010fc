"""Cold and warm compilation: who finds which programs, and what a record then says. The worker is a stand-in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import backends
from bench.detect import registry
from bench.quality.thresholds import Threshold
from bench.run import trial as running
from bench.suites.scenario import Scenario, Training, Trial
from bench.worker import caches

HERE = {"machine": {"memory_bytes": 0}, "packages": {}}


class Compiler:
    """A worker whose framework keeps ``kept`` programs, and compiles in 8 s what it does not find, in 1 s what it does.
    One that forgets finds nothing again."""

    kept, forgets = ("one", "two"), False
    started: list[Path]

    def __init__(self, threads: int, device: str, timeout: float, *, variables: dict[str, str]) -> None:
        self.folder = Path(variables["JAX_COMPILATION_CACHE_DIR"])
        Compiler.started.append(self.folder)

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def extend(self, timeout: float) -> None:
        return

    stop = __enter__

    def request(self, command: str, *_: Any, **more: Any) -> dict[str, Any]:
        if command == "prepare":
            self.folder.mkdir(parents=True, exist_ok=True)
            programs = [self.folder / f"{name}-cache" for name in self.kept]
            warm = bool(programs) and all(program.exists() for program in programs) and not self.forgets
            self.seconds = 1.0 if warm else 8.0
            if self.forgets:
                programs = [self.folder / f"{len(Compiler.started)}-cache"]
            for program in programs:
                program.write_bytes(b"program")
            return {"epochs": 1, "backend": {}, "phases": {"compile": self.seconds}}
        if command == "epoch":
            return {"stop": False}
        if command == "score":
            metrics = {f"{name}_seconds": self.seconds for name in ("compile", "first_step", "result")}
            return {"metrics": metrics, "samples": {"compile": [self.seconds]}, "notes": [], "phases": {}}
        return {}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(running, "WorkerProcess", Compiler)
    monkeypatch.setattr(backends, "unavailable", lambda name: None)
    monkeypatch.setattr(registry, "unavailable", lambda *_: None)
    monkeypatch.setattr(Compiler, "started", [], raising=False)
    scenario = Scenario(
        "blobs-2d", "vae", "jax", "idiomatic", "cpu", "float32", 1, (Threshold(),), Training(hidden=(8,), latent=2)
    )

    def one(seed: int = 0, *, timed: bool = True, **options: Any) -> Any:
        trial = Trial("mine", scenario, seed, 0, timed)
        return running.run_trial(trial, HERE, timeout=60, self_check=False, **options)

    return one


def test_every_timed_trial_compiles_cold_from_a_folder_of_its_own_that_goes(run: Any) -> None:
    assert [run(seed)["metrics"]["compile_seconds"] for seed in (0, 1)] == [8.0, 8.0]
    first, second = Compiler.started
    assert first != second
    assert not first.exists()
    assert not second.exists()


def test_a_second_process_compiles_with_what_the_first_has_kept(run: Any) -> None:
    record = run(warm=True)
    assert Compiler.started[0] == Compiler.started[1]
    assert (record["metrics"]["compile_seconds"], record["metrics"]["compile_warm_seconds"]) == (8.0, 1.0)
    assert record["samples"]["compile_warm"] == [1.0]
    assert record["compile_cache"] == {"programs": 2, "added": 0}


def test_no_second_process_starts_where_the_framework_keeps_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compiler, "kept", ())
    record = run(warm=True)
    assert len(Compiler.started) == 1
    assert record["compile_cache"] == {"programs": 0, "added": 0}
    assert "compile_warm_seconds" not in record["metrics"]


def test_a_framework_that_does_not_find_its_programs_has_no_warm_time(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compiler, "forgets", True)
    record = run(warm=True)
    assert "compile_warm_seconds" not in record["metrics"]
    assert record["compile_cache"] == {"programs": 1, "added": 1}
    assert "compiled anew" in record["notes"][0]


def test_a_trial_that_finds_programs_tells_a_warm_time_and_no_cold_one(run: Any, tmp_path: Path) -> None:
    cold, warm = (run(seed, cache=tmp_path / "kept") for seed in (0, 1))
    assert (cold["metrics"]["compile_seconds"], warm["metrics"]["compile_warm_seconds"]) == (8.0, 1.0)
    assert "compile_warm_seconds" not in cold["metrics"]
    assert set(warm["metrics"]) == {"compile_warm_seconds"}


def test_what_is_not_timed_may_find_programs_and_tells_nothing_of_them(run: Any, tmp_path: Path) -> None:
    run(cache=tmp_path / "kept")
    record = run(1, timed=False, cache=tmp_path / "kept", warm=True)
    assert len(Compiler.started) == 2
    assert "compile_cache" not in record


def test_no_worker_looks_into_a_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "/home/user/cache")
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=1 --tf_xla_persistent_cache_directory=/home/user/cache")
    found = dict(os.environ) | caches.variables(tmp_path)
    assert not [name for name in found if found[name] == "/home/user/cache"]
    assert "/home/user" not in found["TF_XLA_FLAGS"]
    assert f"--tf_xla_persistent_cache_directory={tmp_path / 'xla'}" in found["TF_XLA_FLAGS"].split()
    assert "--tf_xla_auto_jit=1" in found["TF_XLA_FLAGS"].split()


def test_locks_and_notes_of_use_are_no_programs(tmp_path: Path) -> None:
    for name in ("locks/a.lock", "jax/jit_step-cache-atime", ".inner", "inductor/x.so", "jax/jit_step-cache"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert caches.programs(tmp_path) == {"inductor/x.so", "jax/jit_step-cache"}
