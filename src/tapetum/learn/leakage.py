"""Guards against leakage: training and test data must not know each other, and no feature may be the outcome.

In: a `Cohort` or a `Split` of it.  Out: a `Check` for the report, or `LeakageFound` with its kind.
Kinds: patient, site, identical-image, identical-row, outcome-as-feature.  Start reading at `guard_cohort`.
After Kapoor & Narayanan 2023, Patterns 4:100804 (leakage in machine-learning-based science).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import rankdata

from tapetum.errors import LeakageFound
from tapetum.learn.cohort import Cohort
from tapetum.learn.result import Check
from tapetum.learn.split import Split
from tapetum.learn.study import Study

__all__ = ["guard_cohort", "guard_splits", "without_copies"]

PERFECT = 0.499
"""A single feature whose ROC-AUC is further than this from one half separates the outcome."""

CHANCE = 1e-6
"""A perfect separation that luck would give to any of the features less often than this is not luck."""

ENOUGH = 20
"""People from whom on a column of two values that equals the outcome, or its opposite, is called the outcome."""

FINE = 3
"""Features that hardly ever repeat, of which so many equal ones cannot be chance."""


def guard_cohort(study: Study, cohort: Cohort, observations: pl.DataFrame) -> list[Check]:
    """Ask everything that can be asked before the data is split.

    Raises
    ------
    LeakageFound : identical-image, identical-row or outcome-as-feature.
    """
    return [
        _images_of_one_patient(cohort),
        _rows_of_one_patient(cohort),
        _not_named_as_outcome(study, cohort, observations),
        _not_equal_to_outcome(cohort),
    ]


def guard_splits(cohort: Cohort, splits: Sequence[Split], *, sites_apart: bool) -> list[Check]:
    """Ask of every split: no patient, no image and, when sites are held out, no site on both sides.

    Raises
    ------
    LeakageFound : patient, identical-image or site.
    """
    for split in splits:
        both = set(cohort.patient[split.train]) & set(cohort.patient[split.held_out])
        if both:
            raise LeakageFound(
                "patient",
                "patients are on both sides of a split",
                hint="split by patient, never by image",
                split=split.name,
                patients=len(both),
            )
        images = [{digest for row in side for digest in cohort.images[row]} for side in (split.train, split.held_out)]
        if images[0] & images[1]:
            raise LeakageFound(
                "identical-image",
                "the same pixels are on both sides of a split",
                hint="find out whose image it is and remove the copy",
                split=split.name,
                images=len(images[0] & images[1]),
            )
        if sites_apart and set(cohort.site[split.train]) & set(cohort.site[split.held_out]):
            raise LeakageFound(
                "site", "a site is on both sides of a split", hint="hold out whole sites", split=split.name
            )
    told = f"{len(splits)} splits, {len(np.unique(cohort.patient))} patients"
    checks = [
        Check("patient", f"{told}: no patient on both sides"),
        Check("image", f"{told}: no image on both sides"),
    ]
    sites = len(np.unique(cohort.site[cohort.site != ""]))
    if sites_apart:
        checks.append(Check("site", f"{sites} sites: none on both sides"))
    elif sites > 1:
        told = f"{sites} sites exist and were not held out: the figures say nothing about a hospital never seen"
        checks.append(Check("site", told))
    return checks


def without_copies(cohort: Cohort) -> Cohort:
    """The cohort without units that are copies of another patient's: the first one stays when all agree.

    When copies have different outcomes nobody knows which is right, and all of them leave.
    """
    first_of = _copied_images(cohort) | _copied_rows(cohort)
    disputed = {first for row, first in first_of.items() if cohort.outcome[row] != cohort.outcome[first]}
    gone = set(first_of) | disputed
    return cohort.without(gone, label="Without copies", reason="same image or measurements as another patient")


def _images_of_one_patient(cohort: Cohort) -> Check:
    copies = _copied_images(cohort)
    if copies:
        raise LeakageFound(
            "identical-image",
            "the same pixels are stored under two patients",
            hint='find out whose image it is and remove the copy, or set [cohort] copies = "drop"',
            images=len(copies),
            first=str(cohort.unit[min(copies)]),
        )
    different = len({digest for digests in cohort.images for digest in digests})
    return Check("identical-image", f"{different} images by their pixels: none under two patients")


def _rows_of_one_patient(cohort: Cohort) -> Check:
    """Two patients with the very same measurements are one patient. Asked of columns that hardly ever repeat."""
    fine = int(_nearly_unique(cohort.x).sum())
    if fine < FINE:
        return Check("identical-row", "not asked: too few features are measured finely enough to tell people apart")
    copies = _copied_rows(cohort)
    if copies:
        row, first = min(copies.items())
        raise LeakageFound(
            "identical-row",
            "two patients have exactly the same measurements",
            hint='one patient under two keys, or one image twice; merge them, or set [cohort] copies = "drop"',
            units=len(copies),
            first=f"{cohort.unit[row]} as {cohort.unit[first]}",
        )
    return Check("identical-row", f"{len(cohort.unit)} rows of {fine} fine measurements: none twice across patients")


def _copied_images(cohort: Cohort) -> dict[int, int]:
    """Row -> the first row, of another patient, that has one of its images."""
    owner: dict[str, int] = {}
    found = {}
    for row, digests in enumerate(cohort.images):
        firsts = [owner.setdefault(digest, row) for digest in digests]
        others = [first for first in firsts if cohort.patient[first] != cohort.patient[row]]
        if others:
            found[row] = others[0]
    return found


def _copied_rows(cohort: Cohort) -> dict[int, int]:
    """Row -> the first row, of another patient, that has all its finely measured values."""
    fine = _nearly_unique(cohort.x)
    if fine.sum() < FINE:
        return {}
    values = cohort.x[:, fine]
    _, group = np.unique(np.nan_to_num(values, nan=-1e300), axis=0, return_inverse=True)
    owner: dict[int, int] = {}
    found = {}
    for row in np.flatnonzero((~np.isnan(values)).sum(axis=1) >= FINE):
        first = owner.setdefault(int(group.ravel()[row]), int(row))
        if cohort.patient[first] != cohort.patient[row]:
            found[int(row)] = first
    return found


def _nearly_unique(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    known = np.maximum((~np.isnan(x)).sum(axis=0), 1)
    different = np.array([len(np.unique(column[~np.isnan(column)])) for column in x.T])
    return np.asarray(different / known > 0.5)


def _not_named_as_outcome(study: Study, cohort: Cohort, observations: pl.DataFrame) -> Check:
    outcome = study.outcome.observation
    facts = observations.filter(pl.col("name") == outcome)
    codes = {
        f"{scheme} {code}"
        for scheme, code in facts.select("scheme", "code").unique().rows()
        if (scheme or "") and (code or "")
    }
    for column in cohort.columns:
        if column.observation == outcome or column.code in codes:
            raise LeakageFound(
                "outcome-as-feature",
                "a feature has the name or the code of the outcome",
                hint="exclude it in [features]",
                feature=column.name,
            )
    return Check("outcome-name", f"none of {len(cohort.columns)} features has the name or code of {outcome!r}")


def _not_equal_to_outcome(cohort: Cohort) -> Check:
    name = "outcome-as-feature"
    everyone = np.ones(len(cohort.unit), bool)
    for j, column in enumerate(cohort.columns):
        known = ~np.isnan(cohort.x[:, j])
        for values, who in ((cohort.x[:, j], known), (known.astype(float), everyone)):
            if _tells(cohort, values, who):
                raise LeakageFound(
                    name,
                    "one feature tells the outcome without error",
                    hint="it was made from the outcome, or measured because of it; exclude it in [features]",
                    feature=column.name,
                )
    return Check(name, f"none of {len(cohort.columns)} features, nor its being missing, tells the outcome by itself")


def _tells(cohort: Cohort, values: NDArray[np.float64], who: NDArray[np.bool_]) -> bool:
    """Whether a column separates the outcome of these units, and luck among so many features cannot be why."""
    values, outcome, person = values[who], cohort.outcome[who], cohort.person[who]
    if not _separates(values, outcome):
        return False
    if len(np.unique(values)) == 2 and len(np.unique(person)) >= ENOUGH:
        return True
    return bool(np.log(len(cohort.columns)) - _log_arrangements(person, outcome) < np.log(CHANCE))


def _separates(values: NDArray[np.float64], outcome: NDArray[np.int64]) -> bool:
    events = int(outcome.sum())
    others = len(outcome) - events
    if min(events, others) == 0:
        return False
    auc = (rankdata(values)[outcome == 1].sum() - events * (events + 1) / 2) / (events * others)
    return bool(abs(auc - 0.5) > PERFECT)


def _log_arrangements(person: NDArray[np.str_], outcome: NDArray[np.int64]) -> float:
    """Logarithm of the number of ways to deal the outcomes out: C(n, events) with one unit each.

    The units of a person who is always or never an event are dealt out together: ten images are not ten people.
    """
    _, position = np.unique(person, return_inverse=True)
    units, events = np.bincount(position), np.bincount(position, weights=outcome)
    pattern = np.where(events == 0, 0, np.where(events == units, 1, 2))
    people = gammaln(len(units) + 1) - gammaln(np.bincount(pattern) + 1).sum()
    within = gammaln(units + 1) - gammaln(events + 1) - gammaln(units - events + 1)
    return float(people + within.sum())
