"""Probabilities that mean what they say: a logistic recalibration, used only when it helps on data it has not seen.

In: out-of-fold probabilities.  Out: `Recalibration`.  Start reading at `cross_recalibrate`.
Source: Platt 1999; Cox 1958, Biometrika 45:562.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

__all__ = ["Recalibration", "cross_recalibrate", "fit_recalibration", "to_logit"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recalibration:
    """logit(new) = intercept + slope x logit(old); the slope is positive, so that the order never changes."""

    intercept: float = 0.0
    slope: float = 1.0

    def __call__(self, probability: Floats) -> Floats:
        """New probabilities of the same shape."""
        if (self.intercept, self.slope) == (0.0, 1.0):
            return probability
        return np.asarray(expit(self.intercept + self.slope * to_logit(probability)))


def to_logit(probability: Floats) -> Floats:
    """Log odds. Forests say 0 and 1; nobody is that sure, so both are kept half a per cent away."""
    return np.asarray(logit(np.clip(probability, 0.005, 0.995)))


def fit_recalibration(probability: Floats, outcome: Ints) -> Recalibration:
    """The recalibration with the largest likelihood; none when a larger probability means fewer events."""
    model = LogisticRegression(C=1e4, max_iter=1000).fit(to_logit(probability)[:, None], outcome)
    slope = float(model.coef_[0, 0])
    return Recalibration(float(model.intercept_[0]), slope) if slope > 0.05 else Recalibration()


def cross_recalibrate(probability: Floats, outcome: Ints, fold: Ints) -> tuple[Floats, Recalibration]:
    """Recalibrate each fold with what the other folds say, and keep it only if the log loss becomes smaller.

    Parameters
    ----------
    probability, outcome, fold : (n,) out-of-fold predictions, and in which fold each unit was held out.

    Returns
    -------
    The out-of-fold probabilities (recalibrated or as they were), and the recalibration for new people.
    """
    crossed = probability.copy()
    for one in np.unique(fold):
        inside, out = fold != one, fold == one
        if len(np.unique(outcome[inside])) == 2:
            crossed[out] = fit_recalibration(probability[inside], outcome[inside])(probability[out])
    if _log_loss(crossed, outcome) < _log_loss(probability, outcome):
        return crossed, fit_recalibration(probability, outcome)
    return probability, Recalibration()


def _log_loss(probability: Floats, outcome: Ints) -> float:
    z = to_logit(probability)
    return float(np.mean(np.logaddexp(0, z) - outcome * z))
