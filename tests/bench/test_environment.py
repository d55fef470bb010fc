"""The environment: what makes two records comparable, and what a worker is started with."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

import backends
from bench import environment as env


def test_the_hash_follows_machine_and_packages_and_not_the_revision():
    here = env.environment()
    other = copy.deepcopy(here) | {"revision": "something else"}
    assert env.environment_hash(other) == env.environment_hash(here)
    other["packages"]["numpy"] = "0.1"
    assert env.environment_hash(other) != env.environment_hash(here)
    changed = copy.deepcopy(here)
    changed["machine"]["cores"] += 1
    assert env.environment_hash(changed) != env.environment_hash(here)


def test_threads_and_memory_policy_are_set_for_every_framework():
    variables = env.worker_environment(3, "gpu")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC"):
        assert variables[name] == "3"
    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_a_cpu_trial_sees_no_gpu_and_a_gpu_trial_is_not_blinded(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert env.worker_environment(1, "cpu")["CUDA_VISIBLE_DEVICES"] == ""
    assert env.worker_environment(1, "gpu")["CUDA_VISIBLE_DEVICES"] == "1"


HOME = Path(backends.__file__).parent
FILES = sorted(str(path.relative_to(HOME)) for path in HOME.rglob("*.py"))


def test_a_changed_byte_anywhere_in_the_backends_or_the_ladder_changes_the_digest(monkeypatch, tmp_path):
    shutil.copytree(HOME, tmp_path / "backends", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(backends, "__file__", str(tmp_path / "backends" / "__init__.py"))
    monkeypatch.setattr(backends, "source", lambda name: ())
    ladder = {name: env._source(name) for name in env.LADDER}
    copies = {name: shutil.copy(path, tmp_path / f"{name}.py") for name, path in ladder.items()}
    monkeypatch.setattr(env, "_source", lambda name: Path(copies[name]))
    before = env.source_digest.__wrapped__()
    assert any(file.count("/") == 2 for file in FILES), "no file two folders down, and none tried"
    for path in [*(tmp_path / "backends" / file for file in FILES), *map(Path, copies.values())]:
        whole = path.read_bytes()
        path.write_bytes(whole + b"#")
        assert env.source_digest.__wrapped__() != before, path
        path.write_bytes(whole)
    assert env.source_digest.__wrapped__() == before


def test_a_ladder_that_has_moved_away_does_not_go_unnoticed():
    assert {env._source(name).name for name in env.LADDER} >= {"ladder.py", "native.py", "verify.py"}
    with pytest.raises(ModuleNotFoundError):
        env._source("bench.no_such_ladder")
