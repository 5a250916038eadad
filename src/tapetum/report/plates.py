"""The figures of one study, each with its words and its numbers. Start reading at `plates`.

A figure that cannot be drawn is not in the dictionary; the page says so where it would have stood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure

from tapetum.learn.result import Performance, StudyResult
from tapetum.report import drawing, figures, flowchart
from tapetum.report.figures import Part, Row
from tapetum.report.wording import feature, fraction, metric, percent, small

__all__ = [
    "LEAST_LOSS",
    "NAMES",
    "Plate",
    "SiteGroup",
    "chosen_performance",
    "main_part",
    "parts",
    "plates",
    "recipes_of",
    "site_groups",
]

NAMES = ("flow", "candidates", "roc", "pr", "calibration", "decision", "sites", "features")
"""The figures that a report can have."""

HALF, WHOLE = 4.7, 8.4  # inches: half and all of the page's width at the type size of its tables
MOST_ROWS = 20
LEAST_LOSS = 0.005
"""Loss of ROC-AUC below which no feature is said to matter by itself: it would round to .00."""


@dataclass(frozen=True, slots=True)
class Plate:
    """One figure: ``alt`` says what is to be seen, ``numbers`` holds what was drawn, one row a point."""

    name: str
    alt: str
    svg: str
    png: bytes | None
    numbers: pl.DataFrame

    @property
    def inline(self) -> str:
        """The figure as an element of the page."""
        return drawing.inline(self.svg, name=self.name, alt=self.alt)


@dataclass(frozen=True, slots=True)
class SiteGroup:
    """The sites of one set (``part`` as in `Prediction`), and the performance on all of it."""

    label: str
    part: str
    by_site: Mapping[str, Performance]
    whole: Performance | None


def chosen_performance(result: StudyResult) -> Performance | None:
    """The chosen candidate's performance in cross-validation; None when the result does not list it."""
    return next((item.performance for item in result.candidates if item.name == result.chosen), None)


def parts(result: StudyResult) -> list[Part]:
    """The sets of people that have a performance, the most trustworthy first: test set, then cross-validation."""
    both = (("Test set", result.test), ("Cross-validation", chosen_performance(result)))
    return [Part(label, performance) for label, performance in both if performance is not None]


def recipes_of(result: StudyResult) -> list[str]:
    """The recipes whose features the models saw."""
    features = result.study.get("features")
    return list(features.get("recipes", [])) if isinstance(features, Mapping) else []


def main_part(result: StudyResult) -> str:
    """The part of `Prediction` that the main figures show: ``test`` when there is a test set, else ``cv``."""
    return "test" if result.test is not None else "cv"


def plates(result: StudyResult, *, names: Collection[str] = NAMES) -> dict[str, Plate]:
    """Those of the named figures that this result has numbers for, by name."""
    people = parts(result)
    makers: dict[str, Callable[[], Plate | None]] = {
        "flow": lambda: _flow(result),
        "candidates": lambda: _candidates(result),
        "roc": lambda: _curves("roc", people, ("false_positive_rate", "true_positive_rate")),
        "pr": lambda: _curves("pr", people, ("recall", "precision")),
        "calibration": lambda: _calibration(result, people),
        "decision": lambda: _decision(people),
        "sites": lambda: _sites(result),
        "features": lambda: _features(result),
    }
    with drawing.style():
        made = [maker() for name, maker in makers.items() if name in names]
    return {plate.name: plate for plate in made if plate is not None}


def _plate(name: str, alt: str, figure: Figure, numbers: pl.DataFrame) -> Plate:
    return Plate(name, alt, drawing.svg(figure), drawing.png(figure), numbers)


def _flow(result: StudyResult) -> Plate | None:
    if not result.flow:
        return None
    rows = [
        {"step": step.label, "patients": step.patients, "units": step.units, "events": step.events} | loss
        for step in result.flow
        for loss in [{"dropped": None, "why": None}]
        + [{"dropped": number, "why": why} for why, number in step.dropped.items()]
    ]
    alt = flowchart.describe_flow(result.flow)
    return Plate("flow", alt, flowchart.flowchart(result.flow), None, pl.DataFrame(rows, infer_schema_length=None))


def _curves(name: str, people: Sequence[Part], columns: tuple[str, str]) -> Plate | None:
    drawn = [part for part in people if getattr(part.performance, name)]
    if not drawn:
        return None
    figure = Figure(figsize=(HALF, HALF))
    {"roc": figures.roc, "pr": figures.precision_recall}[name](drawn, ax=figure.subplots())
    title, area = {"roc": ("ROC curve", "roc_auc"), "pr": ("Precision-recall curve", "pr_auc")}[name]
    areas = "; ".join(f"{part.label}: area {metric(part.performance, area)}" for part in drawn)
    return _plate(name, f"{title}. {areas}.", figure, _stacked(drawn, name, columns))


def _calibration(result: StudyResult, people: Sequence[Part]) -> Plate | None:
    drawn = [part for part in people if part.performance.calibration]
    if not drawn:
        return None
    figure = Figure(figsize=(HALF, 6.0))
    above, below = figure.subplots(2, 1, height_ratios=[4.4, 1.2], sharex=True)
    figures.calibration(drawn, ax=above)
    above.tick_params(axis="x", labelbottom=False)
    shown = [row for row in result.predictions if row.part == main_part(result)]
    figures.histogram(shown, threshold=people[0].performance.threshold, ax=below)
    words = "; ".join(
        f"{part.label}: slope {metric(part.performance, 'calibration_slope')}, "
        f"intercept {metric(part.performance, 'calibration_intercept')}"
        for part in drawn
    )
    columns = ("mean_predicted", "observed_fraction", "low", "high", "n")
    alt = f"Calibration in groups, above a histogram of the predictions. {words}."
    return _plate("calibration", alt, figure, _stacked(drawn, "calibration", columns))


