"""From the long table of observations to the numbers a model looks at.

In: observations and which of them belong to which unit.  Out: `FeatureColumn` s and a (units, columns) matrix with NaN
where nothing was observed.  The same code serves training and prediction, so that both see the same numbers.
Start reading at `feature_table`.

A column of recipe ``fundus`` is called ``fundus/contrast`` (``fundus/lesion/contrast`` for a region), an observation
by its own name, a word ``sex=F``, an aggregate ``mean(fundus/contrast)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tapetum.errors import InvalidStudy
from tapetum.learn.study import FeatureRule

__all__ = ["MAX_LEVELS", "FeatureColumn", "feature_table"]

MAX_LEVELS = 12
"""A text observation with more different words than this is refused: it is a remark, not a category."""

AGGREGATE = {
    "mean": pl.col("number").mean(),
    "median": pl.col("number").median(),
    "min": pl.col("number").min(),
    "max": pl.col("number").max(),
    "range": pl.col("number").max() - pl.col("number").min(),
    "std": pl.col("number").std(ddof=0),
}


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One column of the matrix and where it came from; ``code`` is "scheme value", empty when the source had none."""

    name: str
    observation: str
    recipe: str = ""
    region: str = ""
    level: str = ""
    aggregate: str = ""
    code: str = ""
    unit: str = "1"


def feature_table(
    observations: pl.DataFrame,
    members: pl.DataFrame,
    rule: FeatureRule,
    *,
    aggregate: Sequence[str] = (),
    columns: Sequence[FeatureColumn] | None = None,
) -> tuple[tuple[FeatureColumn, ...], NDArray[np.float64]]:
    """Build the matrix of one row per unit.

    Parameters
    ----------
    observations : the long table. Of repeated facts the one with the latest ``effective_at`` counts.
    members : columns unit, patient_key, series_instance_uid: which series belong to which unit (one row each; the
        series is empty for a unit without images). Facts of a patient go to all units of the patient.
    rule : which observations become features.
    aggregate : how facts of several series become one; empty when every unit is one series.
    columns : those of a fitted model, to get exactly them; None finds them (sorted by name).

    Returns
    -------
    The columns, and (units in order of first appearance in ``members``, columns) float64; NaN is not observed,
    infinite values count as not observed.

    Raises
    ------
    InvalidStudy : a text observation with more than `MAX_LEVELS` words.
    """
    levels = None if columns is None else {(c.observation, c.recipe, c.region, c.level) for c in columns if c.level}
    facts = _spread_words(_chosen(observations, rule), levels)
    on_series = facts.filter(pl.col("series_instance_uid") != "").join(
        members.select("unit", "series_instance_uid"), on="series_instance_uid"
    )
    if aggregate:
        on_series = _aggregated(on_series, aggregate)
    people = members.select("unit", "patient_key").unique()
    on_people = facts.filter(pl.col("series_instance_uid") == "").join(people, on="patient_key")
    keep = ["unit", "column", "number", "observation", "recipe", "region", "level", "aggregate", "code", "unit_ucum"]
    cells = pl.concat([on_series.select(keep), on_people.select(keep)]).unique(
        ["unit", "column"], keep="first", maintain_order=True
    )
    found = _columns(cells) if columns is None else tuple(columns)
    units = members["unit"].unique(maintain_order=True).to_list()
    return found, _matrix(cells, units, [column.name for column in found])


def _chosen(observations: pl.DataFrame, rule: FeatureRule) -> pl.DataFrame:
    recipe = pl.col("method").fill_null("").str.split("/").list.first()
    by_recipe = recipe.is_in(list(rule.recipes)) & pl.col("method").fill_null("").str.contains("/")
    region = pl.col("region").fill_null("")
    facts = observations.filter(by_recipe | pl.col("name").is_in(list(rule.observations))).with_columns(
        recipe=pl.when(by_recipe).then(recipe).otherwise(pl.lit("")),
        region=region,
        series_instance_uid=pl.col("series_instance_uid").fill_null(""),
        code=pl.concat_str([pl.col("scheme"), pl.col("code")], separator=" ").fill_null("").str.strip_chars(),
        unit_ucum=pl.col("unit").fill_null("1"),
        observation=pl.col("name"),
        aggregate=pl.lit(""),
        level=pl.lit(""),
        number=pl.when(pl.col("value").cast(pl.Float64).is_finite()).then(pl.col("value").cast(pl.Float64)),
    )
    prefix = pl.when(pl.col("recipe") != "").then(pl.col("recipe") + "/").otherwise(pl.lit(""))
    middle = pl.when(pl.col("region") != "").then(pl.col("region") + "/").otherwise(pl.lit(""))
    facts = facts.drop("unit").with_columns(column=prefix + middle + pl.col("name"))
    names = facts.select("column", "name").unique().rows()
    out = [c for c, n in names if any(fnmatch(c, p) or fnmatch(n, p) for p in rule.exclude)]
    return (
        facts.filter(~pl.col("column").is_in(out))
        .sort("patient_key", "series_instance_uid", "column", "effective_at", "source", "number", "text")
        .unique(["patient_key", "series_instance_uid", "column"], keep="last", maintain_order=True)
    )


