"""Which machines' records are shown together: rates never, quality where versions and rows agree."""

from __future__ import annotations

from typing import Any

from reports.sections import alerts
from reports.tables.material import Material
from reports.tables.trials import trials

PACKAGES = {"numpy": "2.0"}


def on(cpu: str, packages: dict[str, str] = PACKAGES) -> dict[str, Any]:
    environment = {"machine": {"cpu": cpu, "python": "3.12.1"}, "packages": packages, "vaebench": "0.1.0"}
    return {"environment_hash": f"{cpu} {packages}", "environment": environment}


def environments(records: list[dict[str, Any]]) -> list[str]:
    return trials(records)["environment"].tolist()


def test_rates_of_three_machines_are_shown_by_environment(record: Any) -> None:
    """Two alike and one with other versions: two environments."""
    alike = [record(seed=0, **on("x")), record(seed=1, **on("x"))]
    assert environments([*alike, record(seed=2, **on("x", {"numpy": "1.9"}))]) == ["A", "A", "B"]
    assert environments([record(seed=0, **on("x")), record(seed=1, **on("y"))]) == ["A", "B"]


def test_quality_is_pooled_over_machines_with_equal_versions_and_says_so(record: Any) -> None:
    found = [record(seed=seed, timed=False, **on(cpu)) for seed, cpu in enumerate("xyx")]
    assert environments(found) == ["", "", ""]
    said = "\n".join(alerts.alerts(Material(found)))
    assert "pooled over 2 kinds of machines" in said
    other = record(seed=3, timed=False, **on("z", {"numpy": "1.9"}))
    assert environments([*found, other]) == ["A", "A", "A", "B"]


def test_what_was_timed_is_never_pooled(record: Any) -> None:
    assert environments([record(seed=0, timed=False, **on("x")), record(seed=1, **on("y"))]) == ["A", "B"]


def test_machines_whose_rows_differ_are_not_pooled(record: Any) -> None:
    found = [record(seed=0, timed=False, **on(cpu)) for cpu in "xy"]
    assert environments(found) == ["", ""]
    found[1]["data"] = found[1]["data"] | {"checksum": "f" * 64}
    assert environments(found) == ["A", "B"]
