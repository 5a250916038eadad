"""Who is in the two sets: age, sex and each feature, side by side.

In: a `Cohort`, the observations and the test set.  Out: rows of `Characteristic`.  Start reading at `characteristics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tapetum.learn.cohort import Cohort
from tapetum.learn.result import Characteristic, Summary
from tapetum.learn.split import Split

__all__ = ["AGE", "SEX", "characteristics"]

AGE, SEX = ("age", "age_years", "patient_age"), ("sex", "gender", "patient_sex")
"""Names under which tables bring the age and the sex of their patients."""

Floats = NDArray[np.float64]


def characteristics(cohort: Cohort, observations: pl.DataFrame, test: Split) -> list[Characteristic]:
    """Age and sex, one value a patient, where they were observed; then every feature, one value a unit.

    Parameters
    ----------
    observations : the long table of facts. An age told several times counts with its median, a sex with its last word.
    test : rows of the cohort in the development set (``train``) and in the test set (``held_out``).
    """
    sets = [rows for rows in (test.train, test.held_out) if len(rows)]
    people = [np.unique(cohort.patient[rows]).tolist() for rows in sets]
    found = [row for row in (_age(observations, people), _sex(observations, people)) if row is not None]
    told = {row.name for row in found}
    for number, column in enumerate(cohort.columns):
        if column.observation not in told:
            found.append(_numbers(column.name, [cohort.x[rows, number] for rows in sets]))
    return found


def _age(observations: pl.DataFrame, people: Sequence[list[str]]) -> Characteristic | None:
    facts = observations.filter(pl.col("name").is_in(AGE) & pl.col("value").is_not_null())
    if not len(facts):
        return None
    of = dict(facts.group_by("patient_key").agg(pl.col("value").median()).iter_rows())
    return _numbers(str(facts["name"][0]), [np.array([of.get(key, np.nan) for key in keys], float) for keys in people])


def _sex(observations: pl.DataFrame, people: Sequence[list[str]]) -> Characteristic | None:
    facts = observations.filter(pl.col("name").is_in(SEX) & pl.col("text").is_not_null())
    if not len(facts):
        return None
    of = dict(facts.sort("effective_at", "text").group_by("patient_key").agg(pl.col("text").last()).iter_rows())
    summaries = []
    for keys in people:
        words = Counter(of[key] for key in keys if key in of)
        summaries.append(Summary(len(keys), len(keys) - words.total(), counts=dict(sorted(words.items()))))
    return Characteristic(str(facts["name"][0]), summaries[0], summaries[1] if len(summaries) > 1 else None)


def _numbers(name: str, values: Sequence[Floats]) -> Characteristic:
    first, *rest = [_summary(each) for each in values]
    return Characteristic(name, first, rest[0] if rest else None, _difference(*values) if rest else float("nan"))


def _summary(values: Floats) -> Summary:
    known = values[~np.isnan(values)]
    low, middle, high = np.percentile(known, [25, 50, 75]).tolist() if len(known) else [float("nan")] * 3
    return Summary(len(values), len(values) - len(known), median=middle, low=low, high=high)


def _difference(development: Floats, test: Floats) -> float:
    """Test minus development, in roots of the mean of both variances (Austin 2009, Stat Med 28:3083)."""
    one, other = development[~np.isnan(development)], test[~np.isnan(test)]
    if min(len(one), len(other)) < 2:
        return float("nan")
    spread = float(np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2))
    return float(other.mean() - one.mean()) / spread if spread > 0 else float("nan")
