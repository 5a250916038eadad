from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.errors import LeakageFound
from tapetum.learn import Study
from tapetum.learn.cohort import Cohort, assemble
from tapetum.learn.leakage import guard_cohort, guard_splits, without_copies
from tapetum.learn.split import Split, folds

Tables = tuple[pl.DataFrame, pl.DataFrame]


@pytest.fixture
def tables(virtual: Callable[..., Tables]) -> Tables:
    return virtual(40, 4, sites=3)


@pytest.fixture
def cohort(tables: Tables, study: Callable[..., Study]) -> Cohort:
    return assemble(study(), *tables)


def _refused(kind: str, call: Callable[[], object]) -> LeakageFound:
    with pytest.raises(LeakageFound) as caught:
        call()
    assert caught.value.code == f"leakage-{kind}"
    assert caught.value.exit_status == 4
    assert caught.value.hint
    return caught.value


def test_honest_data_passes_every_guard(tables: Tables, cohort: Cohort, study: Callable[..., Study]) -> None:
    names = [check.name for check in guard_cohort(study(), cohort, tables[1])]
    assert names == ["identical-image", "identical-row", "outcome-name", "outcome-as-feature"]
    cut = folds(cohort.patient, cohort.outcome, count=4, seed=1)
    assert [check.name for check in guard_splits(cohort, cut, sites_apart=False)] == ["patient", "image", "site"]
    by_site = [Split("A", np.flatnonzero(cohort.site != "A"), np.flatnonzero(cohort.site == "A"))]
    assert [check.name for check in guard_splits(cohort, by_site, sites_apart=True)][-1] == "site"


def test_a_patient_on_both_sides_is_refused(cohort: Cohort) -> None:
    split = Split("fold 1", np.arange(0, 41), np.arange(41, 80))
    assert cohort.patient[40] == cohort.patient[41]
    _refused("patient", lambda: guard_splits(cohort, [split], sites_apart=False))


def test_an_image_on_both_sides_is_refused(cohort: Cohort) -> None:
    images = (*cohort.images[:-1], cohort.images[0])
    split = Split("fold 1", np.arange(0, 40), np.arange(40, 80))
    copied = replace(cohort, images=images)
    _refused("identical-image", lambda: guard_splits(copied, [split], sites_apart=False))


def test_a_site_on_both_sides_is_refused(cohort: Cohort) -> None:
    split = Split("A", np.arange(0, 40), np.arange(40, 80))
    _refused("site", lambda: guard_splits(cohort, [split], sites_apart=True))


def test_sites_that_were_not_held_out_are_said(cohort: Cohort) -> None:
    split = Split("fold 1", np.arange(0, 40), np.arange(40, 80))
    assert "not held out" in guard_splits(cohort, [split], sites_apart=False)[-1].detail
    one_site = replace(cohort, site=np.full(len(cohort.unit), "A"))
    assert [check.name for check in guard_splits(one_site, [split], sites_apart=False)] == ["patient", "image"]


