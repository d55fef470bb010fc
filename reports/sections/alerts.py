"""Everything that a reader has to know first."""

from __future__ import annotations

from reports.blocks import code, listing, words
from reports.sections import equality
from reports.tables.material import Material, label

MOST_WARNINGS = 20


def alerts(material: Material) -> list[str]:
    """One line each, in the order of their weight."""
    return [
        *_environments(material),
        *_pooled(material),
        *_changed(material),
        *equality.alerts(material),
        *_warnings(material),
    ]


def _environments(material: Material) -> list[str]:
    labels = [environment for environment in material.environments if environment]
    runs = material.trials.loc[material.trials["run"] != "", ["environment", "run"]].drop_duplicates()
    if len(runs) > 1:
        names = [f"{environment} is {code(run)}" for environment, run in runs.itertuples(index=False, name=None)]
        return [
            f"**{len(runs)} runs side by side: {listing(names, 26)}.** They are never averaged; differences between "
            "them are differences of machines, devices or versions too. [Environment](#environment) tells them apart."
        ]
    if not labels:
        return []
    return [
        f"**These records come from {len(labels)} different environments ({listing(labels)}).** They are shown "
        "apart and never averaged; differences between them are differences of machines or versions too. "
        "[Environment](#environment) tells them apart."
    ]


def _pooled(material: Material) -> list[str]:
    machines = material.trials.groupby("environment")["environment_hash"].nunique()
    return [
        f"Quality{label(str(environment))} is pooled over {count} kinds of machines: nothing was timed there, and "
        "their versions and the checksums of the data agree."
        for environment, count in machines.items()
        if count > 1
    ]


def _changed(material: Material) -> list[str]:
    known = material.trials[material.trials["checksum"] != ""]
    counts = known.groupby(["dataset", "seed"])["checksum"].nunique()
    changed = counts[counts > 1].reset_index().itertuples(index=False, name=None)
    return [
        f"The rows of {code(dataset)} with seed {seed:.0f} changed between trials: {count} checksums."
        for dataset, seed, count in changed
    ]


def _warnings(material: Material) -> list[str]:
    lines = list(material.warnings)
    more = len(lines) - MOST_WARNINGS
    if more <= 0:
        return list(map(words, lines))
    return [*map(words, lines[: MOST_WARNINGS - 1]), f"… and {more + 1:,} more warnings."]
