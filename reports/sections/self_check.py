"""What timed trials prove of themselves: whether the run on the clock went where the reference goes."""

from __future__ import annotations

from collections import Counter

import pandas as pd


def counted(trials: pd.DataFrame) -> str:
    """``12 of 12 timed trials followed the reference``, or that there was no time to see; empty where no record tells:
    they were made before there was a check, or nothing was timed."""
    counts = _counts(trials)
    if not (of := counts["followed"] + counts["left"] + counts["too long"]):
        return ""
    if counts["too long"] == of:
        return f"None of {of} timed trials could be followed in the time there is"
    return f"{counts['followed']} of {of} timed trials followed the reference"


def sentence(trials: pd.DataFrame) -> str:
    """The same, and what of the others."""
    if not (parts := [counted(trials)])[0]:
        return ""
    counts = _counts(trials)
    if (left := counts["too long"]) and counts["followed"] + counts["left"]:
        parts.append(f"{left} could not be followed in the time there is")
    if others := counts["no reference"]:
        parts.append(f"{others} of other detectors {'has' if others == 1 else 'have'} no reference")
    return f"{'; '.join(parts)}."


def _counts(trials: pd.DataFrame) -> Counter[str]:
    return Counter(trials.loc[trials["timed"].astype(bool), "self_check"])
