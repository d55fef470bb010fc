"""Seeded draws: the random generators of every loader, and which rows train, validate and test.

What published code does otherwise than it should can be asked for by name, so that it can be set beside doing it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Request, require

if TYPE_CHECKING:
    import pandas as pd

Rows = NDArray[np.intp]

Protocol = Literal["held-out", "same-rows", "mixed-split", "all-rows"]
MOST_CONTAMINATION = 0.2
FEWEST_TRAINING_ROWS = 10
"""That can be asked for."""

SPLITS: dict[Protocol, str] = {
    "held-out": "Normal rows are drawn 60 % train, 20 % validation, 20 % test; all anomalies are in the test part{}",
    "same-rows": "Flawed on purpose: the normal rows that train are also the validation rows and the normal rows of "
    "the test part, so nothing is held out but the anomalies{}",
    "mixed-split": "Flawed on purpose: all rows, anomalies unlabelled among them, are drawn 60 % train, 20 % "
    "validation, 20 % test{}",
    "all-rows": "Flawed on purpose: all rows, anomalies unlabelled among them, train, validate and are tested{}",
}
"""What each protocol means, for the provenance."""
FITTED_ON: dict[Protocol, str] = {
    "held-out": "training rows",
    "same-rows": "training rows",
    "mixed-split": "rows of all parts, before the split",
    "all-rows": "rows of all parts",
}
"""Whose values scalers see."""


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A Philox generator keyed by (seed, purpose), so that one draw never shifts another."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *purpose.encode()])))


def split(count: int, seed: int, *, validation: float = 0.2, test: float = 0.2) -> tuple[Rows, Rows, Rows]:
    """Draw which of `count` rows train, validate and test; each part holds sorted row numbers, and all share none."""
    order = generator(seed, "split").permutation(count)
    in_validation, in_test = round(count * validation), round(count * test)
    parts = np.split(order, [count - in_validation - in_test, count - in_test])
    train, val, tested = (np.sort(part) for part in parts)
    return train, val, tested


@dataclass(frozen=True)
class TrainingPart:
    """What is asked of the rows that train: the share of anomalies among them, and how many they are, 0 for all."""

    contamination: float = 0.0
    rows: int = 0


@dataclass(frozen=True, eq=False)
class Parts:
    """Row numbers of the parts of a data set whose normal rows come first and whose anomalies follow them.

    ``fitted`` are the rows that scalers are fitted on: the training rows, but where a protocol leaks.
    """

    train: Rows
    val: Rows
    test: Rows
    fitted: Rows
    notes: tuple[str, ...] = ()


def parts(request: Request, normal: int, anomalous: int, protocol: Protocol, asked: TrainingPart) -> Parts:
    """Which of the rows, `normal` ones numbered from 0 and the anomalies after them, train, validate and test."""
    total = normal + anomalous
    check(request, asked)
    check_protocol(request, asked, protocol)
    if protocol == "all-rows":
        every = np.arange(total)
        return Parts(every, every, every, every)
    if protocol == "same-rows":
        rows = np.arange(normal)
        return Parts(rows, rows, np.arange(total), rows)
    if protocol == "mixed-split":
        train, val, test = split(total, request.seed)
        lacking = "normal rows" if (test >= normal).all() else "anomalies"
        require(
            bool((test >= normal).any() and (test < normal).any()),
            f"data set '{request.name}': by chance the test part got no {lacking}; it wants more rows or another seed",
        )
        return Parts(train, val, test, np.arange(total))
    train, val, test = split(normal, request.seed)
    train, notes = fewer(request, train, asked)
    chosen = contaminants(request, asked.contamination, len(train), np.arange(normal, total))
    train = np.concatenate([train, chosen])
    test = np.concatenate([test, np.setdiff1d(np.arange(normal, total), chosen)])
    return Parts(train, val, test, train, (*notes, *contaminated(len(chosen), len(train))))


def check(request: Request, asked: TrainingPart) -> None:
    """Raise `DatasetError` for a share of anomalies, or a number of training rows, that is out of range."""
    require(
        0 <= asked.contamination <= MOST_CONTAMINATION,
        f"data set '{request.name}': train_contamination is {asked.contamination:g}; it wants a share from 0 to "
        f"{MOST_CONTAMINATION:g} of the training rows",
    )
    require(
        asked.rows == 0 or asked.rows >= FEWEST_TRAINING_ROWS,
        f"data set '{request.name}': train_rows is {asked.rows}; it wants at least {FEWEST_TRAINING_ROWS}, or 0 for "
        "all of them",
    )


def check_protocol(request: Request, asked: TrainingPart, protocol: str) -> None:
    """Raise `DatasetError` where the training part is to be another than a flawed protocol makes it."""
    for option, value in (("train_contamination", asked.contamination), ("train_rows", asked.rows)):
        require(
            protocol == "held-out" or value == 0,
            f"data set '{request.name}': {option} goes with protocol=held-out, not with protocol={protocol}",
        )


def fewer(request: Request, train: Rows, asked: TrainingPart) -> tuple[Rows, tuple[str, ...]]:
    """The normal training rows that are left where fewer are asked for, sorted, and what the notes say of it.

    They are drawn by the seed, and those of a smaller number are among those of a larger one, so that quality over
    their number is not also quality over other draws.
    """
    if not asked.rows:
        return train, ()
    normal = asked.rows - round(asked.contamination * asked.rows)
    require(
        normal <= len(train),
        f"data set '{request.name}': train_rows={asked.rows} wants {normal:,} normal training rows; there are "
        f"{len(train):,}",
    )
    drawn = np.sort(generator(request.seed, "training rows").permutation(train)[:normal])
    return drawn, (f"Fewer rows on purpose: {normal:,} of the {len(train):,} normal training rows, drawn by the seed.",)


def contaminants(
    request: Request,
    share: float,
    normal: int,
    candidates: Rows,
    keys: NDArray[np.uint64] | None = None,
    *,
    spare: int = 1,
) -> Rows:
    """Draw which anomalies are put among `normal` training rows so that they make up a `share` of them all.

    `candidates` are row numbers of anomalies, `keys` tell identical rows apart by row number, of which one is drawn at
    most, and `spare` of the candidates have to be left. Sorted row numbers.
    """
    wanted = contaminating(share, normal)
    if not wanted:
        return candidates[:0]
    if keys is not None:
        candidates = candidates[np.unique(keys[candidates], return_index=True)[1]]
    require(
        wanted + spare <= len(candidates),
        f"data set '{request.name}': train_contamination={share:g} beside {normal:,} normal training rows takes "
        f"{wanted:,} anomalies{' and leaves one to test' if spare else ''}; there are {len(candidates):,} distinct",
    )
    return np.sort(generator(request.seed, "contamination").choice(candidates, wanted, replace=False))


def contaminating(share: float, normal: int) -> int:
    """How many anomalies beside so many normal rows make up the share of all."""
    return round(share * normal / (1 - share))


def contaminated(count: int, rows: int, source: str = "taken out of the test part") -> tuple[str, ...]:
    """What the notes say where `count` of the training `rows` are anomalies."""
    if not count:
        return ()
    return (
        f"Contaminated on purpose: {count:,} of the {rows:,} training rows ({count / rows:.1%}) are anomalies, "
        f"unlabelled and {source}.",
    )


def split_together(
    keys: NDArray[np.uint64], anomalous: NDArray[np.bool_], seed: int, **shares: float
) -> tuple[Rows, Rows, Rows]:
    """Split normal rows so that identical ones stay together; what is identical to an anomaly goes to the test part."""
    tied = np.isin(keys, keys[anomalous])
    groups, group = np.unique(keys[~tied], return_inverse=True)
    train, val, test = (np.flatnonzero(~tied)[np.isin(group, part)] for part in split(len(groups), seed, **shares))
    return train, val, np.concatenate([test, np.flatnonzero(tied)])


def row_keys(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """A 64-bit key per row, equal for identical rows (missing values count as equal)."""
    import pandas as pd

    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def moved(chosen: Rows, train: Rows, test: Rows, keys: NDArray[np.uint64]) -> tuple[Rows, Rows, tuple[str, ...]]:
    """The training rows with the `chosen` anomalies behind them, the test rows without them and without rows identical
    to them, and what the notes say of the latter."""
    if not len(chosen):
        return train, test, ()
    left = test[~np.isin(keys[test], keys[chosen])]
    twins = len(test) - len(left) - len(chosen)
    note = f"{twins:,} test rows were dropped: identical to an anomaly that trains."
    return np.concatenate([train, chosen]), left, (note,) if twins else ()
