"""A small picture of an image, for montages and lists. Start reading at `preview`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from tapetum.model import Geometry, Image
from tapetum.standardise.greyrange import HOUNSFIELD, normalise

__all__ = ["preview"]

SOFT_TISSUE_HU = (-160.0, 240.0)  # window 400, level 40
DOWNWARDS = (1.0, 1.0, -1.0)  # pictures show the patient's left on the right, and the back and the feet below


def preview(image: Image, size: int = 256) -> NDArray[np.uint8]:
    """Draw the middle slice (frame, picture) on a black square.

    The pixel's true aspect is kept; slices are turned the way radiologists look at them: the patient's left on the
    right, the back or the feet below. CT is windowed to soft tissue (-160 to 240 HU), colour stays as it is, everything
    else goes from its 1st to its 99th percentile.

    Parameters
    ----------
    image : any axes. Not modified.
    size : side of the square in pixels.

    Returns
    -------
    (y, x, 3) uint8 RGB with both sides ``size``.

    Raises
    ------
    ValueError : the size is not positive.
    """
    if size < 1:
        raise ValueError("a preview has at least one pixel")
    plane = _middle(image)
    rows, columns = plane.shape[:2]
    height, width = float(rows), float(columns)
    if image.geometry is not None:
        plane = _as_looked_at(plane, image.geometry)
        height, width = rows * image.geometry.spacing_mm[1], columns * image.geometry.spacing_mm[2]
    scale = size / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    drawn = np.asarray(Pillow.fromarray(np.ascontiguousarray(plane)).convert("RGB").resize(target))
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - target[1]) // 2, (size - target[0]) // 2
    square[top : top + target[1], left : left + target[0]] = drawn
    return square


def _middle(image: Image) -> NDArray[np.uint8]:
    array: NDArray[Any] = image.array
    for _ in image.axes.removesuffix("c")[:-2]:
        array = array[len(array) // 2]
    if image.axes.endswith("c"):
        return np.asarray(array, np.uint8)
    low, high = SOFT_TISSUE_HU
    windowed = image.quantity == HOUNSFIELD
    grey = np.clip((array - low) / (high - low), 0.0, 1.0) if windowed else normalise(array)
    return np.asarray(np.rint(grey * 255), np.uint8)


def _as_looked_at(plane: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    for axis in (0, 1):
        direction = np.array(geometry.direction[axis + 1])
        main = int(np.argmax(np.abs(direction)))
        if direction[main] * DOWNWARDS[main] < 0:
            plane = np.flip(plane, axis)
    return plane
