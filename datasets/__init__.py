"""The data sets: one reference string in, one `Dataset` out. Importing this package loads the standard library only.

A reference reads ``family[:argument][?option=value&option=value]``, for example ``digits:4`` or
``blobs?rows=20000&clusters=3``; with a seed it names one task completely.

A new data set is one file with a loader and one line in `REGISTRY` (or, from another distribution, one entry point in
the group ``vaebench.datasets``). A loader takes a `Request`, at most one argument, and its options by keyword; every
parameter but the request is an int, float, str, bool or a ``Literal`` of words, and the options have defaults::

    def load_rings(request: Request, *, rows: int = 1_000, noise: float = 0.1) -> Dataset:
        \"""Two rings in the plane, the outer one anomalous (this line is what ``bench list datasets`` shows).\"""
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, unquote

from datasets.dataset import Dataset, DatasetError, Provenance, Request, SourceFile
from datasets.strangers import guarded

__all__ = [
    "DISTRIBUTION",
    "REGISTRY",
    "Dataset",
    "DatasetError",
    "Provenance",
    "Reference",
    "Request",
    "SourceFile",
    "expanded",
    "families",
    "load",
    "missing",
    "parse",
    "references",
    "varied",
]

DISTRIBUTION = "vaebench"
ENTRY_POINTS = "vaebench.datasets"

REGISTRY = {
    "blobs": "datasets.blobs:load_blobs",
    "blobs-2d": "datasets.blobs:load_blobs_2d",
    "correlated": "datasets.blobs:load_correlated",
    "shifted": "datasets.blobs:load_shifted",
    "digits": "datasets.digits:load_digits",
    "mnist": "datasets.digits:load_mnist",
    "mnist-one-class": "datasets.digits:load_mnist_one_class",
    "kdd-synthetic": "datasets.kdd_synthetic:load_kdd_synthetic",
    "kdd99": "datasets.kdd:load_kdd99",
    "kdd99-swapped": "datasets.kdd:load_kdd99_swapped",
    "nsl-kdd": "datasets.kdd:load_nsl_kdd",
    "sensors": "datasets.sensors:load_sensors",
    "file": "datasets.files:load_file",
}

Loader = Callable[..., Dataset]


@dataclass(frozen=True)
class Reference:
    """A parsed reference: its text, its family and that family's loader, and what the loader is called with."""

    text: str
    family: str
    loader: Loader
    arguments: dict[str, int | float | str | bool]


def families() -> dict[str, str]:
    """Every registered family, in order, with one line that describes it (or says why it cannot be imported)."""
    described = {}
    for family in _targets():
        try:
            described[family] = (inspect.getdoc(_loader(family)) or "").partition("\n")[0]
        except DatasetError as error:
            described[family] = str(error)
    return described


def parse(reference: str) -> Reference:
    """Read a reference and convert its values; raises `DatasetError`, naming the nearest valid word, if it is wrong."""
    head, asked, tail = reference.partition("?")
    family, colon, argument = head.partition(":")
    if family not in _targets():
        raise DatasetError(f"data set '{reference}': no family '{family}'; {_nearest(family, _targets())}")
    loader = _loader(family)
    parameters = _parameters(family, loader)
    positional = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    options = {parameter.name: parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}

    arguments: dict[str, int | float | str | bool] = {}
    if colon and not positional:
        raise DatasetError(f"data set '{reference}': {family} takes no argument; write '{family}{asked}{tail}'")
    for parameter in positional:
        if argument:
            arguments[parameter.name] = _convert(argument, parameter, reference)
        elif colon or parameter.default is parameter.empty:
            raise DatasetError(
                f"data set '{reference}': needs a {parameter.name}, as in {family}:{parameter.name.upper()}"
            )
    for pair in filter(None, tail.split("&")):
        name, equals, value = pair.partition("=")
        if name not in options:
            raise DatasetError(f"data set '{reference}': no option '{name}' of {family}; {_nearest(name, options)}")
        if not equals or name in arguments:
            raise DatasetError(f"data set '{reference}': option '{name}' wants exactly one value, as in {name}=...")
        arguments[name] = _convert(unquote(value), options[name], reference)
    return Reference(reference, family, loader, arguments)


def references(text: str) -> list[str]:
    """The references of a list such as ``digits:4,file:my.csv?normal=A,B,blobs``.

    A comma among the options of a reference begins the next one where the name of a family follows, and otherwise
    belongs to the value before it; between double quotes it always does.
    """
    pieces = [""]
    quoted = False
    for place, character in enumerate(text):
        quoted ^= character == '"' and "?" in pieces[-1]
        if character == "," and not quoted and ("?" not in pieces[-1] or _begins_reference(text[place + 1 :])):
            pieces.append("")
        else:
            pieces[-1] += character
    return [piece.strip() for piece in pieces]


def _begins_reference(text: str) -> bool:
    found = re.match(r"\s*([^:?,&=\s]+)\s*(?=[:?,]|$)", text)
    return found is not None and found[1] in _targets()


