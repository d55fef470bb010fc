"""Loaders of other distributions: what they raise, take and return is told in one line, and never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest

import datasets
from datasets.dataset import Dataset, DatasetError, Provenance, Request


def made(request: Request, **changes: Any) -> Dataset:
    draw = np.random.default_rng(0)
    found: dict[str, Any] = {
        part: draw.normal(size=(40, 3)).astype(np.float32) for part in ("X_train", "X_val", "X_test")
    }
    found |= {"y_test": (np.arange(40) < 6).astype(np.int8), "feature_names": ("a", "b", "c")}
    found |= {"name": request.name, "provenance": Provenance("Made.", "Held out.")}
    return Dataset(**found | changes)


def good(request: Request) -> Dataset:
    return made(request)


def raising(request: Request) -> Dataset:
    raise KeyError("\x1b[2J\nsecond line")


def ending(request: Request) -> Dataset:
    raise SystemExit(7)


def hungry(request: Request) -> Dataset:
    raise MemoryError("9 EiB")


def nothing(request: Request) -> None:
    return None


def doubles(request: Request) -> Dataset:
    return made(request, X_train=[[1.0, 2.0, 3.0]])


def unnamed(request: Request) -> Dataset:
    return made(request, name=None)


def unexplained(request: Request) -> Dataset:
    return made(request, provenance=None)


def numbered(request: Request) -> Dataset:
    return made(request, feature_names=(1, 2, 3))


def pictured(request: Request) -> Dataset:
    return made(request, image_shape=(5, 7))


def listed(request: Request, *, rows: list[int] = []) -> Dataset:  # noqa: B006  nothing is done with it
    return made(request)


def misspelt(request: Request, *, rows: Rows = 1) -> Dataset:  # type: ignore[name-defined]  # noqa: F821
    return made(request)


def unasked() -> None:
    return None


def unsure(request: Request) -> Dataset:
    return made(request)


def _raises(*given: Any, **more: Any) -> Any:
    return 1 / 0


unsure.missing = unsure.expanded = _raises  # type: ignore[attr-defined]
constant = 3


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = [name for name, found in globals().items() if callable(found) and name.islower()]
    points = EntryPoints(
        EntryPoint(name, f"{__name__}:{name}", datasets.ENTRY_POINTS) for name in (*names, "constant", "absent")
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: points.select(group=group))
    datasets._targets.cache_clear()
    yield
    datasets._targets.cache_clear()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raising", "its loader raised KeyError: '"),
        ("ending", "its loader raised SystemExit: 7"),
        ("nothing", "its loader returned NoneType and no Dataset"),
        ("doubles", "its loader raised AttributeError"),
        ("unnamed", "its name wants to be text"),
        ("unexplained", "its provenance a Provenance"),
        ("numbered", "feature_names wants a tuple of texts"),
        ("pictured", "images of (5, 7) are not its 3 columns"),
        ("listed", "its loader's rows is no int, float, bool, str or Literal"),
        ("misspelt", "reading what its loader takes raised NameError"),
        ("unasked", "reading what its loader takes raised ValueError"),
        ("constant", "constant is no function"),
        ("absent", "cannot import"),
    ],
)
def test_a_loader_that_raises_or_lies_is_one_line(name: str, told: str) -> None:
    with pytest.raises(DatasetError) as failure:
        datasets.load(name)
    assert told in str(failure.value)
    assert str(failure.value).isprintable()


def test_a_loader_without_memory_says_so_to_who_asked() -> None:
    with pytest.raises(MemoryError):
        datasets.load("hungry")


def test_a_loader_of_ours_that_raises_is_a_fault_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.REGISTRY, "ours", f"{__name__}:raising")
    datasets._targets.cache_clear()
    with pytest.raises(KeyError):
        datasets.load("ours")


def test_a_loader_that_does_not_know_whether_its_data_are_there_says_why() -> None:
    assert "whether it is there raised ZeroDivisionError" in str(datasets.missing("unsure"))
    with pytest.raises(DatasetError, match="what it stands for raised ZeroDivisionError"):
        datasets.expanded("unsure")
    assert datasets.missing("good") is None
    assert datasets.load("good").features == 3
