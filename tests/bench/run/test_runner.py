"""The main job through the installed command: suites in, records and a report out, whatever goes wrong between."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pytest

import backends

COMMAND_TAIL = ("--out", "out")

TINY = """
    datasets = ["blobs-2d"]
    [[scenarios]]
    detectors = ["norm"]
"""


def one_line(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


def test_a_run_writes_one_record_a_trial_and_the_report(here, suite_file, read_records, tmp_path):
    done = here("run", suite_file(TINY), "--seeds", "0,1", *COMMAND_TAIL)
    assert done.returncode == 0, done.stderr
    records = read_records()
    assert Counter((r["detector"], r["seed"]) for r in records) == Counter(
        {("norm", 0): 1, ("norm", 1): 1, ("mahalanobis", 0): 1, ("mahalanobis", 1): 1}
    )
    assert len({record["process"] for record in records}) == 4
    for record in records:
        assert record["status"] == "ok"
        assert record["schema"] == 1
        assert 0.5 < record["metrics"]["roc_auc"] <= 1.0
        assert record["metrics"]["train_samples_per_second"] > 0
        assert set(record["phases"]) == {"import", "data", "build", "warmup", "train", "score", "latency"}
        assert 0 < record["start_seconds"] < record["wall_seconds"] - record["phases"]["import"]
        assert len(record["samples"]["train"]) == 1
        assert record["metrics"]["result_seconds"] == record["samples"]["train"][0]
        assert len(record["samples"]["score"]) + len(record["samples"]["score_warmup"]) >= 5
        latency = record["samples"]["latency"]
        assert len(latency) + len(record["samples"]["latency_warmup"]) >= 20
        median, p99 = (record["metrics"][f"score_latency_{p}_seconds"] for p in ("p50", "p99"))
        assert min(latency) <= median <= p99 <= max(latency)
        assert record["disturbance"]["seconds"] >= record["samples"]["train"][0]
        low, high = record["intervals"]["roc_auc"]
        assert low <= record["metrics"]["roc_auc"] <= high
        assert sum(record["confusion"].values()) == record["data"]["test_rows"]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "mahalanobis" in report
    assert "report: out/report.md" in done.stdout
    assert "4 of 4 trials ended well" in done.stdout


def test_seeds_share_a_process_where_the_suite_says_so_and_say_so(here, suite_file, read_records):
    suite = suite_file('shared_process = "classical"\n' + TINY)
    done = here("run", suite, "--seeds", "0,1,2", "--detectors", "norm", *COMMAND_TAIL)
    assert done.returncode == 0, done.stderr
    records = read_records()
    assert {record["seed"] for record in records} == {0, 1, 2}
    assert len({record["process"] for record in records}) == 1
    assert len({record["data"]["checksum"] for record in records}) == 3
    for first, record in zip((True, False, False), records, strict=True):
        assert record["metrics"]["train_samples_per_second"] > 0
        # what an earlier trial has held is not this one's
        assert ("peak_memory_bytes" in record["metrics"], "start_seconds" in record) == (first, first)


def test_a_crash_costs_the_training_that_crashed_and_the_rest_goes_on_in_a_fresh_process(
    bench, suite_file, read_records
):
    suite = suite_file("""
        datasets = ["blobs-2d"]
        parameters = { killed = { only = 1 } }
        [[scenarios]]
        detectors = ["killed"]
    """)
    done = bench("run", suite, "--seeds", "0,1,2,3", "--detectors", "killed", "--untimed", *COMMAND_TAIL)
    assert done.returncode == 1, done.stderr
    records = read_records()
    assert [record["seed"] for record in records] == [0, 1, 2, 3]
    assert [record["status"] for record in records] == ["ok", "failed", "ok", "ok"]
    assert [record["made"] for record in records] == [{"before": before} for before in (0, 1, 0, 1)]
    first, crashed, *others = (record["process"] for record in records)
    assert first == crashed not in others
    assert len(set(others)) == 1
    # what a process has held at most may have been of an earlier training
    assert ["peak_memory_bytes" in r["metrics"] for r in records if r["status"] == "ok"] == [True, True, False]
    again = bench(*done.args[1:], "--retry-failed")
    assert "3 of 4 trials were finished before and kept" in again.stdout
    assert [record["seed"] for record in read_records()] == [0, 1, 2, 3, 1]


WRONG = {
    "raising": ("failed", "RuntimeError: the fuse has blown"),
    "not_finite": ("diverged", "the scores are not all finite"),
    "killed": ("failed", "the worker was killed by SIGKILL"),
    "exiting": ("failed", "the worker ended with status 3: no licence"),
    "hungry": ("out_of_memory", "MemoryError: unable to allocate 9 EiB"),
}


def test_a_trial_that_goes_wrong_is_a_record_and_the_run_goes_on(bench, suite_file, read_records):
    suite = suite_file(f"""
        datasets = ["blobs-2d"]
        timeout = 90
        [[scenarios]]
        detectors = {[*WRONG, "norm"]}
    """)
    done = bench("run", suite, "--detectors", ",".join([*WRONG, "norm"]), *COMMAND_TAIL)
    assert done.returncode == 1, done.stderr
    records = {record["detector"]: record for record in read_records()}
    assert records.pop("norm")["status"] == "ok"
    assert {name: (record["status"], record["reason"]) for name, record in records.items()} == WRONG
    for name, (status, reason) in WRONG.items():
        assert "metrics" not in records[name]
        assert f"{status}: blobs-2d {name} seed 0: {reason}" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_trial_that_takes_too_long_is_a_record_and_the_run_goes_on(bench, suite_file, read_records):
    suite = suite_file("""
        datasets = ["blobs-2d"]
        parameters = { slow = { pause = 60.0 } }
        timeout = 9
        [[scenarios]]
        detectors = ["slow", "norm"]
    """)
    done = bench("run", suite, "--detectors", "slow,norm", *COMMAND_TAIL)
    assert done.returncode == 1, done.stderr
    records = {record["detector"]: record for record in read_records()}
    assert records["norm"]["status"] == "ok"
    reason = "not done after 9 s, training, epoch 1 of 1"
    assert (records["slow"]["status"], records["slow"]["reason"]) == ("timeout", reason)
    assert "metrics" not in records["slow"]
    assert f"timeout: blobs-2d slow seed 0: {reason}" in done.stdout


def test_a_diverging_training_is_a_record_with_its_losses(here, suite_file, read_records):
    backend = next((name for name in backends.names() if backends.unavailable(name) is None), None)
    if backend is None:
        pytest.skip("no framework is installed")
    suite = suite_file(f"""
        datasets = ["blobs-2d"]
        training = {{ learning_rate = 1e12, epochs = 4 }}
        [[scenarios]]
        detectors = ["vae"]
        backends = ["{backend}"]
    """)
    assert here("run", suite, "--detectors", "vae", "--untimed", *COMMAND_TAIL).returncode == 1
    (record,) = read_records()
    assert record["status"] == "diverged"
    assert "training loss was" in record["reason"]


def test_a_missing_framework_is_a_skip_with_its_reason_and_the_rest_runs(bench, suite_file, read_records, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_all_but_torch(name, path=None, target=None):\n"
        "    return None if name == 'torch' else find(name, path, target)\n"
        "PathFinder.find_spec = find_all_but_torch\n"
    )
    suite = suite_file("""
        datasets = ["blobs-2d"]
        [[scenarios]]
        detectors = ["vae", "norm"]
        backends = ["torch"]
    """)
    path = {"PYTHONPATH": str(blocked)}
    done = bench("run", suite, "--untimed", *COMMAND_TAIL, **path)
    assert done.returncode == 1, done.stderr
    records = {record["detector"]: record for record in read_records()}
    assert records["norm"]["status"] == "ok"
    assert records["vae"]["status"] == "skipped"
    assert "torch is not installed" in records["vae"]["reason"]
    listed = bench("list", "backends", **path)
    assert "not here: torch is not installed" in listed.stdout
    # a skipped trial never ran, so the same command tries it again and the others are kept
    again = bench("run", suite, "--untimed", *COMMAND_TAIL, **path)
    assert "2 of 3 trials were finished before and kept" in again.stdout


SLOW = """
    datasets = ["blobs-2d"]
    seeds = [0, 1, 2, 3, 4]
    parameters = { slow = { pause = 0.5 } }
    [[scenarios]]
    detectors = ["slow"]
