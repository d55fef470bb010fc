"""What Keras leaves to its engine: one file for each, with the same names; ``engine`` is the one that Keras runs on."""

from __future__ import annotations

import importlib
from typing import Any

import keras

engine: Any = importlib.import_module(f"{__name__}.{keras.backend.backend()}")
