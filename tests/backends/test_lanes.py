"""Lanes: each one is the same training alone, and the ladder's rung of them can fail."""

from __future__ import annotations

import numpy as np
import pytest

from backends.adversarial import Adversarial
from backends.lanes import lane_bytes, refusal
from backends.spec import NetworkSpec, TrainingSettings
from bench.proof import judging, lanes
from making.lanes import FAULTS, judged


@pytest.mark.parametrize(("mode", "precision", "quick"), [("tuned", "float32", False), ("idiomatic", "float64", False)])
def test_each_lane_is_the_same_training_alone(backend, run, mode, precision, quick):
    found = run(judged, backend, mode, precision, quick)
    if not found:
        pytest.skip(f"{backend} has no lanes")
    assert [one["where"] for one in found if not one["passed"]] == []


@pytest.mark.parametrize("planted", FAULTS)
def test_a_fault_in_the_lanes_is_caught(run, planted):
    found = run(judged, "jax", "tuned", "float64", True, planted)
    (failure,) = [one for one in found if not one["passed"]]
    assert failure["error"] > 1e3 * judging.RULES[lanes.LANES].float64


def test_what_lanes_do_not_train_is_refused_with_a_reason():
    class Backend:
        build_lanes = None

    dense, images = NetworkSpec(4), NetworkSpec(4, image=(2, 2), filters=(3,))
    assert refusal(Backend, dense, TrainingSettings(), 1000) is None
    assert refusal(object, dense, TrainingSettings(), 1000) == "the backend has no lanes"
    assert "dense networks" in refusal(Backend, images, TrainingSettings(), 1000)
    assert "streamed" in refusal(Backend, dense, TrainingSettings(mode="tuned", stream_rows=512), 1000)
    # what a lane's inputs stay in would be another lane's
    assert "moves them" in refusal(Backend, dense, TrainingSettings(adversarial=Adversarial("fgsm", 0.1)), 1000)


def test_the_memory_of_a_lane_is_told_by_its_parts():
    spec, settings = NetworkSpec(20, (128, 64), 8), TrainingSettings()
    one = lane_bytes(spec, settings, 1000)
    assert one < lane_bytes(spec, settings, 2000)
    assert 2 * one == pytest.approx(lane_bytes(spec, TrainingSettings(precision="float64"), 1000), rel=0.02)
    assert lane_bytes(spec, TrainingSettings(dropout=0.5), 1000) - one == 1000 * 2 * (128 + 64)
    assert lane_bytes(spec, TrainingSettings(optimizer="sgd"), 1000) < one
    assert np.isfinite(one)