def test_the_same_image_under_two_patients_is_refused(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    copied = replace(cohort, images=(*cohort.images[:-1], cohort.images[0]))
    error = _refused("identical-image", lambda: guard_cohort(study(), copied, tables[1]))
    assert error.context["images"] == 1


def test_the_same_image_twice_of_one_patient_is_no_leak(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    twice = replace(cohort, images=(cohort.images[1], *cohort.images[1:]))
    assert guard_cohort(study(), twice, tables[1])


def _same_rows(cohort: Cohort) -> Cohort:
    x = cohort.x.copy()
    x[-1] = x[0]
    return replace(cohort, x=x)


def test_the_same_measurements_of_two_patients_are_refused(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    _refused("identical-row", lambda: guard_cohort(study(), _same_rows(cohort), tables[1]))


def test_equal_age_and_sex_of_two_patients_are_no_leak(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    coarse = replace(cohort, x=np.round(cohort.x))
    assert "not asked" in guard_cohort(study(), coarse, tables[1])[1].detail


def test_a_copy_is_dropped_and_counted_when_the_study_says_so(cohort: Cohort) -> None:
    same = replace(_same_rows(cohort), outcome=np.append(cohort.outcome[:-1], cohort.outcome[0]))
    kept = without_copies(same)
    assert kept.unit.tolist() == cohort.unit[:-1].tolist()
    assert kept.flow[-1].dropped == {"same image or measurements as another patient": 1}


def test_copies_with_different_outcomes_all_leave(cohort: Cohort) -> None:
    disputed = replace(_same_rows(cohort), outcome=np.append(cohort.outcome[:-1], 1 - cohort.outcome[0]))
    assert without_copies(disputed).unit.tolist() == cohort.unit[1:-1].tolist()


def _with_feature(cohort: Cohort, values: np.ndarray, **column: Any) -> Cohort:
    x = np.column_stack([cohort.x[:, 1:], values])
    return replace(cohort, x=x, columns=(*cohort.columns[1:], replace(cohort.columns[0], **column)))


def test_a_feature_named_as_the_outcome_is_refused(tables: Tables, cohort: Cohort, study: Callable[..., Study]) -> None:
    same = _with_feature(cohort, cohort.x[:, 0], name="fundus/grade", observation="grade")
    error = _refused("outcome-as-feature", lambda: guard_cohort(study(), same, tables[1]))
    assert error.context["feature"] == "fundus/grade"


def test_a_feature_with_the_code_of_the_outcome_is_refused(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    coded = tables[1].with_columns(
        scheme=pl.when(pl.col("name") == "grade").then(pl.lit("SCT")).otherwise(pl.col("scheme")),
        code=pl.when(pl.col("name") == "grade").then(pl.lit("4855003")).otherwise(pl.col("code")),
    )
    same = _with_feature(cohort, cohort.x[:, 0], name="fundus/dr", code="SCT 4855003")
    _refused("outcome-as-feature", lambda: guard_cohort(study(), same, coded))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_feature_that_tells_the_outcome_without_error_is_refused(
    tables: Tables, cohort: Cohort, study: Callable[..., Study], sign: float
) -> None:
    jitter = np.random.default_rng(1).uniform(0, 0.5, len(cohort.outcome))
    told = _with_feature(cohort, sign * (cohort.outcome + jitter), name="fundus/referral")
    _refused("outcome-as-feature", lambda: guard_cohort(study(), told, tables[1]))


def test_a_feature_that_only_the_sick_have_is_refused(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    values = np.where(cohort.outcome == 1, cohort.x[:, 0], np.nan)
    _refused(
        "outcome-as-feature",
        lambda: guard_cohort(study(), _with_feature(cohort, values, name="fundus/biopsy"), tables[1]),
    )


def test_a_handful_of_patients_may_be_separated_by_chance(
    tables: Tables, cohort: Cohort, study: Callable[..., Study]
) -> None:
    few = cohort.without(np.arange(12, 80), label="few", reason="")
    values = few.outcome + np.linspace(0, 0.5, 12)
    assert guard_cohort(study(), _with_feature(few, values, name="fundus/lucky"), tables[1])


def _alone(cohort: Cohort, people: int, events: int) -> Cohort:
    """One image each of so many people, of whom so many have the outcome."""
    one = cohort.without(np.flatnonzero(np.arange(len(cohort.unit)) % 2), label="one each", reason="")
    fewer = one.without(np.arange(people, len(one.unit)), label="few", reason="")
    return replace(fewer, outcome=(np.arange(people) < events).astype(np.int64))


@pytest.mark.parametrize("opposite", [False, True])
@pytest.mark.parametrize(("people", "events"), [(60, 8), (20, 3)])
def test_the_outcome_under_another_name_is_refused_when_events_are_rare(
    virtual: Callable[..., Tables], study: Callable[..., Study], people: int, events: int, opposite: bool
) -> None:
    tables = virtual(60, 4)
    rare = _alone(assemble(study(), *tables), people, events)
    copy = _with_feature(rare, np.abs(rare.outcome - float(opposite)), name="fundus/copy")
    error = _refused("outcome-as-feature", lambda: guard_cohort(study(), copy, tables[1]))
    assert error.context["feature"] == "fundus/copy"


@pytest.mark.parametrize(("people", "refused"), [(60, True), (20, False)])
def test_eight_events_are_separated_by_chance_among_20_people_but_not_among_60(
    virtual: Callable[..., Tables], study: Callable[..., Study], people: int, refused: bool
) -> None:
    tables = virtual(60, 4)
    rare = _alone(assemble(study(), *tables), people, 8)
    told = _with_feature(rare, rare.outcome + np.linspace(0, 0.5, people), name="fundus/told")
    if refused:
        _refused("outcome-as-feature", lambda: guard_cohort(study(), told, tables[1]))
    else:
        assert guard_cohort(study(), told, tables[1])


def test_ten_images_each_of_six_people_may_be_separated_by_chance(
    virtual: Callable[..., Tables], study: Callable[..., Study]
) -> None:
    tables = virtual(60, 4)
    one = _alone(assemble(study(), *tables), 60, 30)
    person = np.array([f"person {row // 10}" for row in range(60)])
    same = replace(one, patient=person, person=person)
    assert guard_cohort(study(), _with_feature(same, same.outcome * 1.0, name="fundus/lucky"), tables[1])
