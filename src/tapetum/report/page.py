"""The report of one study as one self-contained page. Start reading at `render`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tapetum.learn.plan import LEAST_OF_EACH
from tapetum.learn.result import StudyResult
from tapetum.report import wording
from tapetum.report.card import card, design, headline, table
from tapetum.report.montage import MontageTile, data_uri, grouped
from tapetum.report.plates import (
    LEAST_LOSS,
    NAMES,
    Plate,
    chosen_performance,
    main_part,
    parts,
    plates,
    recipes_of,
    site_groups,
)
from tapetum.report.tables import (
    BAR,
    characteristic_rows,
    characteristics_table,
    confusion,
    intake_rows,
    prediction_rows,
    quality_rows,
)
from tapetum.report.tripod import answers, stated

__all__ = ["ENVIRONMENT", "render", "write"]

LINEAGE = ("data_digest", "settings", "versions", "seed", "started_at", "seconds")
FIRST_PREDICTIONS, MOST_PREDICTIONS = 50, 2000
MOST_CHARACTERISTICS = 12
PRINTED_PREDICTIONS = 20  # rows that style.css leaves on paper

SECTIONS = {
    "summary": "Summary",
    "cohort": "Cohort",
    "images": "Images",
    "candidates": "Candidate models",
    "performance": "Performance",
    "threshold": "Threshold",
    "sites": "Sites",
    "features": "Features that matter",
    "predictions": "Predictions",
    "card": "Model card",
    "guards": "Guards",
    "lineage": "Lineage",
    "study-file": "Study file",
}
"""The places of a page that an item of TRIPOD+AI can point to, and their headings."""

ENVIRONMENT = Environment(
    loader=PackageLoader("tapetum.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
FILTERS: dict[str, Callable[..., Any]] = {
    "count": wording.count,
    "percent": wording.percent,
    "fraction": wording.fraction,
    "feature": wording.feature,
    "loss": lambda estimate: wording.with_interval(estimate, wording.small),
    "readable": lambda name: str(name).replace("_", " "),
    "inline": lambda plate: Markup(plate.inline),  # noqa: S704 - our own SVG, in which every text is escaped
    "data_uri": data_uri,
    "pretty": wording.pretty,
}
ENVIRONMENT.filters |= FILTERS
ENVIRONMENT.globals |= {
    "metric": wording.metric,
    "hospitals": wording.hospitals,
    "METRICS": wording.METRICS,
    "BAR": BAR,
    "LEAST": LEAST_OF_EACH,
    "SECTIONS": SECTIONS,
}


def render(
    result: StudyResult,
    *,
    model: str = "",
    montage: Sequence[MontageTile] = (),
    quality: pl.DataFrame | None = None,
    intake: Mapping[str, int] | None = None,
    title: str = "",
) -> str:
    """Draw the report of one study as HTML that needs nothing but itself.

    Parameters
    ----------
    result : what the study found.
    model : digest of the packaged model that lies in ``model/`` beside the page.
    montage : images to show; `montage.choose` names the predictions worth a look.
    quality : one row an image, one column a measure of its quality; summarised, not listed.
    intake : files by how they ended: ``stored``, ``duplicate``, and each rejection code.
    title : heading of the page; the study's name when empty.

    Returns
    -------
    A whole HTML document, also well-formed XML: styles, figures and images are inside, there are no scripts, and the
    same arguments give the same bytes.
    """
    return _page(result, plates(result), model=model, montage=montage, quality=quality, intake=intake, title=title)


def write(
    result: StudyResult,
    folder: Path,
    *,
    model: str = "",
    montage: Sequence[MontageTile] = (),
    quality: pl.DataFrame | None = None,
    intake: Mapping[str, int] | None = None,
    title: str = "",
) -> Path:
    """Write the page and its parts into ``folder`` (made when absent) and return the page's path.

    ``report.html``; ``predictions.csv`` with every prediction; ``characteristics.csv`` with both sets side by side;
    ``figures/`` with each figure as SVG, as PNG (except
    the flow diagram) and its numbers as CSV. Files of the same names are replaced. See `render` for the arguments.
    """
    drawn = plates(result)
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for plate in drawn.values():
        (figures / f"{plate.name}.svg").write_text(plate.svg, encoding="utf-8")
        plate.numbers.write_csv(figures / f"{plate.name}.csv")
        if plate.png is not None:
            (figures / f"{plate.name}.png").write_bytes(plate.png)
    _predictions_table(result).write_csv(folder / "predictions.csv")
    characteristics_table(result).write_csv(folder / "characteristics.csv")
    page = folder / "report.html"
    text = _page(result, drawn, model=model, montage=montage, quality=quality, intake=intake, title=title)
    page.write_text(text, encoding="utf-8")
    return page


def _page(
    result: StudyResult,
    drawn: Mapping[str, Plate],
    *,
    model: str,
    montage: Sequence[MontageTile],
    quality: pl.DataFrame | None,
    intake: Mapping[str, int] | None,
    title: str,
) -> str:
    people = parts(result)
    told = table(result.study, "study")
    name = title or str(told.get("name") or "Study")
    threshold = people[0].performance.threshold if people else None
    context: dict[str, Any] = {
        "title": name,
        "question": str(told.get("question") or ""),
        "headline": headline(result),
        "result": result,
        "lineage": {key: result.lineage.get(key) for key in LINEAGE},
        "lineage_more": _lineage_more(result.lineage),
        "held_out": bool(table(result.study, "validation").get("hold_out_sites")),
        "plates": dict.fromkeys(NAMES) | dict(drawn),
        "parts": people,
        "main": people[0] if people else None,
        "threshold": threshold,
        "missing_candidates": _missing_candidates(result),
        "site_groups": site_groups(result),
        "unseen_sites": result.unseen_sites if result.test else [],
        "sites_without": _sites_without(result),
        "confusion": confusion(result),
        "quality": quality_rows(quality) if quality is not None else [],
        "quality_height": quality.height if quality is not None else 0,
        "intake": intake_rows({code: files for code, files in (intake or {}).items() if files}),
        "no_images": result.lineage.get("modalities") == [] and not montage and quality is None,
        "recipes": recipes_of(result),
        "LEAST_LOSS": LEAST_LOSS,
        "patient_means": str(told.get("patient_means") or ""),
        "montage": grouped(montage, threshold=threshold),
        "predictions": prediction_rows(result, most=MOST_PREDICTIONS),
        "first": FIRST_PREDICTIONS,
        "printed": PRINTED_PREDICTIONS,
        "main_part": main_part(result),
        "card": card(result),
        "model_digest": model,
        "design": design(result),
        "characteristics": characteristic_rows(result, most=MOST_CHARACTERISTICS),
        "tripod": answers(
            result.study,
            sections=_sections(result, drawn, quality=quality, model=model),
            stated=stated(result, model=model),
        ),
    }
    return ENVIRONMENT.get_template("report.html").render(context)


def _sections(result: StudyResult, drawn: Mapping[str, Plate], *, quality: pl.DataFrame | None, model: str) -> set[str]:
    """What the page really holds, in the words of `tripod`."""
    study, told = result.study, table(result.study, "study")
    present = {
        "question": bool(told.get("question")),
        "sources": bool(told.get("data_sources")),
        "cohort": bool(result.flow),
        "quality": quality is not None,
        "candidates": bool(result.candidates),
        "performance": chosen_performance(result) is not None or result.test is not None,
        "threshold": bool(result.threshold_rule),
        "sites": "sites" in drawn,
        "test-sites": bool(result.test_by_site),
        "characteristics": bool(result.characteristics),
        "comparison": bool(result.characteristics) and result.test is not None,
        "features": bool(result.importance),
        "predictions": bool(result.predictions),
        "guards": bool(result.checks),
        "lineage": bool(result.lineage),
        "outcome": bool(study.get("outcome")),
        "study-file": bool(study.get("features")),
        "use": bool(told.get("intended_use")),
        "model": bool(model),
    }
    return {"summary", "card"} | {name for name, there in present.items() if there}


def _lineage_more(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """What the lineage holds beyond the rows that every study has, in words."""
    more = {key: value for key, value in lineage.items() if key not in LINEAGE and value != []}
    if "recalibration" in more:
        more["recalibration"] = wording.recalibration(more["recalibration"])
    return more


def _missing_candidates(result: StudyResult) -> list[str]:
    """Models that the study file asks for and the result does not have."""
    asked = table(result.study, "models").get("candidates", [])
    return [str(name) for name in asked if name not in {item.name for item in result.candidates}]


def _sites_without(result: StudyResult) -> dict[str, list[str]]:
    """By set: sites that have predictions and no figures; of a single site there is nothing to say."""
    if len({*result.sites_of("cv"), *result.sites_of("test")}) < 2:
        return {}
    with_figures = {group.part: set(group.by_site) for group in site_groups(result)}
    labels = {"test": "test set", "cv": "development set"}
    found = {label: sorted(set(result.sites_of(p)) - with_figures.get(p, set())) for p, label in labels.items()}
    return {label: names for label, names in found.items() if names}


def _predictions_table(result: StudyResult) -> pl.DataFrame:
    columns = ("patient_key", "unit", "part", "probability", "low", "high", "outcome", "site")
    return pl.DataFrame(
        [tuple(getattr(row, name) for name in columns) for row in result.predictions],
        schema={name: pl.Float64 if name in ("probability", "low", "high") else None for name in columns}
        if result.predictions
        else dict.fromkeys(columns, pl.String),
        orient="row",
    )