def _decision(people: Sequence[Part]) -> Plate | None:
    drawn = next((part for part in people if part.performance.decision), None)
    if drawn is None:
        return None
    figure = Figure(figsize=(HALF, 6.0))
    figures.decision(drawn, ax=figure.subplots())
    best = [row[0] for row in drawn.performance.decision if row[1] > max(row[2], 0.0)]
    reach = (
        f"the model is above both between {percent(min(best))} and {percent(max(best))}"
        if best
        else "the model is nowhere above both"
    )
    columns = ("threshold", "net_benefit_model", "net_benefit_treat_all")
    alt = f"Decision curve of the {drawn.label.lower()} beside treating everybody and nobody: {reach}."
    return _plate("decision", alt, figure, _stacked([drawn], "decision", columns))


def _candidates(result: StudyResult) -> Plate | None:
    rows = [
        Row(_readable(item.name), item.performance.metrics["roc_auc"], main=item.name == result.chosen)
        for item in result.candidates
        if "roc_auc" in item.performance.metrics
    ]
    return _forest("candidates", "ROC-AUC of the candidates in nested cross-validation", rows)


def site_groups(result: StudyResult) -> list[SiteGroup]:
    """The figures at each site, first those of the test set, then those of the development set; empty without any."""
    developed = next((item.by_site for item in result.candidates if item.name == result.chosen), {})
    groups = [
        SiteGroup("Test set", "test", result.test_by_site, result.test),
        SiteGroup("Development set, in cross-validation", "cv", developed, chosen_performance(result)),
    ]
    return [group for group in groups if group.by_site]


def _sites(result: StudyResult) -> Plate | None:
    rows: list[Row] = []
    for group in site_groups(result):
        place = 0 if group.part == main_part(result) else 1
        each = [
            Row(f"{site}  ({performance.events}/{performance.n})", performance.metrics["roc_auc"], place=place)
            for site, performance in group.by_site.items()
            if "roc_auc" in performance.metrics
        ]
        whole = group.whole
        if each and whole is not None and "roc_auc" in whole.metrics:
            each.append(Row(f"All  ({whole.events}/{whole.n})", whole.metrics["roc_auc"], main=True, place=place))
        rows += [Row(group.label, None), *each] if each else []
    return _forest("sites", "ROC-AUC at each site (events/units)", rows)


def _features(result: StudyResult) -> Plate | None:
    known = [item for item in result.importance if math.isfinite(item.loss.value)]
    ranked = sorted(known, key=lambda item: -item.loss.value)
    if not ranked or ranked[0].loss.value < LEAST_LOSS:
        return None
    recipes = recipes_of(result)
    # What rounds to nothing in value and interval would only be a row of .000.
    shown = [item for item in ranked[:MOST_ROWS] if max(abs(item.loss.low), abs(item.loss.high)) >= LEAST_LOSS / 10]
    rows = [Row(feature(item.name, recipes), item.loss) for item in shown]
    figure = Figure(figsize=(WHOLE, 0.75 + 0.31 * len(rows)))
    figures.forest(rows, reference=0.0, xlabel="Loss of ROC-AUC when shuffled", ax=figure.subplots(), writer=small)
    numbers = pl.DataFrame(
        [(i.name, i.code, i.loss.value, i.loss.low, i.loss.high) for i in ranked],
        schema=["feature", "code", "loss", "low", "high"],
        orient="row",
    )
    first = ", ".join(f"{feature(i.name, recipes)} {small(i.loss.value)}" for i in ranked[:3])
    return _plate("features", f"Permutation importance. Largest losses: {first}.", figure, numbers)


def _forest(name: str, title: str, rows: Sequence[Row]) -> Plate | None:
    if not rows:
        return None
    figure = Figure(figsize=(WHOLE, 0.75 + 0.31 * len(rows)))
    figures.forest(rows, reference=0.5, xlabel="ROC-AUC", ax=figure.subplots(), ceiling=1.01)
    drawn, group = [], ""
    for row in rows:
        if row.estimate is None:
            group = row.label
        else:
            drawn.append((group, row.label, row.estimate.value, row.estimate.low, row.estimate.high))
    numbers = pl.DataFrame(drawn, schema=["group", "name", "roc_auc", "low", "high"], orient="row")
    words = "; ".join(
        f"{f'{group}, ' if group else ''}{label} {fraction(value) if math.isfinite(value) else 'not estimable'}"
        for group, label, value, _, _ in drawn
    )
    return _plate(name, f"{title}: {words}.", figure, numbers)


def _stacked(people: Sequence[Part], curve: str, columns: Sequence[str]) -> pl.DataFrame:
    rows = [(part.label, *row[: len(columns)]) for part in people for row in getattr(part.performance, curve)]
    return pl.DataFrame(rows, schema=["part", *columns], orient="row", infer_schema_length=None)


def _readable(name: str) -> str:
    return name.replace("_", " ")
