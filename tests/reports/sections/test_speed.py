"""What the report says of speed: limits, start-up that pays or does not, curves, peers, and who disturbed."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from reports import figures, numbers, tables
from reports.document import document
from reports.tables import frames, speed, sweeps
from reports.tables.material import Material
from reports.writers import markdown


def rendered(records: list[dict[str, Any]]) -> str:
    return markdown.written(document(Material(records))).replace("\u00a0", " ")


def section(text: str, heading: str) -> str:
    return re.split(r"\n#{2,3} ", text.split(f"\n{heading}", 1)[1])[0]


def body(text: str) -> list[dict[str, str]]:
    """The rows of a section's first table by their headings."""
    lines = [line for line in re.search(r"(?:^\|.*\n?)+", text, re.MULTILINE)[0].splitlines() if line]  # type: ignore[index]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def throughput_of(records: list[dict[str, Any]]) -> tuple[Any, Any]:
    trials = tables.trials(records)
    return trials, tables.throughput(trials)


def test_each_row_tells_its_fraction_of_the_limit_and_what_the_limit_is(record: Any) -> None:
    samples = {"train": [1.0] * 4, "score": [0.01]}
    text = rendered([record(samples=samples, train_rows_per_sample=120_000, limit=400_000.0)])
    (row,) = body(section(text, "### Backends"))
    assert row["of limit"] == "0.30"
    assert (
        "matrix products and convolutions of a training step (the best of the libraries and thread counts measured"
        in text
    )
    (limit,) = body(section(text, "### Limits"))
    assert limit["products samples/s"] == "400k"
    assert limit["best"] == "`numpy` on 1 thread"
    assert (limit["kFLOP/sample"], limit["large products GFLOP/s"], limit["copy GB/s"]) == ("76.8", "120", "11.0")
    assert "`torch` in mode `idiomatic` on 2 threads with batch 128 trains `vae` on `digits:4` at 0.30" in text


def test_records_without_limits_claim_no_fraction(record: Any) -> None:
    text = rendered([record(limit=None)])
    assert "of limit" not in section(text, "### Backends")
    assert "### Limits" not in text
    assert "Nearest to this machine's limit" not in text


def test_start_up_scoring_and_memory_have_a_table_of_their_own(record: Any) -> None:
    text = section(rendered([record(compile_seconds=1.5)]), "### Backends").split("Start-up, scoring and memory")[1]
    (row,) = body(text)
    assert (row["compile s"], row["first step s"], row["p50 ms"], row["p99 ms"]) == ("1.50", "3.50", "0.310", "1.20")
    assert "device MiB" not in row, "a column without a value is shown"


def test_threads_batch_and_precision_are_columns_where_they_vary_and_a_sentence_where_not(record: Any) -> None:
    found = [record(threads=1), record(threads=2), record(precision="bfloat16", batch=64)]
    text = section(rendered(found), "### Backends")
    assert {(r["threads"], r["precision"], r["batch"]) for r in body(text)} == {
        ("1", "`float32`", "128"),
        ("2", "`float32`", "128"),
        ("2", "`bfloat16`", "64"),
    }
    assert "All rows: `idiomatic`, `cpu`." in text
    assert "settings" not in body(text)[0]
    same = section(rendered([record(), record(backend="jax")]), "### Backends")
    assert "All rows: `idiomatic`, `cpu`, 2 threads, `float32`, batch 128." in same


def test_only_rows_that_do_the_same_work_are_compared(record: Any) -> None:
    _, table = throughput_of([record(batch=b, threads=t, speed=b * t) for b in (32, 512) for t in (1, 2)])
    assert [(r["batch"], r["threads"], r["ratio_value"]) for r in frames.rows(table)] == [
        (32, 2, pytest.approx(2, rel=0.1)),
        (32, 1, 1),
        (512, 2, pytest.approx(2, rel=0.1)),
        (512, 1, 1),
    ]


