"""Series as rows: windows of consecutive steps, split in time so that none holds steps of two parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from datasets.dataset import Dataset, DatasetError, Provenance, Request, Series, Stretch, require
from datasets.preprocessing import Impute, Preprocessing, encode
from datasets.readings import Dialect
from datasets.scaling import Matrix, Scale, done
from datasets.splitting import Rows, TrainingPart, fewer

if TYPE_CHECKING:
    import pandas as pd

Flags = NDArray[np.bool_]
Events = Sequence[tuple[int, int, str]]

FEWEST_WINDOWS = 10
"""That a part trains on."""
MOST_CELLS = 1 << 30
"""Values of all windows together: 4 GiB in float32."""
MOST_FEATURES = 1 << 16
"""Values of one window."""
OVERLAP = 8
"""Windows that a step lies in where no stride is given."""


@dataclass(frozen=True)
class Cut:
    """How a series becomes rows: ``window`` steps each, one every ``stride`` steps, the last ``test`` share of the
    steps to test, and of those before it the last quarter to validate."""

    window: int
    stride: int
    test: float

    def bounds(self, steps: int) -> tuple[int, int]:
        """Where the validation part begins, and the test part."""
        tested = steps - round(self.test * steps)
        return tested - round(tested / 4), tested


def cut(request: Request, window: int, stride: int, test: float) -> Cut:
    """The options of a reference, checked; a stride of 0 is an eighth of the window."""
    stride = stride or max(1, window // OVERLAP)
    name = f"data set '{request.name}'"
    require(window >= 2, f"{name}: window is {window}; it wants at least 2 steps")
    require(
        1 <= stride <= window,
        f"{name}: stride is {stride}; it wants 1 to {window} steps, the window, so that no step is left out",
    )
    require(0 < test < 1, f"{name}: test is {test:g}; it wants a share between 0 and 1 of the steps")
    return Cut(window, stride, test)


@dataclass(frozen=True, eq=False)
class Windowing:
    """Raw columns of consecutive steps in, windows out: a row holds its steps one after another.

    ``time`` is the column that steps are sorted by; empty where they are in their order.
    """

    steps: Preprocessing
    window: int
    stride: int
    time: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.steps.columns

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f"{name} @{step}" for step in range(self.window) for name in self.steps.feature_names)

    def __call__(self, table: pd.DataFrame) -> Matrix:
        """The windows, of shape (windows, steps · channels), of a table of steps in their order."""
        return windows(self.steps(table), starts(len(table), self.window, self.stride), self.window)

    def saved(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        words, arrays = self.steps.saved()
        return words | {"window": self.window, "stride": self.stride, "time": self.time}, arrays


@dataclass(frozen=True)
class _Words:
    """What ``saved`` says of the windows."""

    window: Annotated[int, Meta(ge=2, le=MOST_FEATURES)]
    stride: Annotated[int, Meta(ge=1, le=MOST_FEATURES)]
    time: str


def restored(words: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Preprocessing | Windowing:
    """What ``saved`` of a preprocessing of rows, or of windows, gave; raises `DatasetError`, in one line, where it is
    none of either."""
    steps = Preprocessing.restored(words, arrays)
    if "window" not in words:
        return steps
    try:
        kept = msgspec.convert(dict(words), _Words)
    except msgspec.ValidationError as error:
        raise DatasetError(f"preprocessing: {error}") from None
    features = kept.window * len(steps.feature_names)
    require(
        kept.stride <= kept.window and features <= MOST_FEATURES,
        f"preprocessing: windows of {kept.window} steps every {kept.stride}, {features:,} values each, are none",
    )
    return Windowing(steps, kept.window, kept.stride, kept.time)


def starts(steps: int, window: int, stride: int) -> Rows:
    """The first steps of the windows of a stretch; the last one ends with it, so that every step is in one."""
    found = np.arange(0, steps - window + 1, stride)
    last = steps - window
    return found if last < 0 or found[-1] == last else np.append(found, last)


def windows(values: Matrix, starts: Rows, window: int) -> Matrix:
    """Rows of shape (windows, steps · channels) of values of shape (steps, channels)."""
    view = sliding_window_view(values, window, axis=0)[starts]
    return np.ascontiguousarray(view.transpose(0, 2, 1).reshape(len(starts), -1))


def touched(flags: Flags, starts: Rows, window: int) -> Flags:
    """Of each window whether one of its steps is flagged."""
    before = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(before[starts + window] > before[starts])


def check_room(request: Request, features: int, rows: int) -> None:
    """`DatasetError` where so many windows of so many values are more than is held."""
    require(
        features <= MOST_FEATURES and features * rows <= MOST_CELLS,
        f"data set '{request.name}': windows of {features:,} values, {features * rows:.3g} in all, of at most "
        f"{MOST_FEATURES:,} and {MOST_CELLS:.3g}; it wants a smaller window or a larger stride",
    )


def windowed(
    request: Request,
    steps: pd.DataFrame,
    anomalous: Flags,
    cut: Cut,
    asked: TrainingPart,
    provenance: Provenance,
    *,
    events: Events = (),
    time: str = "",
    scale: Scale = "standard",
    impute: Impute = "median",
    indicate: bool = False,
    dialect: Dialect | None = None,
) -> Dataset:
    """The data set of a series.

    Parameters
    ----------
    steps : frame of shape (steps, raw columns), in the order of time
    anomalous : bool array of shape (steps,)
        Windows with such a step neither train nor validate.
    events : sequence of (first step, step after the last, kind)
        What the anomalies are, where that is known.
    time : str
        The column that the steps were sorted by, if any.

    The scaler is fitted on the steps that train. Of the provenance the protocol and the notes are completed here.
    """
    where = f"data set '{request.name}'"
    valid, tested = cut.bounds(len(steps))
    spans = {"training": (0, valid), "validation": (valid, tested), "test": (tested, len(steps))}
    for part, (first, last) in spans.items():
        require(
            cut.window <= last - first,
            f"{where}: window={cut.window} is longer than the {part} part, {last - first:,} of {len(steps):,} steps",
        )
    chosen, notes = {}, list(provenance.notes)
    for part, (first, last) in spans.items():
        every = starts(last - first, cut.window, cut.stride)
        bad = touched(anomalous[first:last], every, cut.window)
        chosen[part] = every if part == "test" else every[~bad]
        if part != "test" and bad.any():
            notes.append(f"{bad.sum():,} of {len(every):,} {part} windows hold an anomaly, and are left out.")
    chosen["training"], said = fewer(request, chosen["training"], asked)
    for part, least in (("training", FEWEST_WINDOWS), ("validation", 1)):
        require(
            len(chosen[part]) >= least,
            f"{where}: the {part} part has {len(chosen[part])} windows without an anomaly; it takes {least}",
        )
    labels = anomalous[tested:]
    y_test = touched(labels, chosen["test"], cut.window)
    lacking = "anomaly" if not y_test.any() else "normal window" if y_test.all() else ""
    require(not lacking, f"{where}: the test part, the last {len(labels):,} steps, holds no {lacking}")

    trained = np.zeros(valid, dtype=np.bool_)
    for step in range(cut.window):
        trained[chosen["training"] + step] = True
    frames = [steps.iloc[first:last] for first, last in spans.values()]
    encoded = encode(
        frames[0][trained],
        *frames,
        categorical=[name for name in steps.columns if steps[name].dtype == object],
        scale=scale,
        impute=impute,
        indicate=indicate,
        seed=request.seed,
        dialect=dialect,
    )
    require(len(encoded.feature_names) > 0, f"{where}: every column is constant in the training part; nothing to learn")
    check_room(request, cut.window * len(encoded.feature_names), sum(map(len, chosen.values())))
    matrices = dict(zip(spans, encoded.parts[1:], strict=True))
    train, val, test = (Stretch(chosen[part], last - first) for part, (first, last) in spans.items())
    windowing = Windowing(encoded.preprocessing, cut.window, cut.stride, time)
    split = (
        f"Windows of {cut.window} steps, one every {cut.stride}, of a series split in time: the first {valid:,} steps "
        f"train, the next {tested - valid:,} validate, the last {len(labels):,} test, and no window holds steps of two "
        f"parts; a test window is an anomaly where one of its steps is; channels {done(scale, 'steps that train')}."
    )
    return Dataset(
        name=request.name,
        X_train=windows(matrices["training"], chosen["training"], cut.window),
        X_val=windows(matrices["validation"], chosen["validation"], cut.window),
        X_test=windows(matrices["test"], chosen["test"], cut.window),
        y_test=y_test.astype(np.int8),
        feature_names=windowing.feature_names,
        provenance=replace(
            provenance, protocol=provenance.protocol + split, notes=(*notes, *said, *encoded.notes, OVERLAPPING)
        ),
        preprocessing=windowing,
        series=Series(
            cut.window,
            encoded.feature_names,
            train,
            val,
            test,
            labels=labels,
            values=matrices["test"],
            events=tuple((a - tested, b - tested, kind) for a, b, kind in events) or _events(labels),
        ),
    )


OVERLAPPING = (
    "Windows overlap and follow from each other, so intervals over test rows, which take them for independent, are too "
    "narrow."
)


def _events(labels: Flags) -> tuple[tuple[int, int, str], ...]:
    edges = np.diff(np.concatenate([[False], labels, [False]]).astype(np.int8))
    pairs = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    return tuple((start, stop, "") for start, stop in pairs)
