"""Records in, pandas tables and plain data out: one row per trial, then one row per scenario. Knows no way of writing.

``trials`` is the door: everything else is made from its table, and from single records where a table has no column.
"""

from reports.tables.quality import RANKED, TRIVIAL_MARGIN, Standing, quality, standings
from reports.tables.throughput import MEDIANS, throughput
from reports.tables.trials import different, failures, having, other_scores, scored, short, trials

__all__ = [
    "MEDIANS",
    "RANKED",
    "TRIVIAL_MARGIN",
    "Standing",
    "different",
    "failures",
    "having",
    "other_scores",
    "quality",
    "scored",
    "short",
    "standings",
    "throughput",
    "trials",
]
