"""What a trial costs the loop inside it: its epochs against those of the same loop in a bare script, in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

import backends
from bench.environment import environment, worker_environment
from bench.run.trial import run_trial
from bench.suites import suite
from bench.suites.blocks import Block
from bench.suites.scenario import Training, Trial

SCRIPT = Path(__file__).parent / "bare_loop.py"
DATA, EPOCHS = "blobs?rows=60000", 12
ROUNDS = 3


@pytest.mark.parametrize("mode", ["idiomatic", "tuned"])
@pytest.mark.parametrize("backend", list(backends.REGISTRY))
@pytest.mark.timeout(900)
def test_benchmark_a_trial_trains_as_fast_as_a_bare_script(benchmark, backend, mode):
    if (reason := backends.unavailable(backend)) is not None:
        pytest.skip(reason)
    block = Block(
        datasets=(DATA,),
        detectors=("vae",),
        backends=(backend,),
        modes=(mode,),
        threads=(1,),
        training=Training(epochs=EPOCHS, hidden=(128, 64), latent=8),
    )
    (scenario,) = suite.Suite("cost", "", (0,), 1, 600, (block,), block).scenarios(1)
    here, own, bare = environment(), [], []

    def one_round() -> None:
        record = run_trial(Trial("cost", scenario, 0, len(own)), here, timeout=600)
        if record["status"] == "skipped":
            pytest.skip(record["reason"])
        samples = record["samples"]
        own.append(median((samples["warmup"] + samples["train"])[EPOCHS // 2 :]))
        command = [sys.executable, SCRIPT, backend, mode, DATA, str(EPOCHS)]
        done = subprocess.run(command, env=worker_environment(1, "cpu"), capture_output=True, check=True, text=True)
        bare.append(median(json.loads(done.stdout.splitlines()[-1])[EPOCHS // 2 :]))

    benchmark.pedantic(one_round, rounds=ROUNDS)
    ratio = median(alone / within for alone, within in zip(bare, own, strict=True))
    benchmark.extra_info["throughput of the trial / of the bare script"] = ratio
    print(f"\n{backend} {mode}: a trial reaches {ratio:.3f} of a bare script's throughput")
    assert ratio > 0.9, "the harness costs more than noise can explain"
