"""Rows that are streamed: parts of one shape in the order that is told, and memory that is let go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backends.inference import Inference
from backends.interface import BackendError
from backends.reference import ReferenceModel
from backends.spec import NetworkSpec, TrainingSettings
from backends.streaming import Stream, release
from backends.weights import initial_weights

X = np.random.default_rng(0).random((203, 3)).astype(np.float32)
SETTINGS = TrainingSettings(batch_size=8, stream_rows=50, seed=5)


class Holding(ReferenceModel):
    streams = False


def model(settings: TrainingSettings, kind: type[ReferenceModel] = ReferenceModel) -> Inference:
    spec = NetworkSpec(3, (4,), 2)
    return kind(spec, initial_weights(spec, 1), replace(settings, precision="float64"))


def test_parts_are_the_rows_that_are_told_in_one_shape_and_only_the_last_partial_batch_is_dropped():
    stream = Stream(X, 48, 8, 5, "float64")
    assert stream.steps == [6, 6, 6, 6, 1]
    visited = stream.visited(3)
    assert len(np.unique(visited)) == len(visited) == 200
    found = list(stream.parts(3))
    assert {(rows.shape, rows.dtype.name) for _, rows in found} == {((48, 3), "float64")}
    np.testing.assert_array_equal(np.concatenate([rows[: steps * 8] for steps, rows in found]), X[visited])
    assert not found[-1][1][8:].any()
    assert not np.array_equal(stream.visited(4), visited)


def test_a_model_streams_where_it_is_told_to_and_says_so_where_it_cannot():
    streaming = model(SETTINGS)
    streaming.training_rows(X)
    assert streaming.stream is not None
    assert (streaming.stream.size, streaming.count) == (48, len(X))
    np.testing.assert_array_equal(streaming.training_rows(X[:50]), X[:50])
    assert streaming.stream is None
    with pytest.raises(BackendError, match=r"^stream_rows is 50, but the mode 'idiomatic' holds all 203 .* 'tuned'$"):
        model(SETTINGS, Holding).training_rows(X)
    with pytest.raises(BackendError, match=r"^stream_rows are for .* random_source is 'shared'$"):
        model(replace(SETTINGS, random_source="shared"))


def test_a_mapped_array_is_let_go_and_read_again_but_never_what_was_written_to_a_private_copy(tmp_path):
    np.save(tmp_path / "X.npy", X)
    for mode in ("r", "c"):
        mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
        changed = X.copy()
        if mode == "c":
            mapped[0] = changed[0] = 7.0
        release(np.asarray(mapped)[1:])
        np.testing.assert_array_equal(mapped, changed)
    release(X)
