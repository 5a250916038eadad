"""Blobs and lines: the two shapes of a retina's small structures.

In: a (y, x) float map in which the structure sought is bright (negate it for dark ones).  Out: maps of the same shape.
A lesion is short in every direction, a vessel is long in one.  Start reading at `short_structures` and `hessian`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["hessian", "line_opening", "peaks", "short_structures"]

Map = NDArray[np.float32]
Offset = tuple[int, int]

ORIENTATIONS = 12


def hessian(values: Map, sigma: float) -> tuple[Map, Map]:
    """Curvature across and along the bright structure at a scale.

    Parameters
    ----------
    values : (y, x).
    sigma : scale in pixels.

    Returns
    -------
    (ridge, blob), both (y, x) float32 >= 0: minus the smaller and minus the larger eigenvalue of the Hessian times
    sigma squared. A line has a large ridge and no blob; a dot has both.

    Source: Frangi et al., MICCAI 1998, LNCS 1496:130; scale normalisation of Lindeberg 1998.
    """
    smooth = ndimage.gaussian_filter(values, sigma)
    down = np.gradient(smooth, axis=0)
    right = np.gradient(smooth, axis=1)
    yy, xx, xy = np.gradient(down, axis=0), np.gradient(right, axis=1), np.gradient(down, axis=1)
    middle, spread = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    factor = np.float32(sigma**2)
    ridge = np.maximum(spread - middle, 0) * factor
    blob = np.maximum(-spread - middle, 0) * factor
    return ridge.astype(np.float32), blob.astype(np.float32)


def line_opening(values: Map, length: int) -> Map:
    """Keep only bright structures that hold a straight line of ``length`` pixels in one of 12 orientations.

    Source: supremum of linear openings, Zana and Klein, IEEE Trans Image Process 2001;10:1010.
    """
    out = np.full_like(values, -np.inf)
    for angle in np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS:
        eroded = values
        parts = _line(length, float(angle))
        for part in parts:
            eroded = _extreme(eroded, part, np.minimum)
        opened = eroded
        for part in parts:
            opened = _extreme(opened, [(-y, -x) for y, x in part], np.maximum)
        np.maximum(out, opened, out=out)
    return out


def short_structures(values: Map, length: int) -> Map:
    """What `line_opening` removes: bright structures shorter than ``length`` pixels in every direction, >= 0.

    Source: Spencer et al., Comput Biomed Res 1996;29:284 (microaneurysms by a linear top-hat).
    """
    return np.asarray(np.maximum(values - line_opening(values, length), 0), np.float32)


def peaks(values: Map, inside: NDArray[np.bool_], radius: int) -> NDArray[np.float32]:
    """Heights of the local maxima that nothing within ``radius`` pixels exceeds, greatest first."""
    top = ndimage.maximum_filter(values, 2 * radius + 1)
    return np.sort(values[(values == top) & inside & (values > 0)])[::-1]


def _line(length: int, angle: float) -> tuple[list[Offset], list[Offset]]:
    """A line as the sum of a short one and of the places where it is repeated: 2 sqrt(n) shifts instead of n."""
    chunk = math.isqrt(length - 1) + 1
    starts = [*range(0, length - chunk, chunk), length - chunk]
    return _steps(range(chunk), angle), _steps([start - (length - 1) / 2 for start in starts], angle)


def _steps(along: Iterable[float], angle: float) -> list[Offset]:
    return [(round(step * math.sin(angle)), round(step * math.cos(angle))) for step in along]


def _extreme(values: Map, offsets: list[Offset], choose: np.ufunc) -> Map:
    """Minimum or maximum over the shifted copies; beyond the edge the map goes on with its edge value."""
    reach = max(max(abs(y), abs(x)) for y, x in offsets)
    padded = np.pad(values, reach, mode="edge")
    height, width = values.shape
    first, *others = offsets
    out = padded[reach + first[0] : reach + first[0] + height, reach + first[1] : reach + first[1] + width].copy()
    for y, x in others:
        choose(out, padded[reach + y : reach + y + height, reach + x : reach + x + width], out=out)
    return out
