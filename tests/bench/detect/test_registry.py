"""Detectors of other distributions: what they raise, say of themselves and score is told in one line."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from bench.commands import listing
from bench.detect import registry
from bench.detect.detector import DetectorError, one_a_row
from bench.keep import fitting
from bench.keep.models import ModelError
from bench.suites.suite import SuiteError


class Guest:
    """A stranger."""

    def __init__(self, *, seed=0, threads=1):
        self.notes = []

    def fit(self, X):
        return self

    def decision_function(self, X):
        return X[:, 0]


class Networked(Guest):
    needs_backend = True


class Requiring(Guest):
    requires = (3,)


class Composed(Guest):
    @staticmethod
    def parts(**options):
        return 1 / 0


class Typed(Guest):
    def __init__(self, *, seed=0, threads=1, size: Size = 1):  # noqa: F821  that is the point
        super().__init__()


class Unfit(Guest):
    def fit(self, X):
        raise KeyError("\x1b[2J\nsecond line")


class Ending(Guest):
    def fit(self, X):
        raise SystemExit(7)


class Halved(Guest):
    def decision_function(self, X):
        return X[::2, 0]


class Wide(Guest):
    def decision_function(self, X):
        return X[:, :1]


class Wordy(Guest):
    def decision_function(self, X):
        return np.array(["high"] * len(X))


constant = 3


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    names = [found for found in globals() if isinstance(globals()[found], type) and issubclass(globals()[found], Guest)]
    points = [EntryPoint(name, f"{__name__}:{name}", "vaebench.detectors") for name in (*names, "constant", "absent")]
    points.append(EntryPoint("elsewhere", "no_such_module:Guest", "vaebench.detectors"))
    monkeypatch.setattr(registry, "entry_points", lambda *, group: points)
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Networked", "needs_backend is of subclasses of Autoencoder"),
        ("Requiring", "requires wants names of modules"),
        ("constant", "constant is no class"),
        ("absent", "raised AttributeError"),
        ("elsewhere", "raised ModuleNotFoundError"),
    ],
)
def test_a_class_that_is_no_detector_is_one_line_wherever_it_is_named(name, told):
    with pytest.raises(DetectorError) as failure:
        registry.load(name)
    assert told in str(failure.value)
    assert told in next(why for listed, _, why in listing.detector_rows() if listed == name)
    with pytest.raises((SuiteError, DetectorError)) as failure:
        _fit(name)
    assert told in str(failure.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Composed", "naming its parts raised ZeroDivisionError"),
        ("Unfit", "raised KeyError"),
        ("Ending", "raised SystemExit: 7"),
        ("Halved", "scores of shape (57,)"),
        ("Wide", "scores of shape (114, 1)"),
        ("Wordy", "type <U4"),
    ],
)
def test_a_detector_that_raises_or_lies_is_not_kept_and_why_is_one_line(name, told):
    with pytest.raises((ModelError, DetectorError)) as failure:
        _fit(name)
    assert told in str(failure.value)
    assert str(failure.value).isprintable()


def test_types_that_are_none_are_told(monkeypatch):
    with pytest.raises(DetectorError, match="reading the types of its parameters raised NameError"):
        registry.parameters("Typed")


def test_a_detector_of_ours_that_raises_is_a_fault_with_its_traceback(monkeypatch):
    monkeypatch.setitem(registry.REGISTRY, "ours", f"{__name__}:Unfit")
    with pytest.raises(KeyError):
        _fit("ours")


def test_scores_are_one_real_number_a_row():
    assert one_a_row([1, 2], 2).dtype == np.float64
    for found in (None, 3.0, np.ones(3), np.ones((2, 1)), np.ones(2) * 1j, np.array(["a", "b"])):
        with pytest.raises(DetectorError, match=r"shape \(2,\)"):
            one_a_row(found, 2)


def _fit(name):
    chosen, scenario = fitting.plan(
        "blobs?rows=600", name, None, file=None, changes={"devices": ["cpu"]}, seed=0, threads=1
    )
    fitting.fit(chosen, scenario, seed=0, data_dir=None)