@pytest.mark.parametrize(
    ("epoch", "compiled", "expected"),
    [(0.5, 2.6, "4"), (0.5, 1.0, "at once"), (0.5, 0.2, "at once"), (1.0, 9.0, "never"), (2.0, 9.0, "never")],
)
def test_a_mode_has_paid_when_its_gain_covers_its_compilation(
    record: Any, epoch: float, compiled: float, expected: str
) -> None:
    """idiomatic: 1 s an epoch after 1 s of compilation; (2.6 - 1) / (1 - 0.5) = 3.2, so ahead after the fourth."""
    plain = record(samples={"train": [1.0] * 5}, compile_seconds=1.0)
    tuned = record(samples={"train": [epoch] * 5}, compile_seconds=compiled, mode="tuned")
    (row,) = body(section(rendered([plain, tuned]), "### When `tuned` has paid"))
    assert row["ahead after epochs"] == expected
    assert row["× as fast"].startswith(f"{1 / epoch:.2f}")
    assert row["extra start-up s"] == (
        "−0.800" if compiled == 0.2 else "+0.000" if compiled == 1 else f"+{compiled - 1:.2f}"
    )


def test_a_mode_pays_sooner_where_its_programs_are_found(record: Any) -> None:
    """(2 - 1) / (1 - 0.5) = 2 epochs; cold it is (6 - 2) / 0.5 = 8. Of the jax mode nothing warm is known."""
    found = [
        record(samples={"train": [1.0] * 5}, compile_seconds=2.0, compile_warm_seconds=1.0),
        record(samples={"train": [0.5] * 5}, compile_seconds=6.0, compile_warm_seconds=2.0, mode="tuned"),
        record(samples={"train": [1.0] * 5}, compile_seconds=2.0, backend="jax"),
        record(samples={"train": [0.5] * 5}, compile_seconds=6.0, backend="jax", mode="tuned"),
    ]
    torch, jax = body(section(rendered(found), "### When `tuned` has paid"))[::-1]
    if torch["backend"] != "`torch`":
        torch, jax = jax, torch
    assert (torch["ahead after epochs"], torch["ahead after epochs, warm"]) == ("8", "2")
    assert torch["extra start-up s, warm"] == "+1.00"
    assert (jax["ahead after epochs"], jax["ahead after epochs, warm"]) == ("8", numbers.MISSING)


def test_trials_of_one_process_count_as_one(record: Any) -> None:
    seeds = [record(seed=seed, speed=100.0 * 2**seed) for seed in range(4)]
    apart, together = seeds, [one | {"process": "a" if one["seed"] < 3 else "b"} for one in seeds]
    (row,) = frames.rows(throughput_of(apart)[1])
    (shared,) = frames.rows(throughput_of(together)[1])
    assert row["train"] == pytest.approx(100 * 2**1.5, rel=0.1)
    assert shared["train"] == pytest.approx(100 * 2**2, rel=0.1), "the mean of 2**1 and 2**3"
    assert shared["trials"] == 4
    (alone,) = frames.rows(throughput_of([one | {"process": "a"} for one in seeds])[1])
    assert math.isfinite(shared["train_low"])
    assert math.isnan(alone["train_low"]), "one process tells nothing of the spread between processes"


def test_a_mode_is_held_against_idiomatic_of_the_same_backend_and_threads_alone(record: Any) -> None:
    found = [record(mode="tuned", threads=1), record(mode="idiomatic"), record(mode="tuned", backend="jax")]
    assert speed.paybacks(*throughput_of(found)) == []


def test_a_batch_curve_is_tabulated_with_its_fractions(record: Any) -> None:
    found = [
        record(batch=b, backend=backend, mode="tuned", limit=limit, samples={"train": [1.0]}, train_rows_per_sample=b)
        for b, limit in ((128, 256.0), (1024, 4096.0), (16384, 16384.0))
        for backend in ("torch", "jax")
    ]
    text = section(rendered(found[:-1]), "### Batch size")
    torch = next(row for row in body(text) if row["backend"] == "`torch`")
    assert torch == {"backend": "`torch`", "128": "128 (0.50)", "1,024": "1.02k (0.25)", "16,384": "16.4k (1.00)"}
    assert "`jax`" not in text, "two points are no curve"


