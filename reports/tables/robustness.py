"""What is left of detection when anomalies are moved to look normal: ROC AUC over ε, by scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from reports.surveys import mapping
from reports.surveys import numbers as finite
from reports.tables.frames import ROW, Row, rows
from reports.tables.material import Material
from reports.tables.settings import networks, told, varying
from reports.tables.studies import Estimate, estimate
from reports.tables.trials import having


class Curve(NamedTuple):
    """One scenario's: ``row`` is one of its trials, ``setting`` what tells it from others of its detector and
    backend."""

    row: Row
    setting: str
    areas: dict[float, Estimate]
    """ROC AUC by ε, over seeds."""


def curves(material: Material) -> dict[tuple[str, str], list[Curve]]:
    """By environment and data set; of the trials that have any, in the order of the quality table's detectors."""
    found: dict[tuple[str, str], list[Curve]] = {}
    for (environment, dataset), finished in material.finished.items():
        having_any = finished[having(material.records, "robustness", finished["position"])]
        body = rows(having_any.drop_duplicates(ROW))
        telling = varying(networks(body))
        trials = having_any.drop_duplicates([*ROW, "seed"]).groupby(ROW, sort=False)["position"].agg(list).to_dict()
        for row in body:
            setting = told(row, telling) if row["backend"] else row["variant"]
            values: dict[float, list[float]] = {}
            for position in trials[tuple(row[key] for key in ROW)]:
                for epsilon, area in points(material.records[position]):
                    values.setdefault(epsilon, []).append(area)
            areas = {epsilon: estimate(values[epsilon], (0.0, 1.0)) for epsilon in sorted(values)}
            if areas:
                found.setdefault((environment, dataset), []).append(Curve(row, setting, areas))
    return found


def points(record: Mapping[str, Any]) -> list[tuple[float, float]]:
    """ε and ROC AUC, where both are whole."""
    value = record.get("robustness")
    if type(value) is msgspec.Raw:
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
    epsilons, areas = (finite(mapping(value).get(key)) for key in ("epsilons", "roc_auc"))
    return list(zip(epsilons, areas, strict=True)) if len(epsilons) == len(areas) else []
