"""What timed trials prove of themselves: whether the run on the clock went where the reference goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reports.surveys import held, mapping


def followed(record: Mapping[str, Any]) -> bool | None:
    """Whether a trial followed the reference; None where it was not asked, or has none to follow."""
    found = mapping(held(record, "self_check")).get("followed")
    return found if isinstance(found, bool) else None


def proved(record: Mapping[str, Any]) -> bool:
    """Whether a trial's rate may stand in a table: a run that did not follow the reference has none."""
    return followed(record) is not False


def sentence(records: Iterable[Mapping[str, Any]]) -> str:
    """``12 of 12 timed trials followed the reference.``, of the trials that train a network, and what of the others.

    Empty where no record tells: they were made before there was a check, or nothing was timed.
    """
    checked = [mapping(held(record, "self_check")) for record in records if record.get("timed") is True]
    checked = [check for check in checked if check]
    with_network = [check for check in checked if "steps" in check]
    if not with_network:
        return ""
    held_up = sum(check.get("followed") is True for check in with_network)
    parts = [f"{held_up} of {len(with_network)} timed trials followed the reference"]
    if left := sum(not isinstance(check.get("followed"), bool) for check in with_network):
        parts.append(f"{left} could not be followed in the time there is")
    if others := len(checked) - len(with_network):
        parts.append(f"{others} of other detectors {'has' if others == 1 else 'have'} no reference")
    return f"{'; '.join(parts)}."
