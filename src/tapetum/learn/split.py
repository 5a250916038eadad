"""Who is on which side: the test set and the folds, always whole patients, whole sites when sites are held out.

In: patient, site and outcome of each unit.  Out: `Split` s of row numbers.  Start reading at `set_aside`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from tapetum.errors import InvalidStudy, ValidationFailed

__all__ = ["Split", "folds", "named_sites", "set_aside", "site_folds"]

Words = NDArray[np.str_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers of two sides; ``name`` says which split of the study it is (a fold, a site, the test set)."""

    name: str
    train: Rows
    held_out: Rows


def set_aside(
    patient: Words, site: Words, outcome: NDArray[np.int64], *, fraction: float, seed: int, whole_sites: bool = False
) -> Split:
    """Put a fraction of the patients aside, with about the same share of events as those who stay.

    With ``whole_sites`` the test set is made of whole sites: of 500 random orders the one whose first sites come
    closest to the fraction and the event rate. Sites are never empty here. A fraction of 0 gives an empty test set.

    Raises
    ------
    ValidationFailed : too few patients of one outcome, or only one site, to fill both sides.
    """
    rows = np.arange(len(patient))
    if fraction == 0:
        return Split("test", rows, rows[:0])
    rng = np.random.default_rng([seed, 1])
    if whole_sites:
        return _between("test", np.isin(site, _sites_for_test(site, outcome, fraction, rng)))
    people, position = np.unique(patient, return_inverse=True)
    ever = np.zeros(len(people), np.int64)
    np.maximum.at(ever, position, outcome)
    chosen = np.zeros(len(people), bool)
    for stratum in (0, 1):
        there = np.flatnonzero(ever == stratum)
        count = round(fraction * len(there))
        if not 0 < count < len(there):
            raise ValidationFailed(
                "too few patients for a test set",
                hint="collect more, change test_fraction, or set it to 0 and rely on cross-validation",
                patients=len(there),
                outcome=stratum,
            )
        chosen[rng.permutation(there)[:count]] = True
    return _between("test", chosen[position])


def site_folds(site: Words) -> list[Split]:
    """Leave one site out: one split per site, in alphabetical order. Raises ValidationFailed with fewer than 2."""
    names = np.unique(site)
    if len(names) < 2:
        raise ValidationFailed("holding out sites needs two or more sites", hint="set hold_out_sites = false")
    return [_between(str(name), site == name) for name in names]


def folds(patient: Words, outcome: NDArray[np.int64], *, count: int, seed: int, name: str = "fold") -> list[Split]:
    """Cut into folds of whole patients (or of whole sites, when given those) with similar shares of events.

    Raises
    ------
    ValidationFailed : fewer groups with an event, or without, than folds.
    """
    for value in (0, 1):
        groups = len(np.unique(patient[outcome == value]))
        if groups < count:
            raise ValidationFailed(
                "too few patients for the folds",
                hint="collect more, or lower outer_folds and inner_folds",
                folds=count,
                outcome=value,
                groups=groups,
            )
    cut = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    pairs = cut.split(np.zeros(len(patient)), outcome, patient)
    return [Split(f"{name} {i + 1}", np.sort(train), np.sort(held_out)) for i, (train, held_out) in enumerate(pairs)]


def named_sites(site: Words, names: tuple[str, ...]) -> Split:
    """The test set made of named sites. Raises InvalidStudy when one does not exist or none is left to learn from."""
    unknown = sorted(set(names) - set(site.tolist()))
    if unknown or set(names) >= set(site.tolist()):
        there = ", ".join(np.unique(site).tolist())
        raise InvalidStudy(f"[validation] test_sites {unknown or list(names)} cannot be", hint=f"sites are {there}")
    return _between("test", np.isin(site, names))


def _between(name: str, held_out: NDArray[np.bool_]) -> Split:
    return Split(name, np.flatnonzero(~held_out), np.flatnonzero(held_out))


def _sites_for_test(site: Words, outcome: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> list[str]:
    names, position, size = np.unique(site, return_inverse=True, return_counts=True)
    events = np.bincount(position, weights=outcome, minlength=len(names))
    best: tuple[float, list[str]] = (np.inf, [])
    for _ in range(500):
        order = rng.permutation(len(names))
        last = int(np.searchsorted(np.cumsum(size[order]), fraction * len(site))) + 1
        taken = order[: min(last, len(names) - 1)]
        n, e = size[taken].sum(), events[taken].sum()
        if not 0 < e < n or not 0 < events.sum() - e < len(site) - n:
            continue
        distance = abs(n / len(site) - fraction) + abs(e / n - outcome.mean())
        if distance < best[0] - 1e-12:
            best = (float(distance), sorted(names[taken].tolist()))
    if not best[1]:
        raise ValidationFailed(
            "no choice of whole sites has both outcomes on both sides",
            hint="name test_sites, or set hold_out_sites = false",
            sites=len(names),
        )
    return best[1]
