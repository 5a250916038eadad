from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.learn import Study
from tapetum.learn.characteristics import characteristics
from tapetum.learn.cohort import Cohort, assemble
from tapetum.learn.split import Split

Tables = tuple[pl.DataFrame, pl.DataFrame]
Facts = Callable[[list[dict[str, Any]]], pl.DataFrame]


@pytest.fixture(scope="module")
def cohort(virtual: Callable[..., Tables], study: Callable[..., Study]) -> Cohort:
    return assemble(study(), *virtual(10))


def _halves(cohort: Cohort) -> Split:
    rows = np.arange(len(cohort.unit))
    return Split("test", rows[:12], rows[12:])


def test_age_and_sex_count_patients_and_not_images(cohort: Cohort, facts: Facts) -> None:
    whose = np.unique(cohort.patient[:12]).tolist()
    rows = [{"patient_key": key, "name": "age", "value": 40.0 + 10 * n} for n, key in enumerate(whose[:5])]
    rows += [{"patient_key": key, "name": "sex", "text": "FM"[n % 2]} for n, key in enumerate(whose)]
    age, sex, *_ = characteristics(cohort, facts(rows), _halves(cohort))
    assert (age.name, age.development.n, age.development.missing, age.development.median) == ("age", 6, 1, 60.0)
    assert age.test is not None
    assert (age.test.n, age.test.missing) == (4, 4)
    assert sex.development.counts == {"F": 3, "M": 3}


def test_features_are_compared_in_standard_deviations(cohort: Cohort, facts: Facts) -> None:
    # Means 2 and 4, both variances 1 (with n - 1): two standard deviations apart.
    x = np.full((len(cohort.unit), cohort.x.shape[1]), np.nan)
    x[:3, 0], x[12:15, 0] = [1, 2, 3], [3, 4, 5]
    first, second, *_ = characteristics(replace(cohort, x=x), facts([]), _halves(cohort))
    assert first.difference == pytest.approx(2.0)
    assert (first.development.median, first.development.missing) == (2.0, 9)
    assert np.isnan([second.difference, second.development.median]).all()


def test_without_a_test_set_there_is_nothing_to_compare(cohort: Cohort, facts: Facts) -> None:
    everybody = Split("test", np.arange(len(cohort.unit)), np.arange(0))
    found = characteristics(cohort, facts([]), everybody)
    assert [row.name for row in found] == [column.name for column in cohort.columns]
    assert all(row.test is None and np.isnan(row.difference) for row in found)
