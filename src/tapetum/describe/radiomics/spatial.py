"""Features of where intensities lie: local peaks and spatial autocorrelation.

In: intensities of a region and around it.  Out: one value for each term of the family, in its order.
Definitions: IBSI reference manual, family 9ST6, Moran's I (N365) and Geary's C (NPT7). The sums over all pairs of
voxels are taken as products of Fourier transforms, so the time grows with n log n instead of n squared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import fftconvolve

__all__ = ["PEAK_RADIUS_MM", "autocorrelation", "local_peaks"]

PEAK_RADIUS_MM = 10 * (3 / (4 * np.pi)) ** (1 / 3)
"""Radius of a sphere of one cubic centimetre."""

Volume = NDArray[np.float64]
Mask = NDArray[np.bool_]


def local_peaks(values: Volume, measured: Mask, spacing_mm: tuple[float, float, float]) -> list[float]:
    """Highest mean in a 1 cm3 sphere: around the brightest voxels of ``measured``, around any of its voxels.

    ``values`` (z, y, x) reach `PEAK_RADIUS_MM` beyond the mask, or to the edge of the image.
    """
    reach = [int(PEAK_RADIUS_MM / step) for step in spacing_mm]
    offsets = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(reach, spacing_mm, strict=True)), indexing="ij")
    sphere = (sum(axis**2 for axis in offsets) <= PEAK_RADIUS_MM**2).astype(np.float64)
    # Relative to the mean, so that rounding in the transform does not grow with the offset of the scale.
    base = values[measured].mean()
    finite = np.isfinite(values)
    total = fftconvolve(np.where(finite, values - base, 0.0), sphere, mode="same")
    count = np.round(fftconvolve(finite.astype(np.float64), sphere, mode="same"))
    means = total / count + base
    brightest = measured & (values == values[measured].max())
    return [float(means[brightest].max()), float(means[measured].max())]


def autocorrelation(values: Volume, measured: Mask, spacing_mm: tuple[float, float, float]) -> list[float]:
    """Moran's I and Geary's C of the intensities in ``measured``, weighted by the inverse distance of voxel centres.

    Both are NaN for a flat region.
    """
    around = np.where(measured, values - values[measured].mean(), 0.0)
    squares = float((around**2).sum())
    # A sum of squares that rounding made is not a difference between voxels, so the values are asked.
    if np.ptp(values[measured]) == 0:
        return [np.nan, np.nan]
    shape = tuple(fft.next_fast_len(2 * n - 1, real=True) for n in values.shape)
    steps = [np.minimum(np.arange(n), n - np.arange(n)) * s for n, s in zip(shape, spacing_mm, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*steps, indexing="ij", sparse=True)))
    distance[0, 0, 0] = np.inf
    kernel = fft.rfftn(1 / distance)
    inner = tuple(slice(n) for n in values.shape)
    near = fft.irfftn(kernel * fft.rfftn(measured.astype(np.float64), shape), shape)[inner]
    pairs = float((around * fft.irfftn(kernel * fft.rfftn(around, shape), shape)[inner]).sum())
    total = float(near[measured].sum())
    apart = 2 * float((around**2 * near).sum()) - 2 * pairs
    n = int(measured.sum())
    return [n / total * pairs / squares, (n - 1) / (2 * total) * apart / squares]
