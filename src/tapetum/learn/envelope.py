"""Where the training data lies, so that a model can say "I have never seen anything like this".

In: the training matrix.  Out: `Envelope`.  Start reading at `fit_envelope`.
Two distances of multivariate statistical process control: Hotelling's T2 within the main components and the squared
residual outside of them (Jackson & Mudholkar 1979, Technometrics 21:341). Their limits are quantiles of the distances
of training units to envelopes that were fitted without their patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Envelope", "farthest", "fit_envelope"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """Centre, scale and main components of the training data.

    ``centre`` and ``scale`` are (columns,), ``components`` (k, columns), ``variance`` (k,), ``limits`` the largest
    usual distance within the components and outside of them; ``missing_limit`` the largest usual share of missing
    columns.
    """

    centre: Floats
    scale: Floats
    mean: Floats
    components: Floats
    variance: Floats
    limits: Floats
    missing_limit: float

    def deviation(self, x: Floats) -> Floats:
        """Tamed robust z-scores of (rows, columns): asinh of the distance to the median; 0 where missing."""
        z = np.arcsinh((x - self.centre) / self.scale)
        return np.where(np.isnan(z), 0.0, z)

    def distances(self, x: Floats) -> Floats:
        """(rows, 2): distance within and outside the main components, each divided by its limit; above 1 is out."""
        d = self.deviation(x) - self.mean
        scores = d @ self.components.T
        within = (scores**2 / self.variance).sum(axis=1)
        outside = ((d - scores @ self.components) ** 2).sum(axis=1)
        return np.asarray(np.column_stack([within, outside]) / self.limits)


def fit_envelope(x: Floats, patient: NDArray[np.str_], *, seed: int, share: float = 0.01) -> Envelope:
    """Fit an envelope outside of which about ``share`` of people like those of the training data lie.

    Parameters
    ----------
    x : (units, columns) with NaN.
    patient : (units,) whose they are; the limits are found on folds of whole patients.
    """
    people, position = np.unique(patient, return_inverse=True)
    fold = np.random.default_rng([seed, 3]).permutation(len(people))[position] % min(5, len(people))
    distances = np.zeros((len(x), 2))
    for one in range(int(fold.max()) + 1):
        out = fold == one
        distances[out] = _fit(x[~out] if (~out).any() else x, np.ones(2), 0.0).distances(x[out])
    # Each of the two distances may send half of the share away.
    limits = np.maximum(np.quantile(distances, 1 - share / 2, axis=0, method="higher"), 1e-9)
    missing = max(0.1, float(np.quantile(np.isnan(x).mean(axis=1), 1 - share, method="higher")))
    return _fit(x, limits, missing)


def farthest(envelope: Envelope, row: Floats, names: Sequence[str], *, count: int = 3) -> list[str]:
    """Names of the columns in which (columns,) lies farthest from the training data."""
    order = np.argsort(-np.abs(envelope.deviation(row[None])[0]), kind="stable")[:count]
    return [names[j] for j in order]


def _fit(x: Floats, limits: Floats, missing_limit: float) -> Envelope:
    known = ~np.isnan(x).all(axis=0)
    quartiles = np.zeros((3, x.shape[1]))
    quartiles[:, known] = np.nanpercentile(x[:, known], [25, 50, 75], axis=0)
    deviation = np.zeros(x.shape[1])
    deviation[known] = np.nanstd(x[:, known], axis=0)
    spread = (quartiles[2] - quartiles[0]) / 1.349
    usual = np.where(spread > 0, spread, deviation)
    # A column that never varied: a change of a hundredth of its size counts as one step.
    scale = np.where(usual > 0, usual, np.maximum(np.abs(quartiles[1]) * 0.01, 1e-6))
    z = np.arcsinh((x - quartiles[1]) / scale)
    z = np.where(np.isnan(z), 0.0, z)
    mean = z.mean(axis=0)
    _, s, components = np.linalg.svd(z - mean, full_matrices=False)
    variance = s**2 / max(len(x) - 1, 1)
    enough = int(np.searchsorted(np.cumsum(variance), 0.9 * variance.sum())) + 1
    k = max(1, min(enough, len(x) // 10, len(s)))
    return Envelope(quartiles[1], scale, mean, components[:k], np.maximum(variance[:k], 1e-9), limits, missing_limit)