"""


def start_and_wait_for_records(command: list[str], cwd: Path, environ: dict[str, str], count: int) -> subprocess.Popen:
    process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    path = cwd / "out" / "records.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    raise AssertionError("no records after a minute")


def workers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if "bench.worker" in child.cmdline()]


@pytest.mark.parametrize(
    ("how", "mode"),
    [(signal.SIGKILL, "--untimed"), (signal.SIGINT, "--no-self-check"), (signal.SIGINT, "--jobs=2")],
    ids=["killed, one process", "interrupted, a process each", "interrupted, two processes"],
)
def test_a_run_that_was_killed_keeps_what_had_finished_and_goes_on(
    bench, suite_file, read_records, tmp_path, environ, how, mode
):
    command = ["run", suite_file(SLOW), "--detectors", "slow", mode, *COMMAND_TAIL]
    process = start_and_wait_for_records([environ["BENCH_COMMAND"], *command], tmp_path, environ, 2)
    time.sleep(0.3)
    workers = workers_of(process.pid)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr
    if how == signal.SIGINT:
        assert process.returncode == 130
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "a worker outlived its run"
    kept = len(read_records())
    assert 2 <= kept < 5
    done = bench(*command)
    assert done.returncode == 0, done.stderr
    assert f"{kept} of 5 trials were finished before and kept" in done.stdout
    assert sorted(record["seed"] for record in read_records()) == [0, 1, 2, 3, 4]


def test_a_line_torn_by_a_killed_run_is_cut_off_and_its_trial_runs_again(here, suite_file, read_records, tmp_path):
    suite = suite_file(TINY)
    here("run", suite, "--untimed", *COMMAND_TAIL)
    path = tmp_path / "out" / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    done = here("run", suite, "--untimed", *COMMAND_TAIL)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 trials were finished before and kept" in done.stdout
    assert len({record["detector"] for record in read_records()}) == len(read_records()) == 2


def test_records_of_another_environment_are_not_mixed_in(here, suite_file, tmp_path):
    suite = suite_file(TINY)
    here("run", suite, "--untimed", *COMMAND_TAIL)
    path = tmp_path / "out" / "records.jsonl"
    text = path.read_text().replace('"environment_hash":"', '"environment_hash":"0')
    path.write_text(text)
    done = here("run", suite, "--untimed", *COMMAND_TAIL)
    assert done.returncode == 2
    assert "another environment" in one_line(done.stderr)
    assert path.read_text() == text


def test_two_runs_cannot_write_to_one_directory(bench, suite_file, tmp_path, environ):
    command = ["run", suite_file(SLOW), "--detectors", "slow", *COMMAND_TAIL]
    process = start_and_wait_for_records([environ["BENCH_COMMAND"], *command], tmp_path, environ, 1)
    try:
        done = bench(*command)
    finally:
        process.kill()
        process.communicate()
    assert done.returncode == 2
    assert "another run is writing here" in one_line(done.stderr)


def test_trials_side_by_side_carry_no_timings_and_do_not_stand_in_for_timed_ones(here, suite_file, read_records):
    suite = suite_file(TINY)
    assert here("run", suite, "--jobs", "2", *COMMAND_TAIL).returncode == 0
    for record in read_records():
        assert record["timed"] is False
        assert not {"start_seconds", "disturbance", "train_rows_per_sample"} & set(record)
        assert not [name for name in record["metrics"] if "second" in name]
    done = here("run", suite, *COMMAND_TAIL)
    assert "kept" not in done.stdout
    assert [record["timed"] for record in read_records()] == [False, False, True, True]


def test_the_report_is_rebuilt_byte_for_byte_from_the_records(here, suite_file, tmp_path):
    here("run", suite_file(TINY), *COMMAND_TAIL)
    files = {
        path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.suffix in (".md", ".png", ".svg")
    }
    assert len(files) > 1
    for path in files:
        path.unlink()
    assert here("report", "out").returncode == 0
    assert {path: path.read_bytes() for path in files} == files

    printed = here("report", "out", "--pivot", "roc_auc", "--format", "latex")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.count(r"\\") == 1 + 2  # a header and two detectors
    assert here("report", "out", "--table", "throughput", "--format", "parquet", "--out", "t.parquet").returncode == 0
    assert set(pd.read_parquet(tmp_path / "t.parquet")["detector"]) == {"norm", "mahalanobis"}
    unknown = here("report", "out", "--pivot", "threshold")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "roc_auc" in one_line(unknown.stderr)


def test_every_backend_runs_both_networks_from_the_command_line(here, suite_file, read_records):
    usable = [name for name in backends.defaults() if backends.unavailable(name) is None]
    if not usable:
        pytest.skip("no framework is installed")
    suite = suite_file("""
        datasets = ["correlated?rows=1500"]
        training = { epochs = 3, hidden = [32], latent = 4 }
        [[scenarios]]
        detectors = ["vae", "autoencoder"]
        backends = ["torch", "keras", "jax"]
    """)
    narrow = ["--backends", ",".join(usable), "--detectors", "vae,autoencoder"]
    done = here("run", suite, *narrow, "--threads", "1", "--seeds", "1", *COMMAND_TAIL)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr.count("measuring the limits") == 1
    records = read_records()
    assert {(r["backend"], r["detector"]) for r in records} == {(b, d) for b in usable for d in ("vae", "autoencoder")}
    for record in records:
        assert len(record["loss"]) == len(record["validation_loss"]) == 3
        assert record["loss"][-1] < record["loss"][0]
        samples, phases, metrics = record["samples"], record["phases"], record["metrics"]
        assert len(samples["warmup"]) + len(samples["train"]) == 3
        assert metrics["compile_seconds"] == samples["compile"][0] > 0
        assert metrics["first_step_seconds"] == sum(phases[name] for name in ("import", "build", "compile"))
        assert metrics["result_seconds"] == sum(phases[name] for name in ("compile", "warmup", "train", "finish"))
        if record["compile_cache"]["programs"]:
            assert 0 < metrics["compile_warm_seconds"] < metrics["compile_seconds"]
            assert record["compile_cache"]["added"] == 0
        else:
            assert "compile_warm_seconds" not in metrics
        assert bool(record["compile_cache"]["programs"]) == (record["backend"] == "jax")
        assert set(phases) == {"import", "data", "build", "compile", "warmup", "train", "finish", "score", "latency"}
        assert phases["score"] == pytest.approx(sum(samples["score"] + samples["score_warmup"]))
        assert "unsynchronised" not in record["marks"]
        assert "train_device" not in samples
        assert record["environment"]["backend"]["threads"] == 1
        assert record["environment"]["backend"]["precision"] == "float32"
        assert_limited(record)
        if record["detector"] == "vae":
            assert record["mean_kl"] > 0
            assert 0 <= record["active_units"] <= 4
    # where they share a process, the model of seed 1 is that of seed 0, trained again, and gives the same records
    done = here("run", suite, *narrow, "--threads", "1", "--untimed", "--seeds", "0,1", "--out", "shared")
    assert done.returncode == 0, done.stderr + done.stdout
    shared = {(r["backend"], r["detector"], r["seed"]): r for r in read_records("shared")}
    assert len(shared) == 4 * len(usable)
    assert len({r["process"] for r in shared.values()}) == len(usable)
    assert {r["made"]["before"] for r in shared.values()} == {0, 1, 2, 3}
    for record in records:
        other = shared[record["backend"], record["detector"], 1]
        assert other["made"]["before"] > 0
        for key in ("loss", "validation_loss", "confusion", "intervals", "roc_curve", "top_anomalies", "data"):
            assert other[key] == record[key]
        assert {n: record["metrics"][n] for n in other["metrics"]} == other["metrics"]
    if "jax" in usable:
        narrow = ["--backends", "jax", "--detectors", "vae", "--threads", "1", "--seeds", "0,1,2"]
        done = here("run", suite, *narrow, "--untimed", "--lanes", "3", "--out", "lanes")
        assert done.returncode == 0, done.stderr + done.stdout
        together = [record for record in read_records("lanes") if record["backend"]]
        assert [(r["seed"], r["made"]["lanes"], r["made"]["lane"]) for r in together] == [(i, 3, i) for i in range(3)]
        for record in together[:2]:
            alone = shared["jax", "vae", record["seed"]]
            for key in ("loss", "validation_loss"):
                assert record[key] == pytest.approx(alone[key], rel=1e-4)
            assert record["metrics"]["roc_auc"] == pytest.approx(alone["metrics"]["roc_auc"], abs=1e-3)
            assert record["environment"] == alone["environment"]


def assert_limited(record: dict) -> None:
    limits, metrics = record["limits"], record["metrics"]
    assert (limits["library"], limits["threads"]) in {("numpy", 1), ("torch", 1)}
    # two operations of each of 3 passes over the weights, but for the input's gradient
    heads = 2 if record["detector"] == "vae" else 1
    weights = 20 * 32 + 32 * 4 * heads + 4 * 32 + 32 * 20
    assert limits["flops_per_sample"] == 2 * (3 * weights - 20 * 32)
    assert limits["matmul_flops_per_second"] > 1e8
    assert limits["copy_bytes_per_second"] > 1e8
    # one is the reciprocal of a reciprocal of the other: equal to rounding
    assert metrics["limit_samples_per_second"] == pytest.approx(limits["products_samples_per_second"], rel=1e-12)
    fraction = metrics["train_samples_per_second"] / metrics["limit_samples_per_second"]
    assert metrics["fraction_of_limit"] == pytest.approx(fraction, rel=1e-12)


def test_the_convolutional_vae_trains_on_images_beside_the_dense_one(here, suite_file, read_records):
    backend = next((name for name in backends.names() if backends.unavailable(name) is None), None)
    if backend is None:
        pytest.skip("no framework is installed")
    suite = suite_file(f"""
        datasets = ["digits:4"]
        backends = ["{backend}"]
        [training]
        epochs = 2
        batch_size = 32
        likelihood = "bce"
        [[scenarios]]
        detectors = ["vae", "conv_vae"]
    """)
    done = here("run", suite, "--detectors", "vae,conv_vae", "--threads", "1", "--untimed", *COMMAND_TAIL)
    assert done.returncode == 0, done.stderr + done.stdout
    records = {record["detector"]: record for record in read_records()}
    assert (records["vae"]["settings"]["filters"], records["vae"]["settings"]["hidden"]) == ([], [128, 64])
    convolutional = records["conv_vae"]
    assert convolutional["settings"]["filters"] == [32, 64]
    assert (convolutional["settings"]["hidden"], convolutional["latent"]) == ([16], 2)
    assert convolutional["loss"][1] < convolutional["loss"][0]
    assert convolutional["mean_kl"] > 0


def test_a_gpu_that_is_not_there_is_a_skip_with_the_reason(bench, suite_file, read_records):
    if backends.unavailable("torch"):
        pytest.skip("torch is not installed")
    suite = suite_file("""
        datasets = ["blobs-2d"]
        [[scenarios]]
        detectors = ["vae"]
        backends = ["torch"]
    """)
    done = bench(
        "run", suite, "--detectors", "vae", "--device", "gpu", "--untimed", *COMMAND_TAIL, CUDA_VISIBLE_DEVICES=""
    )
    assert done.returncode == 1
    (record,) = read_records()
    assert record["status"] == "skipped"
    assert record["device"] == "gpu"
    assert record["reason"]


def test_the_command_line_in_the_record_repeats_the_run(bench, suite_file, read_records):
    suite = suite_file(TINY)
    bench("run", suite, "--detectors", "norm", *COMMAND_TAIL)
    assert read_records()[0]["command"] == f"bench run {suite} --detectors norm --out out"
    assert os.path.isabs(suite)
