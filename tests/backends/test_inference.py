"""How many rows a scoring step takes."""

from __future__ import annotations

import numpy as np
import pytest

from backends.inference import CHUNK, SIZES, TAIL, padded_chunks
from backends.reference import ReferenceModel
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import initial_weights


@pytest.mark.parametrize(
    ("sizes", "rows", "steps"),
    [((8, 4, 1), 21, [8, 8, 4, 4]), ((4, 1), 9, [4, 4, 4]), ((4, 1), 1, [1]), ((8, 4, 1), 0, [4]), ((4, 1), 8, [4, 4])],
)
def test_rows_are_taken_in_steps_of_the_given_sizes_and_what_fills_the_last_is_cut_off(sizes, rows, steps):
    seen = []

    def double(x):
        seen.append(len(x))
        return (2 * x.sum(-1),)

    X = np.arange(rows * 3.0).reshape(rows, 3)
    (found,) = padded_chunks(double, X, sizes)
    assert seen == steps
    np.testing.assert_array_equal(found, 2 * X.sum(-1))


def test_convolutions_of_large_images_take_no_whole_chunk_on_the_cpu():
    dense, small, image = (
        NetworkSpec(side**2, (4,), 2, image=(side, side) if filters else None, filters=filters)
        for side, filters in ((28, ()), (8, (2,)), (28, (2,)))
    )
    found = {
        (spec, device): ReferenceModel(spec, initial_weights(spec, 0), TrainingSettings(device=device)).sizes
        for spec in (dense, small, image)
        for device in ("cpu", "gpu")
    }
    assert found.pop((image, "cpu")) == (TAIL, 1)
    assert set(found.values()) == {SIZES} == {(CHUNK, TAIL, 1)}
