"""Figures that others published, set beside ours: who measured what, on which data, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

Metric = Literal["roc_auc", "average_precision", "precision", "recall", "f1", "accuracy"]
"""``bench.quality.metrics.METRICS``, which is too heavy to import for a suite."""

Text = Annotated[str, Meta(min_length=1)]


@dataclass(frozen=True)
class Published:
    """One published figure; a ``[[published]]`` table of a suite.

    Attributes
    ----------
    datasets : tuple of str
        References as the suite's blocks have them; the figure is held against the mean over all of them.
    detector : str
    metric : str
        By its name in a record.
    value : float
    source : str
        Who published it, and where in it the figure stands.
    score, threshold : str or None
        Which of the detector's scores it is held against, and the text of which threshold's rule; None is the first.
    where : dict
        Training keys and their values, ``protocol`` among them, that a scenario must have to measure the same; for
        suites that run one detector on one data set in several ways.
    protocol : str
        How they did it.
    low, high : float or None
        Bounds, where the source gives any.
    """

    datasets: Annotated[tuple[Text, ...], Meta(min_length=1)]
    detector: Text
    metric: Metric
    value: float
    source: Text
    score: str | None = None
    threshold: str | None = None
    where: dict[str, Any] = field(default_factory=dict)
    protocol: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if (self.low is not None and self.low > self.value) or (self.high is not None and self.high < self.value):
            raise ValueError(f"value {self.value:g} lies outside its own bounds low and high")

    def is_about(self, dataset: str, detector: str, scores: tuple[str, ...], settings: Mapping[str, Any]) -> bool:
        """Whether a trial of this data set and detector, with these scores and settings, measures the same."""
        same = dataset in self.datasets and detector == self.detector
        same = same and all(key in settings and settings[key] == value for key, value in self.where.items())
        return same and (self.score is None or self.score in scores)

    @property
    def entry(self) -> dict[str, Any]:
        """What a record says of it: what was given, the data sets as a list."""
        given = {name: value for name, value in asdict(self).items() if value not in (None, "", {})}
        return given | {"datasets": list(self.datasets)}
