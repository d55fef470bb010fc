"""The roofline (Williams et al. 2009): what a machine allows at an arithmetic intensity, and where training stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.surveys import mapping, number
from reports.tables.frames import ROW, Row, rows

Records = Sequence[Mapping[str, Any]]

_VALUE_BYTES = 4
_WEIGHT_TRANSFERS = 8
"""How often a step of Adam has to move one weight between memory and processor at least.

The model's intensity counts compulsory traffic alone (Williams, Waterman and Patterson 2009, Communications of the ACM
52:4, with the caches' "3Cs"): what a large enough cache would still have to fetch once and write back once. Adam
(Kingma and Ba 2015, algorithm 1) has four arrays as large as the weights: the weights themselves, their gradient and
two moments. That is 4 × 2. Both passes read the weights again, but such reads are not compulsory.
"""


def points(trials: pd.DataFrame, throughput: pd.DataFrame, records: Records) -> list[Row]:
    """One for each row of ``throughput`` whose limit and dense network are known.

    ``intensity`` is in floating-point operations a byte: those of a step's matrix products, over the bytes that a step
    cannot do without: the batch's rows once, and every weight ``_WEIGHT_TRANSFERS`` times, in float32. ``performance``
    counts the products alone, per second. Convolutions, whose weights are used many times per row, are left out.
    """
    timed = trials[(trials["status"] == "ok") & trials["timed"] & trials["limit"].notna()]
    first = timed.drop_duplicates(ROW).set_index(ROW)["position"].to_dict()
    found = []
    for row in rows(throughput):
        position = first.get(tuple(row[key] for key in ROW))
        if position is None:
            continue
        limit, settings, data = (mapping(records[position].get(key)) for key in ("limits", "settings", "data"))
        flops, features = number(limit.get("flops_per_sample")), number(data.get("features"))
        matmul, copy = (number(limit.get(f"{key}_per_second")) for key in ("matmul_flops", "copy_bytes"))
        hidden = settings.get("hidden")
        if not isinstance(hidden, list) or not hidden or settings.get("filters"):
            continue
        if not min(flops, features, matmul, copy, row["train"], row["batch"]) > 0:
            continue
        # a dense network has 6 operations a weight and sample, but the input's gradient is not asked for
        weights = (flops + 2 * features * number(hidden[0])) / 6
        traffic = _VALUE_BYTES * (row["batch"] * features + _WEIGHT_TRANSFERS * weights)
        found.append(
            row
            | {
                "intensity": row["batch"] * flops / traffic,
                "performance": row["train"] * flops,
                "flops": flops,
                "matmul": matmul,
                "copy": copy,
            }
        )
    return [row for row in found if math.isfinite(row["intensity"] * row["performance"])]