def expanded(reference: str) -> list[str]:
    """The references that one stands for: ``file:folder/*.npz``, or a folder, for each of its files, in order.

    Any other reference stands for itself. Raises `DatasetError` where no file fits.
    """
    parsed = parse(reference)
    expand: Callable[..., list[str]] | None = getattr(parsed.loader, "expanded", None)
    if expand is None:
        return [reference]
    _, asked, tail = reference.partition("?")
    with _guarded(parsed.family, f"data set '{reference}': what it stands for"):
        return [f"{parsed.family}:{one}{asked}{tail}" for one in expand(reference, **parsed.arguments)]


def load(reference: str, *, seed: int = 0, data_dir: Path | None = None) -> Dataset:
    """Load the data set that `reference` names.

    `seed` (0 or more) keys all that is drawn: generated rows and splits. `data_dir` holds the downloaded files; without
    one it is ``$BENCH_DATA_DIR``, else the platform's cache folder. Raises `DatasetError` with one line.
    """
    from datasets.matrices import NoRoom

    parsed = parse(reference)
    asked = _request(reference, seed, data_dir)
    try:
        with _guarded(parsed.family, f"data set '{reference}': its loader"):
            found = parsed.loader(asked, **parsed.arguments)
    except NoRoom as error:
        raise DatasetError(f"data set '{reference}': {error}") from error
    if not isinstance(found, Dataset):
        raise DatasetError(f"data set '{reference}': its loader returned {type(found).__name__} and no Dataset")
    return found


def missing(reference: str, data_dir: Path | None = None) -> str | None:
    """Why `reference` cannot be loaded now, in one line that says how to get the file; None when it can.

    Looks at file names only, and asks for a network where a loader could fetch what is not there. A reference that is
    itself wrong, or lacks its argument, cannot be loaded either.
    """
    try:
        parsed = parse(reference)
    except DatasetError as error:
        return str(error)
    check: Callable[..., str | None] | None = getattr(parsed.loader, "missing", None)
    try:
        with _guarded(parsed.family, f"data set '{reference}': whether it is there"):
            return check(_request(reference, 0, data_dir), **parsed.arguments) if check else None
    except DatasetError as error:
        return str(error)


def varied(reference: str, options: Mapping[str, object]) -> str:
    """`reference` with these options beside its own; one at its default is left out, so that it stays the same task.

    Raises `DatasetError` where the family has no such option, the reference sets it already, or the value is none of
    its values.
    """
    parsed = parse(reference)
    defaults = {name: p.default for name, p in inspect.signature(parsed.loader).parameters.items()}
    found = reference
    for name, value in options.items():
        word = str(value).lower() if isinstance(value, bool) else str(value)
        joined = f"{found}{'&' if '?' in found else '?'}{name}={quote(word)}"
        if parse(joined).arguments[name] != defaults[name]:
            found = joined
    return found


def _request(reference: str, seed: int, data_dir: Path | None) -> Request:
    from datasets.storage import data_directory

    if seed < 0:
        raise DatasetError(f"data set '{reference}': seed {seed} is negative; seeds count from 0")
    return Request(reference, seed, data_directory(data_dir))


@functools.cache
def _targets() -> dict[str, str]:
    """Family to ``module:function``: our own, then those of other distributions, which cannot take our names."""
    from importlib.metadata import entry_points

    return REGISTRY | {
        point.name: point.value for point in entry_points(group=ENTRY_POINTS) if point.name not in REGISTRY
    }


def _loader(family: str) -> Loader:
    target = _targets()[family]
    module, _, function = target.partition(":")
    try:
        with _guarded(family, f"data set family '{family}': importing {target}", ImportError, AttributeError):
            loader: Loader = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise DatasetError(f"data set family '{family}': cannot import {target}: {error}") from error
    if not callable(loader):
        raise DatasetError(f"data set family '{family}': {target} is no function")
    return loader


@functools.cache
def _parameters(family: str, loader: Loader) -> list[inspect.Parameter]:
    """What a loader takes beside the request; `DatasetError` where a reference could not say it."""
    with _guarded(family, f"data set family '{family}': reading what its loader takes"):
        _request, *found = inspect.signature(loader, eval_str=True).parameters.values()
    for parameter in found:
        kind = parameter.annotation
        if get_origin(kind) is not Literal and not any(kind is known for known in (int, float, bool, str)):
            raise DatasetError(
                f"data set family '{family}': its loader's {parameter.name} is no int, float, bool, str or Literal"
            )
    return found


def _guarded(family: str, what: str, *passing: type[BaseException]) -> AbstractContextManager[None]:
    return guarded(what, DatasetError, *passing, ours=family in REGISTRY)


def _convert(text: str, parameter: inspect.Parameter, reference: str) -> int | float | str | bool:
    kinds: dict[Any, tuple[Callable[[str], int | float | str | bool], str]] = {
        int: (int, "a whole number"),
        float: (_finite, "a number"),
        bool: (lambda word: {"true": True, "false": False}[word.lower()], "true or false"),
        str: (str, "text"),
    }
    if get_origin(parameter.annotation) is Literal:
        choices: tuple[str, ...] = get_args(parameter.annotation)
        if text in choices:
            return text
        raise DatasetError(f"data set '{reference}': no {parameter.name} '{text}'; {_nearest(text, choices)}")
    read, wanted = kinds[parameter.annotation]
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        raise DatasetError(f"data set '{reference}': {parameter.name} is '{text}'; it wants {wanted}") from error


def _finite(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(text)


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are: {', '.join(names)}" if names else "it has none"
