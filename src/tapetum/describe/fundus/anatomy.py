"""The healthy landmarks of a fundus: vessels, optic disc and fovea, so that none of them is taken for a lesion.

In: a `Field`.  Out: an `Anatomy` on the field's grid.  Start reading at `find_anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tapetum.describe.fundus.field import DIAMETER, Field
from tapetum.describe.fundus.shapes import line_opening

__all__ = ["Anatomy", "find_anatomy"]

Map = NDArray[np.float32]
Point = tuple[float, float]

VESSEL_LENGTH = 0.052
"""A vessel is straight over this length, a haemorrhage is not as long."""

VESSEL_WIDTH = 0.042
"""Dark structures wider than this are no vessels; the widest veins at the disc have 0.02 field diameters."""

DISC_RADIUS = 0.11
"""Radius left out around the disc's centre: the disc (0.075) and its pigmented or atrophic crescent."""

MACULA_RADIUS = 0.2
"""About 1.3 disc diameters around the fovea, the region that the ETDRS grid covers."""

FOVEOLA_RADIUS = 0.03

STEP = 4


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What a healthy eye has.

    Parameters
    ----------
    dark, light : (y, x) float32 >= 0: green contrast below and above the background, smoothed by one pixel.
    vessels : (y, x) bool.
    vessel_contrast : 97th percentile of the contrast of long dark lines: what blood looks like in this photograph.
    noise : robust standard deviation of the green contrast's finest grain.
    disc, fovea : (y, x) in pixels.
    disc_score : how much the disc stands out, in standard deviations of the field.
    retina : (y, x) bool, the field without rim and disc.
    macula, foveola : (y, x) bool, the region around the fovea and the pit itself, which is dark by nature.
    """

    dark: Map
    light: Map
    vessels: NDArray[np.bool_]
    vessel_contrast: float
    noise: float
    disc: Point
    disc_score: float
    fovea: Point
    retina: NDArray[np.bool_]
    macula: NDArray[np.bool_]
    foveola: NDArray[np.bool_]


def find_anatomy(field: Field) -> Anatomy:
    """Find vessels, disc and fovea.

    Vessels are long thin dark lines; the disc is the place where light and vessels come together; the fovea is the
    darkest vessel-free place at 2.5 disc diameters from the disc.

    Source: linear openings, Zana and Klein, IEEE Trans Image Process 2001;10:1010; disc by brightness and vessel
    convergence, Hoover and Goldbaum, IEEE Trans Med Imaging 2003;22:951; fovea by its distance from the disc,
    Sinthanayothin et al., Br J Ophthalmol 1999;83:902.
    """
    green = field.contrast[..., 1]
    smooth = ndimage.gaussian_filter(green, 1.0)
    dark, light = np.maximum(-smooth, 0), np.maximum(smooth, 0)
    width = int(VESSEL_WIDTH * DIAMETER) | 1
    thin = np.minimum(ndimage.grey_closing(smooth, width) - smooth, dark)
    lines = line_opening(thin, int(VESSEL_LENGTH * DIAMETER) | 1)
    contrast = max(float(np.percentile(lines[field.inside], 97)), 1e-3)
    disc, score = _disc(field, lines)
    fovea = _fovea(field, disc)
    grain = (green - ndimage.gaussian_filter(green, 1.5))[field.inside]
    return Anatomy(
        dark=dark,
        light=light,
        vessels=_vessels(lines, contrast),
        vessel_contrast=contrast,
        noise=max(1.4826 * float(np.median(np.abs(grain))), 1e-4),
        disc=disc,
        disc_score=score,
        fovea=fovea,
        retina=field.inside & (_away(green.shape, disc) > DISC_RADIUS * DIAMETER),
        foveola=_away(green.shape, fovea) < FOVEOLA_RADIUS * DIAMETER,
        macula=field.inside & (_away(green.shape, fovea) < MACULA_RADIUS * DIAMETER),
    )


def _vessels(lines: Map, contrast: float) -> NDArray[np.bool_]:
    """Hysteresis: connected weak lines of at least 300 pixels (0.0008 of a squared diameter) with a strong part."""
    labels, count = ndimage.label(lines > 0.3 * contrast, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    strong = np.bincount(labels.ravel(), weights=(lines > 0.6 * contrast).ravel(), minlength=count + 1)
    keep = (sizes > 300) & (strong > 10)
    keep[0] = False
    return np.asarray(ndimage.binary_dilation(keep[labels]), np.bool_)


def _disc(field: Field, lines: Map) -> tuple[Point, float]:
    mask = field.inside[::STEP, ::STEP]
    light = _thin_out(field.rgb.mean(axis=2))
    wide = _blur(light, mask, 0.12)
    glow = _standard((_blur(light, mask, 0.04) - wide) / np.maximum(wide, 0.02), mask)
    score = np.where(mask, glow + 0.7 * _standard(_blur(_thin_out(lines), mask, 0.05), mask), -np.inf)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    return (float(row * STEP), float(column * STEP)), float(score.max())


def _fovea(field: Field, disc: Point) -> Point:
    mask = field.inside[::STEP, ::STEP]
    width = int(VESSEL_WIDTH * DIAMETER) | 1
    level = _blur(ndimage.grey_closing(field.rgb[..., 1], width)[::STEP, ::STEP], mask, 0.03)
    wide = _blur(level, mask, 0.1)
    depth = (wide - level) / np.maximum(wide, 0.02)
    middle = tuple(float(v) for v in np.argwhere(mask).mean(axis=0))
    from_disc = _away(mask.shape, (disc[0] / STEP, disc[1] / STEP)) * STEP / DIAMETER
    from_middle = _away(mask.shape, (middle[0], middle[1])) * STEP / DIAMETER
    # in 45 degree fields the fovea lies 0.37 +- 0.07 diameters from the disc, and photographers aim between the two
    prior = np.exp(-((from_disc - 0.37) ** 2) / (2 * 0.07**2) - from_middle**2 / (2 * 0.2**2))
    score = np.where(mask, (depth - depth[mask].min() + 1e-6) * prior, -1)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    return float(row * STEP), float(column * STEP)


def _away(shape: tuple[int, ...], point: Point) -> Map:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - point[0], columns - point[1]).astype(np.float32)


def _thin_out(values: Map) -> Map:
    return np.asarray(ndimage.uniform_filter(values, STEP)[::STEP, ::STEP], np.float32)


def _blur(values: Map, mask: NDArray[np.bool_], sigma: float) -> Map:
    """Gaussian over the field alone (normalised convolution); sigma in field diameters."""
    pixels = sigma * DIAMETER / STEP
    weight = ndimage.gaussian_filter(mask.astype(np.float32), pixels)
    return np.asarray(ndimage.gaussian_filter(values * mask, pixels) / np.maximum(weight, 1e-3), np.float32)


def _standard(values: NDArray[np.floating], mask: NDArray[np.bool_]) -> Map:
    spread = float(values[mask].std())
    return np.asarray((values - values[mask].mean()) / (spread if spread > 0 else 1.0), np.float32)
