from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tapetum.errors import ValidationFailed
from tapetum.learn import Study
from tapetum.learn.cohort import Cohort, assemble
from tapetum.learn.plan import has_figures, plan_splits

Tables = tuple[pl.DataFrame, pl.DataFrame]


@pytest.fixture(scope="module")
def cohort(virtual: Callable[..., Tables], study: Callable[..., Study]) -> Cohort:
    return assemble(study(), *virtual(100))


def _at(cohort: Cohort, sites: str, share: tuple[float, ...] = ()) -> Cohort:
    """The cohort with its people dealt out to one-letter sites, evenly or by shares."""
    people = np.unique(cohort.person)
    draw = np.random.default_rng(1).choice(list(sites), len(people), p=share or None)
    of = dict(zip(people.tolist(), draw.tolist(), strict=True))
    return replace(cohort, site=np.array([of[person] for person in cohort.person.tolist()]))


def _told(study: Study, cohort: Cohort) -> tuple[object, str]:
    plan = plan_splits(study, cohort)
    return plan.study.validation.hold_out_sites, next(c.detail for c in plan.checks if c.name == "sites")


def test_sites_are_held_out_unasked_when_there_are_enough(cohort: Cohort, study: Callable[..., Study]) -> None:
    four = _at(cohort, "ABCD")
    plan = plan_splits(study(), four)
    assert plan.study.validation.hold_out_sites is True
    assert not set(four.site[plan.test.train]) & set(four.site[plan.test.held_out])
    assert [split.name for split in plan.outer[0]] == np.unique(four.site[plan.test.train]).tolist()
    assert plan.study.to_json()["validation"]["hold_out_sites"] is True


def test_sites_are_not_held_out_when_the_study_says_no(cohort: Cohort, study: Callable[..., Study]) -> None:
    decided, told = _told(study(validation={"hold_out_sites": False}), _at(cohort, "ABCD"))
    assert decided is False
    assert told == "sites are not held out: the study says so"


def test_two_sites_are_too_few_to_be_held_out_unasked(cohort: Cohort, study: Callable[..., Study]) -> None:
    decided, told = _told(study(), _at(cohort, "AB"))
    assert decided is False
    assert "fewer than 3 sites" in told


def test_sites_with_four_events_have_no_figures_and_are_not_counted() -> None:
    people = np.array([f"p{number}" for number in range(40)])
    for events, enough in ((4, False), (5, True)):
        outcome = (np.arange(40) < events).astype(np.int64)
        assert has_figures(outcome, people) is enough
        assert has_figures(1 - outcome, people) is enough
    # Ten images of one patient with the outcome are one patient.
    assert not has_figures((np.arange(40) < 10).astype(np.int64), np.where(np.arange(40) < 10, "p0", people))


def test_people_without_a_site_are_not_dropped_unasked(cohort: Cohort, study: Callable[..., Study]) -> None:
    four = _at(cohort, "ABCD")
    nowhere = replace(four, site=np.where(four.person == four.person[0], "", four.site))
    decided, told = _told(study(), nowhere)
    assert decided is False
    assert "units have no site" in told


def test_one_site_that_has_nearly_everybody_is_not_held_out_unasked(
    cohort: Cohort, study: Callable[..., Study]
) -> None:
    decided, told = _told(study(validation={"test_sites": ["B"]}), _at(cohort, "ABCD", (0.79, 0.07, 0.07, 0.07)))
    assert decided is False
    assert "without A too few" in told


def test_sites_of_one_outcome_are_not_held_out_unasked(cohort: Cohort, study: Callable[..., Study]) -> None:
    sick = replace(cohort, site=np.where(cohort.outcome == 1, "A", np.where(cohort.person > "3", "B", "C")))
    decided, _ = _told(study(), sick)
    assert decided is False


def test_without_sites_nothing_is_said_of_them(cohort: Cohort, study: Callable[..., Study]) -> None:
    plan = plan_splits(study(), replace(cohort, site=np.full(len(cohort.unit), "A")))
    assert plan.study.validation.hold_out_sites is False
    assert "sites" not in {check.name for check in plan.checks}


def test_many_sites_share_outer_folds(cohort: Cohort, study: Callable[..., Study]) -> None:
    each = replace(cohort, site=np.char.add("site ", cohort.person))
    plan = plan_splits(study(validation={"hold_out_sites": True, "outer_folds": 3}), each)
    assert [split.name for split in plan.outer[0]] == ["sites 1", "sites 2", "sites 3"]
    for split in plan.outer[0]:
        site = each.site[plan.test.train]
        assert not set(site[split.train]) & set(site[split.held_out])


def test_sites_that_the_study_asks_for_must_be_there(cohort: Cohort, study: Callable[..., Study]) -> None:
    with pytest.raises(ValidationFailed):
        plan_splits(study(validation={"hold_out_sites": True}), _at(cohort, "A"))