def _spread_words(facts: pl.DataFrame, known: set[tuple[str, str, str, str]] | None) -> pl.DataFrame:
    """A column with words becomes one column of 0 and 1 per word."""
    worded = facts.filter(pl.col("text").is_not_null())["column"].unique().to_list()
    if known is not None:
        worded = sorted({c for c in facts["column"].unique().to_list() if _levels_of(facts, c, known)} | set(worded))
    parts = [facts.filter(~pl.col("column").is_in(worded))]
    for column in sorted(worded):
        rows = facts.filter(pl.col("column") == column).with_columns(
            text=pl.coalesce(pl.col("text"), pl.col("number").map_elements(lambda v: f"{v:g}", return_dtype=pl.String))
        )
        levels = sorted(rows["text"].drop_nulls().unique()) if known is None else _levels_of(facts, column, known)
        if len(levels) > MAX_LEVELS:
            raise InvalidStudy(
                f"the text observation {column!r} has {len(levels)} different words",
                hint=f"a category has at most {MAX_LEVELS}; group its words, or take it out of [features]",
            )
        parts += [
            rows.filter(pl.col("text").is_not_null()).with_columns(
                column=pl.lit(f"{column}={level}"),
                level=pl.lit(level),
                number=(pl.col("text") == level).cast(pl.Float64),
            )
            for level in levels
        ]
    return pl.concat(parts)


def _levels_of(facts: pl.DataFrame, column: str, known: set[tuple[str, str, str, str]]) -> list[str]:
    key = facts.filter(pl.col("column") == column).select("observation", "recipe", "region").row(0)
    return sorted(level for *of, level in known if tuple(of) == key)


def _aggregated(facts: pl.DataFrame, aggregate: Sequence[str]) -> pl.DataFrame:
    by = ["unit", "column", "observation", "recipe", "region", "level"]
    # Sums depend on their order in the last bit: sorted by value they do not depend on the series' pseudonyms.
    numbers = facts.filter(pl.col("number").is_not_null()).sort("unit", "column", "number")
    return pl.concat(
        [
            numbers.group_by(by, maintain_order=True)
            .agg(number=AGGREGATE[name], code=pl.col("code").first(), unit_ucum=pl.col("unit_ucum").first())
            .with_columns(column=pl.format(f"{name}({{}})", pl.col("column")), aggregate=pl.lit(name))
            for name in aggregate
        ]
    )


def _columns(cells: pl.DataFrame) -> tuple[FeatureColumn, ...]:
    rows = cells.unique("column", keep="first", maintain_order=True).sort("column")
    return tuple(
        FeatureColumn(
            name=row["column"],
            observation=row["observation"],
            recipe=row["recipe"],
            region=row["region"],
            level=row["level"],
            aggregate=row["aggregate"],
            code=row["code"],
            unit=row["unit_ucum"],
        )
        for row in rows.iter_rows(named=True)
    )


def _matrix(cells: pl.DataFrame, units: list[str], names: list[str]) -> NDArray[np.float64]:
    row_of = {unit: i for i, unit in enumerate(units)}
    column_of = {name: j for j, name in enumerate(names)}
    cells = cells.filter(pl.col("column").is_in(names) & pl.col("number").is_not_null())
    matrix = np.full((len(units), len(names)), np.nan)
    rows = [row_of[unit] for unit in cells["unit"]]
    matrix[rows, [column_of[name] for name in cells["column"]]] = cells["number"].to_numpy()
    return matrix
