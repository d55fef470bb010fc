"""What the numbers mean and do not."""

from __future__ import annotations

from reports.blocks import List, Section
from reports.tables.material import Material


def section(material: Material) -> list[Section]:
    if material.trials.empty:
        return []
    return [Section("meaning", "What the numbers mean and do not", [List(list(_SENTENCES))], "Meaning")]


_SENTENCES = (
    "ROC AUC and AP judge the ranking of the test rows; F1, precision and recall judge one threshold, which is set "
    "without test labels unless marked as oracle.",
    "An interval that overlaps another does not show that two detectors are equal, only that these trials cannot tell "
    "them apart. Overlap is a cautious test: all detectors see the same test rows, which a paired comparison would "
    "use.",
    "Many data sets and detectors mean many comparisons; a few of the differences shown here may be luck.",
    "Throughput holds for this machine, these sizes of network and batch, and these versions; a larger network may "
    "turn the order of the backends around.",
    "The backends are written to be the same model from the same initial weights; what was proved of it, with the same "
    "batches and noise in each, stands under Equality. Trials with `random_source=native` draw their own, so scores "
    "differ as between seeds: quality should agree within that, and a gap beyond it is a fault to look for, not a "
    "merit of a framework.",
)
