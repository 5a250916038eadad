"""Features of the intensities alone: statistics, histogram, intensity-volume histogram.

In: the intensities of a region, or their grey levels.  Out: one value for each term of the family, in its order.
Definitions: IBSI reference manual, families UHIW, ZVCW and P88C.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["histogram", "statistics", "volume_histogram"]

Values = NDArray[np.float64]


def statistics(values: Values) -> list[float]:
    """The 18 intensity-based statistics of ``values`` (n,), n >= 1, in the order of ``TERMS["stat"]``.

    Skewness and kurtosis of a flat region are 0, as the manual says.
    """
    squares = values**2
    return [*_distribution(values), float(squares.sum()), float(np.sqrt(squares.mean()))]


def histogram(levels: NDArray[np.int32], n_levels: int) -> list[float]:
    """The 23 histogram features of grey ``levels`` (n,), n >= 1, of 1 to ``n_levels``, in the order of ``TERMS["ih"]``.

    Gradients need two bins: with one they are NaN.
    """
    spread = _distribution(levels.astype(np.float64))
    counts = np.bincount(levels, minlength=n_levels + 1)[1:].astype(np.float64)
    share = counts[counts > 0] / levels.size
    # Of several fullest bins the one nearest to the mean counts (AMMC).
    fullest = np.flatnonzero(counts == counts.max()) + 1
    mode = float(fullest[np.argmin(np.abs(fullest - spread[0]))])
    gradients = [np.nan] * 4
    if n_levels > 1:
        slope = np.gradient(counts)
        gradients = [slope.max(), slope.argmax() + 1.0, slope.min(), slope.argmin() + 1.0]
    entropy = float(-(share * np.log2(share)).sum())
    return [*spread[:9], mode, *spread[9:], entropy, float((share**2).sum()), *map(float, gradients)]


def volume_histogram(values: Values, *, bin_size: float | None) -> list[float]:
    """The 7 features of the fraction of voxels at or above each intensity, in the order of ``TERMS["ivh"]``.

    ``bin_size`` is the step between intensities; None makes 1000 steps. All are NaN where the region is flat.

    Raises
    ------
    ValueError : the bin size makes more than a million steps.
    """
    low, high = values.min(), values.max()
    if low == high:
        return [np.nan] * 7
    if bin_size is not None and (high - low) / bin_size > 1e6:
        raise ValueError("the step of the intensity-volume histogram is too small: choose a wider one")
    steps = np.linspace(low, high, 1001) if bin_size is None else np.arange(low, high + bin_size / 2, bin_size)
    fraction = 1 - np.searchsorted(np.sort(values), steps, side="left") / values.size
    reach = (steps - low) / (high - low)
    v10, v90 = (float(fraction[np.argmax(reach >= share - 1e-9)]) for share in (0.1, 0.9))
    # Above the largest intensity lies no voxel, so there every fraction is reached at last.
    steps = np.append(steps, steps[-1] + steps[1] - steps[0])
    i10, i90 = (float(steps[np.argmax(np.append(fraction, 0.0) <= share)]) for share in (0.1, 0.9))
    area = float(np.trapezoid(fraction, reach))
    return [v10, v90, i10, i90, v10 - v90, i10 - i90, area]


def _distribution(values: Values) -> list[float]:
    """The 16 figures that statistics and histogram share, in their common order."""
    mean, variance = values.mean(), values.var()
    p10, p25, median, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90])
    low, high = values.min(), values.max()
    around = values - mean
    skewness = kurtosis = np.float64(0.0)
    if high > low:
        # Products: a power of 3 or 4 takes twenty times as long.
        squares = around * around
        skewness = (squares * around).mean() / variance**1.5
        kurtosis = (squares * squares).mean() / variance**2 - 3
    middle = values[(values >= p10) & (values <= p90)]
    robust = np.abs(middle - middle.mean()).mean() if middle.size else np.nan
    return [
        float(figure)
        for figure in (
            mean,
            variance,
            skewness,
            kurtosis,
            median,
            low,
            p10,
            p90,
            high,
            p75 - p25,
            high - low,
            np.abs(around).mean(),
            robust,
            np.abs(values - median).mean(),
            np.sqrt(variance) / mean,
            (p75 - p25) / (p75 + p25),
        )
    ]
