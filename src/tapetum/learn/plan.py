"""Which splits a study makes of its cohort, and whether whole sites are held out.

In: a `Study` and its `Cohort`.  Out: `Plan`, with every guard asked.  Start reading at `plan_splits`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import ValidationFailed
from tapetum.learn.cohort import Cohort
from tapetum.learn.leakage import guard_splits
from tapetum.learn.result import Check
from tapetum.learn.split import Split, folds, named_sites, set_aside, site_folds
from tapetum.learn.study import Study

__all__ = ["LEAST_OF_EACH", "Plan", "has_figures", "plan_splits"]

LEAST_OF_EACH = 5
"""A site where fewer patients have the outcome, or fewer have not, has no figures of its own."""

LEAST_SITES = 3
"""Sites with figures of their own from which on sites are held out unasked: one to test on, two to learn across."""

MOST_ALONE = 20
"""Sites of the development set up to which each is an outer fold; more are put together into ``outer_folds``."""

LEAST_TO_LEARN = 0.25
"""Share of the development set that must be left to learn from when a site is held out unasked."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The test set by rows of the cohort, and per repeat the outer folds by rows of the development set.

    ``study`` is the study with ``hold_out_sites`` decided.
    """

    study: Study
    test: Split
    outer: list[list[Split]]
    checks: list[Check]


def plan_splits(study: Study, cohort: Cohort) -> Plan:
    """Cut the cohort as the study says; by whole sites when it leaves that open and the sites allow it.

    Raises
    ------
    InvalidStudy : named test sites that are not there.
    LeakageFound : a guard says no.
    ValidationFailed : too few people or sites for the splits that the study asks for.
    """
    if study.validation.hold_out_sites != "auto":
        return _cut(study, cohort, because="the study says so")
    whole = replace(study, validation=replace(study.validation, hold_out_sites=True))
    reason = _why_not(whole, cohort)
    if not reason:
        return _cut(whole, cohort, because="the cohort has enough of them")
    return _cut(replace(study, validation=replace(study.validation, hold_out_sites=False)), cohort, because=reason)


def has_figures(outcome: NDArray[np.int64], person: NDArray[np.str_]) -> bool:
    """Whether a site with these units, (n,) each, has enough people of either outcome to be judged by itself."""
    return all(len(np.unique(person[outcome == value])) >= LEAST_OF_EACH for value in (0, 1))


def _why_not(whole: Study, cohort: Cohort) -> str:
    """Why sites cannot be held out, in words; empty when they can."""
    nowhere = int((cohort.site == "").sum())
    if nowhere:
        return f"{nowhere} units have no site"
    if len(_sites_with_figures(cohort)) < LEAST_SITES:
        return f"fewer than {LEAST_SITES} sites have {LEAST_OF_EACH} patients with the outcome and as many without"
    try:
        test, outer = _splits(whole, cohort)
    except ValidationFailed as error:
        return str(error.args[0])
    outcome = cohort.outcome[test.train]
    for split in outer[0]:
        if len(np.unique(outcome[split.train])) < 2 or len(split.train) < LEAST_TO_LEARN * len(test.train):
            return f"without {split.name} too few are left to learn from"
    return ""


def _cut(study: Study, cohort: Cohort, *, because: str) -> Plan:
    rule = study.validation
    apart = bool(rule.hold_out_sites)
    test, outer = _splits(study, cohort)
    inner = [Split(s.name, test.train[s.train], test.train[s.held_out]) for cut in outer for s in cut]
    checks = guard_splits(cohort, inner, sites_apart=apart)
    if len(test.held_out):
        # A test set of named sites shares no site even when the folds do.
        last = guard_splits(cohort, [test], sites_apart=apart or bool(rule.test_sites))
        named = f"; the test set is {', '.join(np.unique(cohort.site[test.held_out]).tolist())}"
        placed = apart or bool(rule.test_sites)
        checks += [
            Check(f"test-{check.name}", check.detail + (named if placed and check.name == "site" else ""))
            for check in last
        ]
    if len(np.unique(cohort.site[cohort.site != ""])) > 1:
        checks.append(Check("sites", f"sites are {'' if apart else 'not '}held out: {because}"))
    return Plan(study, test, outer, checks)


def _splits(study: Study, cohort: Cohort) -> tuple[Split, list[list[Split]]]:
    rule, seed = study.validation, study.study.seed
    apart = bool(rule.hold_out_sites)
    if rule.test_sites:
        test = named_sites(cohort.site, rule.test_sites)
    else:
        test = set_aside(
            cohort.person, cohort.site, cohort.outcome, fraction=rule.test_fraction, seed=seed, whole_sites=apart
        )
    site, outcome = cohort.site[test.train], cohort.outcome[test.train]
    if apart and len(np.unique(site)) > MOST_ALONE:
        return test, [folds(site, outcome, count=rule.outer_folds, seed=seed, name="sites")]
    if apart:
        return test, [site_folds(site)]
    patient = cohort.person[test.train]
    return test, [folds(patient, outcome, count=rule.outer_folds, seed=seed + i) for i in range(rule.repeats)]


def _sites_with_figures(cohort: Cohort) -> list[str]:
    names = [str(name) for name in np.unique(cohort.site)]
    return [
        name for name in names if has_figures(cohort.outcome[cohort.site == name], cohort.person[cohort.site == name])
    ]
