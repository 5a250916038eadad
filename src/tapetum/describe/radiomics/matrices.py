"""Texture matrices -> features: three sets of formulas serve all six matrices.

Definitions: IBSI reference manual, families LFYI (co-occurrence), TP0I, 9SAK, VMDZ, REK0 (they share their formulas)
and IPET (tone difference).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cooccurrence_features", "emphasis_features", "tone_features"]

Vector = NDArray[np.float64]
MAXIMUM_COARSENESS = 1e6
"""The manual's arbitrary value for a texture without any difference."""


def cooccurrence_features(counts: Vector) -> list[float]:
    """The 25 features of a symmetric (n_levels, n_levels) matrix, in the order of ``TERMS["glcm"]``.

    All are NaN when no voxel has a neighbour.
    """
    total = counts.sum()
    if total == 0:
        return [np.nan] * 25
    n_levels = len(counts)
    rows, columns = np.nonzero(counts)
    p = counts[rows, columns] / total
    i, j = rows + 1.0, columns + 1.0
    apart, together = np.abs(rows - columns), rows + columns + 2
    difference = np.asarray(np.bincount(apart, p), np.float64)
    summed = np.asarray(np.bincount(together, p), np.float64)
    gap, level_sum = np.arange(difference.size, dtype=np.float64), np.arange(summed.size, dtype=np.float64)
    mean, gap_mean, sum_mean = (i * p).sum(), (gap * difference).sum(), (level_sum * summed).sum()
    variance = ((i - mean) ** 2 * p).sum()
    product = (i * j * p).sum()
    cluster = i + j - 2 * mean
    figures = [
        p.max(),
        mean,
        variance,
        _entropy(p),
        gap_mean,
        ((gap - gap_mean) ** 2 * difference).sum(),
        _entropy(difference),
        sum_mean,
        ((level_sum - sum_mean) ** 2 * summed).sum(),
        _entropy(summed),
        (p**2).sum(),
        (gap**2 * difference).sum(),
        gap_mean,
        (difference / (1 + gap)).sum(),
        (difference / (1 + gap / n_levels)).sum(),
        (difference / (1 + gap**2)).sum(),
        (difference / (1 + gap**2 / n_levels**2)).sum(),
        (difference[1:] / gap[1:] ** 2).sum(),
        (product - mean**2) / variance if variance > 0 else np.nan,
        product,
        *((cluster**power * p).sum() for power in (2, 3, 4)),
        *_information_correlation(counts.sum(axis=1) / total, rows, columns, p),
    ]
    return [float(figure) for figure in figures]


def _information_correlation(
    marginal: Vector, rows: NDArray[np.int64], columns: NDArray[np.int64], p: Vector
) -> tuple[float, float]:
    single, joint = _entropy(marginal), _entropy(p)
    crossed = float(-(p * np.log2(marginal[rows] * marginal[columns])).sum())
    # The entropy of the product of a distribution with itself is twice its own.
    first = (joint - crossed) / single if single > 0 else np.nan
    return first, float(np.sqrt(max(0.0, 1 - np.exp(-2 * (2 * single - joint)))))


def _entropy(p: Vector) -> float:
    occupied = p[p > 0]
    return float(-(occupied * np.log2(occupied)).sum()) + 0.0


def emphasis_features(
    level: NDArray[np.int64], size: NDArray[np.int64], counts: Vector, *, potential: int
) -> list[float]:
    """The 16 features that run length, zone and dependence matrices share, in the order of their terms.

    Parameters
    ----------
    level, size, counts : (n,) the cells of the matrix that are not 0: grey level, run length (zone size, distance,
        dependence) and count.
    potential : how many entries there could be at most, for the percentage: voxels, times directions for runs.
    """
    entries = counts.sum()
    p = counts / entries
    i, j = level.astype(np.float64), size.astype(np.float64)
    low, high, short, long = i**-2, i**2, j**-2, j**2
    by_level = np.bincount(level, counts)
    by_size = np.bincount(np.unique(size, return_inverse=True)[1], counts)
    i_mean, j_mean = (i * p).sum(), (j * p).sum()
    figures = [
        *((weight * p).sum() for weight in (short, long, low, high)),
        *((weight * p).sum() for weight in (short * low, short * high, long * low, long * high)),
        (by_level**2).sum() / entries,
        (by_level**2).sum() / entries**2,
        (by_size**2).sum() / entries,
        (by_size**2).sum() / entries**2,
        entries / potential,
        ((i - i_mean) ** 2 * p).sum(),
        ((j - j_mean) ** 2 * p).sum(),
        _entropy(p),
    ]
    return [float(figure) for figure in figures]


def tone_features(counts: Vector, differences: Vector) -> list[float]:
    """The 5 features of a tone difference matrix, n and s by level, in the order of ``TERMS["ngtdm"]``.

    All are NaN when no voxel has a neighbour; the values for textures without a difference are the manual's.
    """
    total = counts.sum()
    if total == 0:
        return [np.nan] * 5
    present = np.flatnonzero(counts)
    i, p, s = present + 1.0, counts[present] / total, differences[present]
    n_present = len(present)
    gap = np.abs(i[:, None] - i)
    weighted = (p * s).sum()
    coarseness = min(1 / weighted, MAXIMUM_COARSENESS) if weighted > 0 else MAXIMUM_COARSENESS
    if n_present == 1:
        return [coarseness, 0.0, 0.0, 0.0, 0.0]
    contrast = (p[:, None] * p * gap**2).sum() / (n_present * (n_present - 1)) * s.sum() / total
    uneven = np.abs((i * p)[:, None] - i * p).sum()
    complexity = (gap * ((p * s)[:, None] + p * s) / (p[:, None] + p)).sum() / total
    strength = ((p[:, None] + p) * gap**2).sum() / s.sum() if s.sum() > 0 else 0.0
    busyness = weighted / uneven if uneven > 0 else np.nan
    return [float(figure) for figure in (coarseness, contrast, busyness, complexity, strength)]
