"""Whether the data sets of a suite are there and fit what is to be done with them."""

from __future__ import annotations

from pathlib import Path

import datasets
from bench.detect import registry
from bench.suites.checks import SuiteError
from bench.suites.suite import Suite

Shape = tuple[int, tuple[int, int] | None]
"""Columns of a data set, and the (height, width) of the images its rows are, or None."""


def check(suite: Suite, data_dir: Path | None) -> dict[str, Shape]:
    """Loads every data set once, before anything is run or written, and returns the shape of each one's rows.

    Raises
    ------
    SuiteError
        A data set is missing or unusable, or does not fit its training settings; one line.
    """
    shapes: dict[str, Shape] = {}
    for reference in dict.fromkeys(name for block in suite.blocks for name in block.datasets):
        try:
            data = datasets.load(reference, seed=suite.seeds[0], data_dir=data_dir)
        except datasets.DatasetError as error:
            raise SuiteError(str(error)) from None
        shapes[reference] = data.features, data.image_shape
        for block in suite.blocks:
            if reference not in block.datasets or not any(map(registry.needs_backend, block.detectors)):
                continue
            if block.training.likelihood == "bce" and not data.unit_interval:
                raise SuiteError(
                    f'{reference}: the likelihood bce needs values in [0, 1]; use likelihood = "mse" in its block'
                )
            images = list(filter(registry.needs_images, block.detectors))
            if images and data.image_shape is None:
                raise SuiteError(
                    f"{reference}: {images[0]} needs images, and the columns of this data set are none; "
                    f"leave {images[0]} out of its block, or name a data set such as digits:4 or mnist:4"
                )
            largest = max(training.batch_size for training in block.trainings)
            if largest > len(data.X_train):
                raise SuiteError(
                    f"{reference}: batch_size {largest} is more than its {len(data.X_train)} "
                    "training rows, and an epoch drops its last partial batch"
                )
    return shapes
