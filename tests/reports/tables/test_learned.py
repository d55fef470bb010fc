"""What a network has learned, in a report: images side by side, lines of a table, or points of the plane."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from reports import figures
from reports.arrays import Shelf
from reports.document import document
from reports.tables import planes
from reports.tables.learned import as_json, learned
from reports.tables.material import Material


def arrays(features: int, *, drawn: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(features)
    seen = rng.random((4, features), dtype=np.float32)
    found = {
        "y_test": np.array([0, 0, 0, 1, 1] * 4, dtype=np.uint8),
        "score.reconstruction": rng.random(20, dtype=np.float32),
        "seen_rows": np.array([0, 1, 3, 4], dtype=np.int32),
        "seen_inputs": seen,
        "seen_reconstructions": seen / 2,
        "walk": rng.random((9, 9, features), dtype=np.float32),
        "walk_axes": np.array([3, 0], dtype=np.int32),
        "walk_low": np.zeros(2, dtype=np.float32),
        "walk_high": np.ones(2, dtype=np.float32),
    }
    return found | ({"drawn": rng.random((16, features), dtype=np.float32)} if drawn else {})


@pytest.fixture
def kept(record: Any, tmp_path: Path) -> Any:
    def make(found: dict[str, Any], image: list[int] | None = None) -> tuple[dict[str, Any], Shelf]:
        save_file(found, tmp_path / "one.safetensors")
        made = dict(record("digits:4", "vae")) | {"arrays": "one.safetensors", "score": "reconstruction"}
        made["data"] = dict(made.get("data") or {}) | {"image_shape": image}
        return made, Shelf(tmp_path)

    return make


def test_images_lie_side_by_side_with_a_gap_between_them(kept: Any) -> None:
    found = arrays(6)
    made = learned(*kept(found, [2, 3]))
    assert made is not None
    seen, prior, walk = made.sheets
    assert seen.values.shape == (2 * 2 + 1, 4 * 3 + 3)
    np.testing.assert_array_equal(seen.values[:2, :3], found["seen_inputs"][0].reshape(2, 3))
    np.testing.assert_array_equal(seen.values[3:, 12:], found["seen_reconstructions"][3].reshape(2, 3))
    assert np.isnan(seen.values[2]).all()
    assert prior.values.shape == (5, 8 * 3 + 7)
    assert (walk.values.shape, walk.down, walk.across) == ((9 * 2 + 8, 9 * 3 + 8), "latent unit 4", "latent unit 1")


def test_rows_of_a_table_are_lines_and_walks_go_through_the_middle_of_the_other_unit(kept: Any) -> None:
    found = arrays(5, drawn=False)
    made = learned(*kept(found))
    assert made is not None
    titles = [sheet.title for sheet in made.sheets]
    assert titles[2:] == ["a walk along latent unit 4", "a walk along latent unit 1"]
    np.testing.assert_array_equal(made.sheets[2].values, found["walk"][:, 4])
    np.testing.assert_array_equal(made.sheets[3].values, found["walk"][4])


def test_a_screen_gets_a_byte_a_pixel_with_zero_for_gaps(kept: Any) -> None:
    made = learned(*kept(arrays(6), [2, 3]))
    assert made is not None
    shown = as_json(made)[0]
    pixels = np.frombuffer(base64.b64decode(shown["pixels"]), dtype=np.uint8).reshape(shown["height"], shown["width"])
    np.testing.assert_array_equal(pixels == 0, np.isnan(made.sheets[0].values))


@pytest.mark.parametrize(
    ("features", "image", "kind"), [(6, [2, 3], "images"), (5, None, "lines"), (2, None, "the plane")]
)
def test_every_kind_of_row_has_a_figure(kept: Any, features: int, image: list[int] | None, kind: str) -> None:
    record, shelf = kept(arrays(features), image)
    made = document(Material([record], shelf))
    (drawing,) = [one for one in made.drawings if one.kind == "learned"]
    (drawn,) = figures.draw([drawing])
    assert drawn.svg.startswith(b"<?xml"), kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seen_rows", np.array([0, 1, 2, 99], dtype=np.int32)),
        ("seen_reconstructions", np.zeros((4, 7), dtype=np.float32)),
        ("walk", np.full((9, 9, 6), np.nan, dtype=np.float32)),
        ("walk_axes", np.zeros((1, 2), dtype=np.int32)),
        ("drawn", np.zeros((16, 5), dtype=np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_not_shown(kept: Any, name: str, value: Any) -> None:
    assert learned(*kept(arrays(6) | {name: value}, [2, 3])) is None


def test_a_surface_needs_two_corners_that_rise(kept: Any) -> None:
    low, high = np.zeros(2, dtype=np.float32), np.ones(2, dtype=np.float32)
    whole = {"surface": np.eye(3, dtype=np.float32), "surface_low": low, "surface_high": high}
    found = planes.surface(*kept(arrays(2) | whole))
    assert found is not None
    assert found["scores"].shape == (3, 3)
    assert planes.surface(*kept(arrays(2) | whole | {"surface_high": low})) is None
    assert planes.surface(*kept(arrays(2) | whole | {"surface_low": np.zeros(3, dtype=np.float32)})) is None
