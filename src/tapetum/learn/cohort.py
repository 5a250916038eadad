"""Who takes part: the table of one row per unit, and the count of everybody who did not get in.

In: the series and the observations of a workspace.  Out: `Cohort` with its flow.  Start reading at `assemble`.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tapetum.errors import InvalidStudy, ValidationFailed
from tapetum.learn.features import FeatureColumn, feature_table
from tapetum.learn.result import Check, FlowStep
from tapetum.learn.study import OutcomeRule, Study

__all__ = ["Cohort", "assemble", "unit_column"]

UNIT_COLUMN = {"series": "series_instance_uid", "study": "study_instance_uid", "patient": "patient_key"}


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """One row per unit, in an order that comes from the data alone.

    Pseudonyms differ between workspaces, so nothing random may depend on them: ``person`` numbers the patients by the
    content of their rows, and splits, folds and resamples go by it. The same data and seed give the same figures in
    every workspace. ``patient`` is the pseudonym, for people to read.

    ``unit`` holds series UIDs, study UIDs or patient keys, ``site`` is a text, ``outcome`` is 0 or 1,
    ``x`` the (units, columns) float64 matrix with NaN where nothing was observed, ``images`` the pixel digests of each
    unit. ``flow`` and ``checks`` say how it came about.
    """

    unit: NDArray[np.str_]
    patient: NDArray[np.str_]
    person: NDArray[np.str_]
    site: NDArray[np.str_]
    outcome: NDArray[np.int64]
    x: NDArray[np.float64]
    columns: tuple[FeatureColumn, ...]
    images: tuple[tuple[str, ...], ...]
    modalities: tuple[str, ...]
    flow: tuple[FlowStep, ...]
    checks: tuple[Check, ...]

    def without(self, rows: Iterable[int], *, label: str, reason: str) -> Cohort:
        """The cohort without these rows, which the flow then counts; the same cohort when there are none."""
        gone = np.isin(np.arange(len(self.unit)), list(rows))
        if not gone.any():
            return self
        kept = ~gone
        step = FlowStep(label, len(np.unique(self.patient[kept])), int(kept.sum()), dropped={reason: int(gone.sum())})
        return replace(
            self,
            unit=self.unit[kept],
            patient=self.patient[kept],
            person=self.person[kept],
            site=self.site[kept],
            outcome=self.outcome[kept],
            x=self.x[kept],
            images=tuple(digests for digests, yes in zip(self.images, kept, strict=True) if yes),
            flow=(*self.flow, step),
        )

    @property
    def digest(self) -> str:
        """sha256 over the table without its pseudonyms: the same data have the same digest in every workspace."""
        whole = hashlib.sha256()
        for name in [column.name for column in self.columns]:
            whole.update(name.encode() + b"\0")
        for row in zip(self.person, self.site, self.outcome, strict=True):
            whole.update("\0".join(map(str, row)).encode() + b"\0")
        whole.update(np.ascontiguousarray(np.where(np.isnan(self.x), np.nan, self.x)).astype("<f8").tobytes())
        return whole.hexdigest()


def unit_column(study: Study) -> str:
    """The column of the series table that says which series are one unit of this study."""
    return UNIT_COLUMN[study.cohort.unit]


class _Flow:
    """Counts who is there after each step."""

    def __init__(self) -> None:
        self.steps: list[FlowStep] = []

    def step(self, label: str, rows: pl.DataFrame, dropped: dict[str, int] | None = None) -> None:
        units = rows["unit"].n_unique()
        lost = {reason: count for reason, count in (dropped or {}).items() if count}
        self.steps.append(FlowStep(label, rows["patient_key"].n_unique(), units, dropped=lost))


def assemble(study: Study, series: pl.DataFrame, observations: pl.DataFrame) -> Cohort:
    """Build the cohort of a study.

    Parameters
    ----------
    series : one row per image series: patient_key, series_instance_uid, modality, site, pixel_digest and attributes.
    observations : the long table of facts (see `tapetum.model.Observation`).

    Raises
    ------
    InvalidStudy : an attribute, observation or recipe that does not exist here, a text with too many words.
    ValidationFailed : nobody is left, or all have the same outcome.
    """
    flow = _Flow()
    members = _members(study, series, observations, flow)
    members = _with_outcome(study, members, observations, flow)
    if study.cohort.site:
        members = _with_site(study.cohort.site, members, observations)
    aggregate = study.cohort.aggregate if study.cohort.unit != "series" else ()
    columns, x = feature_table(observations, members, study.features, aggregate=aggregate)
    _all_found(study, columns, observations)
    rows = members.group_by("unit", maintain_order=True).agg(
        pl.col("patient_key").first(),
        pl.col("site").filter(pl.col("site") != "").first().fill_null(""),
        pl.col("event").first(),
        pl.col("modality").unique().sort(),
        pl.col("pixel_digest").filter(pl.col("pixel_digest") != "").unique().sort(),
    )
    described = ~np.isnan(x).all(axis=1)
    by_site = study.validation.hold_out_sites is True or bool(study.validation.test_sites)
    placed = (rows["site"] != "").to_numpy() | (not by_site)
    keep = described & placed
    without = {"no features": int((~described).sum()), "no site": int((described & ~placed).sum())}
    flow.step("With features", rows.filter(keep), without)
    kept, check = _not_too_sparse(x[keep], columns, study.features.max_missing)
    rows = rows.filter(keep)
    outcome = rows["event"].to_numpy().astype(np.int64)
    if len(np.unique(outcome)) < 2:
        raise ValidationFailed(
            "the cohort needs people with and without the outcome",
            hint="look at the flow: modality, outcome values and feature recipes decide who is left",
            units=len(outcome),
            events=int(outcome.sum()),
        )
    found = Cohort(
        unit=rows["unit"].to_numpy().astype(np.str_),
        patient=rows["patient_key"].to_numpy().astype(np.str_),
        person=np.empty(len(rows), np.str_),
        site=rows["site"].to_numpy().astype(np.str_),
        outcome=outcome,
        x=x[keep][:, kept],
        columns=tuple(column for column, yes in zip(columns, kept, strict=True) if yes),
        images=tuple(tuple(digests) for digests in rows["pixel_digest"].to_list()),
        modalities=tuple(sorted({m for some in rows["modality"].to_list() for m in some if m})),
        flow=tuple(flow.steps),
        checks=(check,),
    )
    return _in_order_of_content(found)


def _in_order_of_content(cohort: Cohort) -> Cohort:
    """Number the patients, and sort the rows, by what is known of them instead of by their pseudonyms."""
    numbers = np.where(np.isnan(cohort.x), np.nan, cohort.x).astype("<f8")  # one bit pattern for every NaN
    content = [
        hashlib.sha256(row.tobytes() + "\0".join([site, str(event), *images]).encode()).hexdigest()
        for row, site, event, images in zip(numbers, cohort.site, cohort.outcome, cohort.images, strict=True)
    ]
    of_patient: dict[str, list[str]] = {}
    for patient, digest in zip(cohort.patient.tolist(), content, strict=True):
        of_patient.setdefault(patient, []).append(digest)
    ranked = sorted(of_patient, key=lambda patient: (sorted(of_patient[patient]), patient))
    rank = {patient: number for number, patient in enumerate(ranked)}
    patients = cohort.patient.tolist()
    order = sorted(range(len(content)), key=lambda row: (rank[patients[row]], content[row], cohort.unit[row]))
    width = len(str(len(rank)))
    return replace(
        cohort,
        unit=cohort.unit[order],
        patient=cohort.patient[order],
        person=np.array([f"{rank[patients[row]]:0{width}d}" for row in order]),
        site=cohort.site[order],
        outcome=cohort.outcome[order],
        x=cohort.x[order],
        images=tuple(cohort.images[row] for row in order),
    )


def _members(study: Study, series: pl.DataFrame, observations: pl.DataFrame, flow: _Flow) -> pl.DataFrame:
    """unit, patient_key, series_instance_uid, modality, site, pixel_digest: one row per series of a unit."""
    rule = study.cohort
    filtered = bool(rule.modality or rule.where)
    rows = series.with_columns(unit=pl.col("series_instance_uid"))
    if rule.unit == "series" or filtered:
        flow.step("Image series in the workspace", rows)
    if rule.modality:
        left = rows.filter(pl.col("modality") == rule.modality)
        flow.step(f"Modality {rule.modality}", left, {"other modality": len(rows) - len(left)})
        rows = left
    for attribute, value in rule.where.items():
        if attribute not in series.columns:
            close = difflib.get_close_matches(attribute, series.columns, 1)
            hint = f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(series.columns)
            raise InvalidStudy(f"[cohort.where] no series has an attribute {attribute!r}", hint=hint)
        left = rows.filter((pl.col(attribute).cast(pl.String) == value).fill_null(value=False))
        flow.step(f"{attribute} = {value}", left, {f"other {attribute}": len(rows) - len(left)})
        rows = left
    fields = ["patient_key", "series_instance_uid", "study_instance_uid", "modality", "site", "pixel_digest"]
    rows = rows.select(pl.col(fields).cast(pl.String).fill_null(""))
    if rule.unit == "patient" and not filtered:
        people = observations.select(pl.col("patient_key").cast(pl.String)).unique()
        empty = people.join(rows, on="patient_key", how="anti").with_columns(
            pl.lit("").alias(name) for name in fields[1:]
        )
        rows = pl.concat([rows, empty.select(fields)])
    rows = rows.with_columns(unit=pl.col(unit_column(study))).sort("patient_key", "unit", "series_instance_uid")
    if rule.unit != "series":
        flow.step({"patient": "Patients", "study": "Studies"}[rule.unit], rows)
    return rows


def _with_outcome(study: Study, members: pl.DataFrame, observations: pl.DataFrame, flow: _Flow) -> pl.DataFrame:
    """Add ``event``. A fact of the series counts before one of the patient; a patient has the outcome if ever seen."""
    rule = study.outcome
    facts = observations.filter(pl.col("name") == rule.observation)
    if not len(facts):
        raise _unknown("outcome", "observation", rule.observation, observations["name"])
    word = pl.coalesce(
        pl.col("text"), pl.col("value").map_elements(lambda v: f"{v:g}", return_dtype=pl.String, skip_nulls=True)
    )
    facts = facts.select(
        "patient_key", pl.col("series_instance_uid").fill_null(""), event=_event(rule, word), given=word
    )
    unclear = facts.filter(pl.col("event").is_null() & pl.col("given").is_not_null())
    facts = facts.filter(pl.col("event").is_not_null())
    of_series = members.join(facts.filter(pl.col("series_instance_uid") != ""), on="series_instance_uid")
    of_people = members.join(facts.filter(pl.col("series_instance_uid") == ""), on="patient_key")
    first, second = (of_people, of_series) if study.cohort.unit == "patient" else (of_series, of_people)
    both = pl.concat([frame.select("unit", "event") for frame in (first, second.join(first, on="unit", how="anti"))])
    per_unit = both.group_by("unit").agg(event=pl.col("event").max(), low=pl.col("event").min())
    conflict = per_unit.filter(pl.col("event") != pl.col("low"))["unit"]
    if study.cohort.unit != "patient":
        per_unit = per_unit.filter(~pl.col("unit").is_in(conflict.implode()))
    left = members.join(per_unit.select("unit", "event"), on="unit", how="inner", maintain_order="left")
    lost = members.join(per_unit, on="unit", how="anti").unique("unit")
    other = lost.filter(
        pl.col("series_instance_uid").is_in(unclear["series_instance_uid"].implode())
        | pl.col("patient_key").is_in(unclear.filter(pl.col("series_instance_uid") == "")["patient_key"].implode())
    )["unit"]
    conflicting = lost["unit"].is_in(conflict.implode()).sum() if study.cohort.unit != "patient" else 0
    neither = int((other.is_in(conflict.implode()).not_()).sum())
    dropped = {
        "conflicting outcome": int(conflicting),
        "outcome neither positive nor negative": neither,
        "no outcome": len(lost) - int(conflicting) - neither,
    }
    flow.step("With the outcome known", left, dropped)
    if not len(left):
        raise ValidationFailed(
            "nobody in the cohort has the outcome observed", hint="look at modality, attributes and outcome", **dropped
        )
    return left


def _event(rule: OutcomeRule, word: pl.Expr) -> pl.Expr:
    """1, 0, or null when the value says neither."""
    number = word.cast(pl.Float64, strict=False)
    if rule.at_least is not None:
        return (number >= rule.at_least).cast(pl.Int64)
    if rule.at_most is not None:
        return (number <= rule.at_most).cast(pl.Int64)
    positive = word.is_in(list(rule.positive))
    negative = word.is_in(list(rule.negative)) if rule.negative else word.is_not_null() & ~positive
    return pl.when(positive).then(1).when(negative).then(0).cast(pl.Int64)


def _with_site(name: str, members: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    facts = observations.filter((pl.col("name") == name) & pl.col("text").is_not_null())
    if not len(facts):
        raise _unknown("cohort", "site", name, observations["name"])
    told = facts.sort("effective_at", "text").group_by("patient_key").agg(told=pl.col("text").last())
    joined = members.join(told, on="patient_key", how="left", maintain_order="left")
    return joined.with_columns(site=pl.coalesce(pl.col("told"), pl.col("site"))).drop("told")


def _all_found(study: Study, columns: tuple[FeatureColumn, ...], observations: pl.DataFrame) -> None:
    for recipe in study.features.recipes:
        if not any(column.recipe == recipe for column in columns):
            recipes = observations["method"].drop_nulls().str.split("/").list.first()
            raise _unknown("features", "recipes", recipe, recipes)
    for name in study.features.observations:
        if not any(column.observation == name for column in columns):
            raise _unknown("features", "observations", name, observations["name"])


def _unknown(table: str, key: str, name: str, known: pl.Series) -> InvalidStudy:
    close = difflib.get_close_matches(name, [word for word in known.unique().to_list() if word], 1)
    hint = f"did you mean {close[0]!r}?" if close else "describe or acquire it first"
    return InvalidStudy(f"[{table}] {key} names {name!r}, which nobody in the cohort has", hint=hint)


def _not_too_sparse(
    x: NDArray[np.float64], columns: tuple[FeatureColumn, ...], max_missing: float
) -> tuple[NDArray[np.bool_], Check]:
    """Columns that enough units have. Looks at no outcome, so it may look at everybody."""
    share = np.isnan(x).mean(axis=0) if len(x) else np.zeros(len(columns))
    kept = share <= max_missing
    gone = [column.name for column, yes in zip(columns, kept, strict=True) if not yes]
    if not kept.any():
        raise ValidationFailed("no feature is known for enough units", hint="raise max_missing or describe more series")
    told = ", ".join(gone[:8]) + (", ..." if len(gone) > 8 else "")
    detail = f"{int(kept.sum())} of {len(columns)} features are missing in at most {max_missing:.0%} of the units"
    return kept, Check("missing-features", detail + (f"; left out: {told}" if gone else ""))
