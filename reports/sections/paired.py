"""Every row of a data set against its leader, on the same test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports import numbers
from reports.arrays import Shelf
from reports.blocks import Block, Cell, Column, Fold, Prose, code, table
from reports.sections.columns import all_named
from reports.tables.frames import Row
from reports.tables.paired import RESAMPLED_SEEDS, differences
from reports.tables.settings import networks, varying


def fold(
    block: pd.DataFrame, finished: pd.DataFrame, records: Sequence[Mapping[str, Any]], shelf: Shelf
) -> list[Block]:
    """Nothing where no two trials left their scores."""
    compared = differences(block, finished, records, shelf)
    if compared is None:
        return []
    leader, found = compared
    who = " on ".join([code(leader["detector"]), *([code(leader["backend"])] if leader["backend"] else [])])
    said = (
        f"ROC AUC of each row minus that of {who} on the same test rows, the mean over seeds. The standard error is "
        f"that of resamples of these rows, the same for both, as if the seeds shared all rows (of {RESAMPLED_SEEDS} "
        f"seeds at most); p after Holm over the {len(found)} comparisons. What other weights would change is in none "
        "of it."
    )
    columns = [
        *all_named(("detector", "backend", *varying(networks(found)))),
        Column("difference", lambda row: Cell(numbers.signed(row["difference"], 4), row["difference"])),
        Column("95 % interval", _interval),
        Column("p (Holm)", lambda row: Cell(numbers.probability(row["p"]), row["p"])),
    ]
    label = "Paired with the leader, on the same test rows"
    return [Fold(label, [Prose(said), table(label, columns, found)])]


def _interval(row: Row) -> str:
    return f"[{numbers.signed(row['low'], 4)},{numbers.GLUE}{numbers.signed(row['high'], 4)}]"
