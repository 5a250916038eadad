"""What a study found: `StudyResult`, plain frozen values that go to JSON and back without loss.

`learn.validate` makes it, `report` draws it, `predict` keeps a part of it in the model card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "Candidate",
    "Characteristic",
    "Check",
    "Estimate",
    "FlowStep",
    "Importance",
    "Performance",
    "Prediction",
    "StudyResult",
    "Summary",
]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval (patient-level bootstrap, percentile)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Performance:
    """How good predictions were on one set of people.

    ``metrics`` has roc_auc, pr_auc, brier, calibration_slope, calibration_intercept, sensitivity, specificity, ppv,
    npv; the last four at ``threshold`` (a probability). ``n``, ``patients`` and ``events`` count units, people and
    units with the outcome. Curves are lists of rows:
    ``roc`` (false positive rate, true positive rate), ``pr`` (recall, precision),
    ``calibration`` (mean predicted, observed fraction, low, high, n),
    ``decision`` (threshold, net benefit of the model, net benefit of treating all).
    """

    n: int
    patients: int
    events: int
    threshold: float
    metrics: Mapping[str, Estimate]
    roc: list[list[float]] = field(default_factory=list)
    pr: list[list[float]] = field(default_factory=list)
    calibration: list[list[float]] = field(default_factory=list)
    decision: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model family in nested cross-validation on the development set; ``by_site`` when sites were held out."""

    name: str
    performance: Performance
    by_site: Mapping[str, Performance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One box of the cohort flow diagram.

    ``dropped`` maps a reason to the number of units that left at this step; ``sites`` names where the people come from,
    and is given for the two sets only.
    """

    label: str
    patients: int
    units: int
    events: int | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    sites: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Summary:
    """One characteristic of one set of ``n``: median and quartiles of a number, or ``counts`` of words."""

    n: int
    missing: int
    median: float = math.nan
    low: float = math.nan
    high: float = math.nan
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One characteristic of the development set and of the test set, if there is one.

    ``difference`` is test minus development in standard deviations; NaN for words.
    """

    name: str
    development: Summary
    test: Summary | None = None
    difference: float = math.nan


@dataclass(frozen=True, slots=True)
class Importance:
    """Loss of ROC-AUC when a feature is shuffled (permutation importance on out-of-fold data), with its interval."""

    name: str
    code: str
    loss: Estimate


@dataclass(frozen=True, slots=True)
class Prediction:
    """One unit's out-of-sample probability. ``part`` is cv or test; low and high come from the bagged refits."""

    patient_key: str
    unit: str
    part: str
    probability: float
    low: float
    high: float
    outcome: int
    site: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One guard that was asked, what it looked at, and that it agreed (a guard that does not agree raises)."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class StudyResult:
    """Everything a report shows about one study.

    ``study`` is the study file as parsed; ``lineage`` has data_digest, settings, versions, seed, started_at, seconds.
    ``threshold_rule`` says in words how the threshold was chosen (always on the development set).
    ``test_by_site`` holds the test set's figures at each of its sites that has enough people for them.
    """

    study: Mapping[str, Any]
    flow: list[FlowStep]
    checks: list[Check]
    candidates: list[Candidate]
    chosen: str
    threshold_rule: str
    test: Performance | None
    importance: list[Importance]
    predictions: list[Prediction]
    lineage: Mapping[str, Any]
    test_by_site: Mapping[str, Performance] = field(default_factory=dict)
    characteristics: list[Characteristic] = field(default_factory=list)

    def sites_of(self, part: str) -> list[str]:
        """Sites of the people of a part (cv or test), as far as they are named."""
        return sorted({row.site for row in self.predictions if row.part == part and row.site})

    @property
    def unseen_sites(self) -> list[str]:
        """Sites of the test set, if nobody of them was in the development set; else none."""
        test = self.sites_of("test")
        placed = all(row.site for row in self.predictions)
        return test if placed and not set(test) & set(self.sites_of("cv")) else []

    @property
    def measured(self) -> Performance:
        """The figures to quote: of the untouched test set, or, without one, of the chosen model in cross-validation."""
        return self.test or next(item.performance for item in self.candidates if item.name == self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Nested dicts, lists, strings and numbers; a figure that does not exist (NaN) is null, as JSON wants it."""
        tree: dict[str, Any] = _without_nan(asdict(self))
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> StudyResult:
        """The inverse of `to_json`."""
        return cls(
            study=tree["study"],
            flow=[FlowStep(**step) for step in tree["flow"]],
            checks=[Check(**check) for check in tree["checks"]],
            candidates=[
                Candidate(
                    item["name"],
                    _performance(item["performance"]),
                    {site: _performance(row) for site, row in item["by_site"].items()},
                )
                for item in tree["candidates"]
            ],
            chosen=tree["chosen"],
            threshold_rule=tree["threshold_rule"],
            test=_performance(tree["test"]) if tree["test"] else None,
            importance=[Importance(i["name"], i["code"], _estimate(i["loss"])) for i in tree["importance"]],
            predictions=[
                Prediction(**{**row, **{name: _number(row[name]) for name in ("probability", "low", "high")}})
                for row in tree["predictions"]
            ],
            lineage=tree["lineage"],
            test_by_site={site: _performance(row) for site, row in tree.get("test_by_site", {}).items()},
            characteristics=[
                Characteristic(
                    row["name"],
                    _summary(row["development"]),
                    _summary(row["test"]) if row["test"] else None,
                    _number(row["difference"]),
                )
                for row in tree.get("characteristics", [])
            ],
        )


def _performance(tree: Mapping[str, Any]) -> Performance:
    return Performance(**{**tree, "metrics": {name: _estimate(e) for name, e in tree["metrics"].items()}})


def _summary(tree: Mapping[str, Any]) -> Summary:
    return Summary(**{**tree, **{name: _number(tree[name]) for name in ("median", "low", "high")}})


def _estimate(tree: Mapping[str, Any]) -> Estimate:
    return Estimate(**{name: _number(value) for name, value in tree.items()})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _without_nan(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _without_nan(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
