"""The environment: what makes two records comparable, and what a worker is started with."""

from __future__ import annotations

import copy

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