def test_the_scale_table_judges_time_a_row_and_memory(record: Any) -> None:
    sizes = (10_000, 100_000, 1_000_000)
    found = []
    for backend, slowing, extra in (("torch", 1.05, 2.0), ("jax", 1.3, 4.0)):
        for place, n in enumerate(sizes):
            seconds = {"train": [n * 1e-5 * slowing**place]}
            one = record(f"blobs?rows={n}&features=64", backend=backend, rows=n, samples=seconds)
            one["metrics"]["peak_memory_bytes"] = 300e6 + extra * 4 * 64 * (n + 720)
            one["import_memory_bytes"] = 300_000_000
            found.append(one)
    text = section(rendered(found), "### Scale")
    assert "#### `blobs?features=64` on `cpu`, 2 threads" in text
    rows = {row["backend"]: row for row in body(text)}
    assert rows["`torch`"]["flatness"] == "1.10: flat within 20 %"
    assert rows["`torch`"]["memory"] == "2.00: within 3 times the data"
    assert rows["`jax`"]["flatness"] == "1.69: not flat within 20 %"
    assert rows["`jax`"]["memory"] == "4.00: over 3 times the data"
    for one in found:
        del one["import_memory_bytes"]
        one["metrics"]["peak_memory_bytes"] += 7e8
    assert body(section(rendered(found), "### Scale"))[0]["memory"].startswith("4.00"), "the growth is not the same"


@pytest.mark.parametrize(
    ("dataset", "family"),
    [("blobs?rows=10&features=3", "blobs?features=3"), ("blobs?rows=10", "blobs"), ("digits:4", "digits:4")],
)
def test_a_family_is_a_data_set_without_its_rows(dataset: str, family: str) -> None:
    assert sweeps.family(dataset) == family


def of_a_peer(record: Any, seed: int, rate: float, **changes: Any) -> dict[str, Any]:
    peer = {"library": "pyod", "version": "3.6.7", "differences": ["It clamps the KL to 0.", "It adds <b>dropout</b>."]}
    return record(detector="pyod_vae", auc=0.9, seed=seed, speed=rate, peer=peer, **changes)


def test_a_peer_is_compared_pair_by_pair_on_the_same_data_threads_and_batch(record: Any) -> None:
    drift = [1.0, 3.0, 0.5]
    ours = [record(seed=s, speed=1000 * d, samples=None) for s, d in enumerate(drift)]
    for one, d in zip(ours, drift, strict=True):
        one["metrics"]["train_samples_per_second"] = 1000 * d
    theirs = [of_a_peer(record, s, 100 * d, samples=None, settings={"batch_size": 128}) for s, d in enumerate(drift)]
    others = [record(seed=0, threads=1), record(detector="autoencoder"), record(batch=64), record("blobs")]
    text = section(rendered([*ours, *theirs, *others]), "### Beside `pyod_vae` (pyod 3.6.7)")
    (row,) = body(text)
    assert (row["detector"], row["backend"], row["training"]) == ("`vae`", "`torch`", "10.0 × [10.0, 10.0]")
    assert "- It clamps the KL to 0." in text
    assert "- It adds &lt;b&gt;dropout&lt;/b&gt;." in text


def test_a_peer_that_nothing_of_ours_can_be_held_against_is_not_kept_quiet(record: Any) -> None:
    text = rendered([of_a_peer(record, 0, 100.0, threads=1), record()])
    assert "No trial of ours had the same data and threads." in text


def test_a_disturbed_measurement_tells_by_what(record: Any) -> None:
    calm = {"involuntary_switches": 3, "stolen_seconds": 0.0, "other_cpu_seconds": 0.1, "seconds": 2.0}
    worst = {"involuntary_switches": 321, "stolen_seconds": 0.5, "other_cpu_seconds": 1.3, "seconds": 2.0}
    records = [record(seed=s, marks=["disturbed"], disturbance=d) for s, d in enumerate((calm, worst))]
    line = "worst of 2 such trials: 1.30 s of processor time for other processes, 0.500 s stolen by the host and 321"
    assert line in rendered([*records, record(seed=2)])
    said = "`disturbed`: something else used the machine meanwhile, or the container's processor quota was spent."
    assert said in rendered([record(marks=["disturbed"])])
    assert "`disturbed`" not in rendered([record(disturbance=worst)])


def test_medians_of_absent_keys_are_missing_and_no_crash(record: Any) -> None:
    bare = record(limit=None)
    for key in ("metrics", "samples", "settings", "data", "threads", "precision"):
        bare.pop(key)
    _, table = throughput_of([bare | {"metrics": {"train_samples_per_second": 5.0}}])
    (row,) = frames.rows(table)
    assert (row["threads"], row["batch"], row["arithmetic"]) == (0, 0, "")
    assert all(math.isnan(row[name]) for name in ("limit", "fraction", "latency_p50", "train_rows", "data_bytes"))
    drawn = figures.draw(document(Material([bare | {"metrics": {"train_samples_per_second": 5.0}}])).drawings)
    assert {"answer.svg", "throughput.svg"} <= {figure.file for figure in drawn}
