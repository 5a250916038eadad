"""A model that was fitted and validated, with all it needs to judge a new person.

In: the chosen family and its settings.  Out: `FittedModel`.  Start reading at `FittedModel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin
from threadpoolctl import threadpool_limits

from tapetum.learn.calibrate import Recalibration, to_logit
from tapetum.learn.envelope import Envelope
from tapetum.learn.estimators import fit
from tapetum.learn.features import FeatureColumn
from tapetum.learn.study import Study

__all__ = ["BAGS", "FittedModel", "bagged_spread", "bags", "fit_members", "mean_probability"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Members = tuple[ClassifierMixin, ...]
Chosen = Mapping[str, Mapping[str, Any]]

BAGS = 25
"""Refits on resampled patients, from which the interval of a single prediction comes."""

WITHIN_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """The chosen model.

    ``members`` are the estimators whose mean probability it is (one, or several for an ensemble), ``bags`` the same
    fitted again on resampled patients. ``columns`` says which features in which order; ``threshold`` applies to the
    recalibrated probability. ``modalities`` are those it was trained on.
    """

    study: Study
    family: str
    settings: Chosen
    columns: tuple[FeatureColumn, ...]
    modalities: tuple[str, ...]
    members: Members
    bags: tuple[Members, ...]
    recalibration: Recalibration
    threshold: float
    envelope: Envelope

    def probability(self, x: Floats) -> Floats:
        """(units,) probabilities of the outcome for (units, columns), NaN where a feature is missing."""
        return self.recalibration(mean_probability(self.members, x))

    def interval(self, x: Floats) -> tuple[Floats, Floats]:
        """Low and high ends of the 95 % interval of each probability: what other patients would have taught it."""
        centre = to_logit(self.probability(x))
        spread = bagged_spread(np.stack([self.recalibration(mean_probability(bag, x)) for bag in self.bags]))
        return expit(centre - WITHIN_95 * spread), expit(centre + WITHIN_95 * spread)


def mean_probability(members: Members, x: Floats) -> Floats:
    """(units,) mean of the members' probabilities."""
    return np.asarray(np.mean([member.predict_proba(x)[:, 1] for member in members], axis=0), np.float64)


def bagged_spread(drawn: Floats) -> Floats:
    """(units,) standard deviation on the logit scale of (refits, units) probabilities; NaN entries are left out."""
    return np.asarray(np.nanstd(to_logit(drawn), axis=0, ddof=1), np.float64)


def fit_members(chosen: Chosen, x: Floats, outcome: Ints, patient: NDArray[np.str_], *, seed: int) -> Members:
    """Fit each family of ``chosen`` (family -> settings) on all rows."""
    with threadpool_limits(1):
        return tuple(fit(family, settings, x, outcome, patient, seed=seed) for family, settings in chosen.items())


def bags(
    chosen: Chosen, x: Floats, outcome: Ints, patient: NDArray[np.str_], *, seed: int, jobs: int, count: int = BAGS
) -> tuple[list[Members], NDArray[np.bool_]]:
    """Fit again on ``count`` resamples of the patients.

    Returns
    -------
    The refits, and (count, units) bool: whether the unit's patient was left out of that resample.
    """
    people, position = np.unique(patient, return_inverse=True)
    rows = [_resample(position, outcome, len(people), [seed, 4, i]) for i in range(count)]
    fits = Parallel(n_jobs=jobs, max_nbytes=None)(
        delayed(fit_members)(chosen, x[one], outcome[one], patient[one], seed=seed + i) for i, one in enumerate(rows)
    )
    left_out = np.array([~np.isin(position, position[one]) for one in rows])
    return list(fits), left_out


def _resample(position: Ints, outcome: Ints, people: int, seed: Sequence[int]) -> Ints:
    """Rows of patients drawn with replacement; drawn again until each outcome comes from 2 or more patients."""
    rng = np.random.default_rng(seed)
    every = [np.flatnonzero(position == person) for person in range(people)]
    while True:
        drawn = rng.integers(people, size=people)
        rows = np.concatenate([every[person] for person in drawn])
        if min(len(np.unique(position[rows][outcome[rows] == value])) for value in (0, 1)) >= 2:
            return rows
