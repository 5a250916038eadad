"""The round field of view of a fundus photograph, at one standard size, and its colours free of illumination.

In: an RGB picture, (y, x, 3) uint8.  Out: a `Field` of 600 pixels diameter, or None when there is no round field.
Every length of the fundus descriptors is a fraction of the field's diameter, so that a photograph of 500 pixels and
one of 3,000 say the same.  Start reading at `find_field`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from scipy.spatial import ConvexHull

__all__ = ["DIAMETER", "Field", "find_field"]

DIAMETER = 600
"""Standard diameter of the field in pixels; in a field of 45 degrees a pixel is then about 20 micrometres."""

BACKGROUND = 0.11
"""Side of the median window, in field diameters, that tells background from lesions: wider than any vessel."""

RIM = 0.03
"""Width of the rim that is left out, in field diameters: there the lens and the iris are seen, not the retina."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A fundus photograph at standard size.

    Parameters
    ----------
    rgb : (y, x, 3) float32, 0..1; crop of the field, diameter `DIAMETER` pixels.
    inside : (y, x) bool, the field without its rim.
    background : (y, x, 3) float32, local median colour, 0..1.
    contrast : (y, x, 3) float32, Weber contrast (value - background) / background; 0 outside.
    coverage : share of the fitted circle's area that the picture shows, 0..1.
    """

    rgb: NDArray[np.float32]
    inside: NDArray[np.bool_]
    background: NDArray[np.float32]
    contrast: NDArray[np.float32]
    coverage: float


def find_field(rgb: NDArray[np.uint8]) -> Field | None:
    """Find the round field, crop it, bring it to standard size and divide the illumination out.

    Parameters
    ----------
    rgb : (y, x, 3) uint8. Not modified.

    Returns
    -------
    The field; None when the bright part of the picture is not a disc on a dark ground.

    Source: illumination by a large median, Spencer et al., Comput Biomed Res 1996;29:284; Weber contrast as in
    Foracchia et al., Med Image Anal 2005;9:179.
    """
    lit = _lit(rgb)
    circle = _circle(lit)
    if circle is None or not _is_disc(lit, *circle):
        return None
    y, x, radius = circle
    scale = DIAMETER / (2 * radius)
    top, left = max(0, round(y - radius)), max(0, round(x - radius))
    crop = rgb[top : round(y + radius) + 1, left : round(x + radius) + 1]
    size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    standard = np.asarray(Picture.fromarray(crop).resize(size, Picture.Resampling.BICUBIC), np.float32) / np.float32(
        255
    )
    away = _distance(standard.shape[:2], (y - top) * scale, (x - left) * scale)
    shown = away <= DIAMETER / 2
    coverage = float(shown.sum() / (np.pi * (DIAMETER / 2) ** 2))
    inside = away <= DIAMETER * (0.5 - RIM)
    background = _background(standard, inside)
    contrast = np.where(inside[..., None], standard / background - 1, 0).astype(np.float32)
    return Field(standard, inside, background, contrast, min(coverage, 1.0))


def _lit(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Bright part of the picture: its largest piece, holes filled."""
    light = ndimage.uniform_filter(rgb.max(axis=2).astype(np.float32), 3)
    mask = light > max(10.0, 0.15 * float(np.percentile(light, 95)))
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, np.bool_)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(labels == largest), np.bool_)


def _circle(lit: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """Fit (y, x, radius) in pixels to the convex hull's corners off the picture's edge; None if it is no circle.

    The hull forgives shadows that bite into the field, and where the picture cuts the field it has two corners only.
    """
    outline = np.argwhere(lit & ~ndimage.binary_erosion(lit, border_value=1))
    if len(outline) < 40 or min(np.ptp(outline, axis=0)) < 32:
        return None
    points = outline[ConvexHull(outline).vertices].astype(np.float64)
    edge = 0.005 * max(lit.shape)
    points = points[((points > edge) & (points < np.array(lit.shape) - 1 - edge)).all(axis=1)]
    if len(points) < 12:
        return None
    for _ in range(3):
        a = np.column_stack([2 * points, np.ones(len(points))])
        (y, x, c), *_ = np.linalg.lstsq(a, (points**2).sum(axis=1), rcond=None)
        radius = float(np.sqrt(max(c + y * y + x * x, 1e-9)))
        off = np.abs(np.hypot(points[:, 0] - y, points[:, 1] - x) - radius)
        near = off <= max(1.5, 2.5 * float(np.median(off)))
        points = points[near]
    span = float(np.ptp(np.unwrap(np.sort(np.arctan2(points[:, 0] - y, points[:, 1] - x)))))
    if len(points) < 12 or float(np.median(off)) > 0.015 * radius or span < 1.0 or radius < 32:
        return None
    return float(y), float(x), radius


def _is_disc(lit: NDArray[np.bool_], y: float, x: float, radius: float) -> bool:
    """Whether the bright part is that circle, seen for the most part, with a dark ground around it."""
    within = _distance(lit.shape, y, x) <= radius
    if within.sum() < 0.5 * np.pi * radius**2 or within.mean() > 0.99:
        return False
    return bool(lit[within].mean() > 0.8 and lit[~within].mean() < 0.1)


def _distance(shape: tuple[int, ...], y: float, x: float) -> NDArray[np.float32]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x).astype(np.float32)


def _background(rgb: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Local median per channel, taken at a sixth of the size (it is smooth), the field continued beyond its rim."""
    step = 6
    small_mask = inside[::step, ::step]
    nearest = ndimage.distance_transform_edt(~small_mask, return_distances=False, return_indices=True)
    window = int(BACKGROUND * DIAMETER / step) | 1
    out = np.empty_like(rgb)
    for channel in range(3):
        small = ndimage.uniform_filter(rgb[..., channel], step)[::step, ::step][tuple(nearest)]
        middle = ndimage.gaussian_filter(ndimage.median_filter(small, window), window / 6)
        zoom = np.asarray(Picture.fromarray(middle).resize(rgb.shape[1::-1], Picture.Resampling.BILINEAR), np.float32)
        # a floor of 5 grey levels of 255: blue is near black in many cameras, and a ratio to nothing is noise
        out[..., channel] = np.maximum(zoom, 5 / 255)
    return out
