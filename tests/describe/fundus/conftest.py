"""A painted retina: round field, uneven light, optic disc, vessel arcades, fovea, and lesions on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tapetum.model import Image, Quantity

Lesions = Iterable[tuple[float, float, float]]
Paint = Callable[..., Image]

RETINA = np.array([190.0, 100.0, 45.0])
DISC, FOVEA = (0.0, -0.36), (0.02, 0.02)
ARCADES = ((0.02, 0.28, 0.016), (-0.02, -0.28, 0.016), (0.01, 0.18, 0.008), (-0.01, -0.2, 0.008))


def _grid(diameter: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (down, right) in field diameters from the centre, of a 4:3 picture."""
    height, width = round(1.1 * diameter), round(1.4 * diameter)
    return (np.arange(height)[:, None] - height / 2) / diameter, (np.arange(width)[None, :] - width / 2) / diameter


def paint_fundus(
    *,
    diameter: int = 600,
    red: Lesions = (),
    yellow: Lesions = (),
    vessels: bool = True,
    brightness: float = 1.0,
    seed: int = 0,
) -> Image:
    """Lesions are (down, right, radius) in field diameters from the field's centre."""
    down, right = _grid(diameter)
    light = 1 - 0.6 * (down**2 + right**2) + 0.2 * right
    rgb = RETINA * light[..., None]
    disc = np.hypot(down - DISC[0], right - DISC[1])
    rgb = rgb + np.array([55.0, 90.0, 60.0]) * (1 / (1 + np.exp((disc - 0.07) / 0.004)))[..., None]
    fovea = np.exp(-((down - FOVEA[0]) ** 2 + (right - FOVEA[1]) ** 2) / (2 * 0.04**2))
    rgb = rgb * (1 - np.array([0.15, 0.3, 0.2]) * fovea[..., None])
    if vessels:
        for start, bend, width in ARCADES:
            along = np.clip(right - DISC[1], 0, 1)
            off = np.abs(down - start - bend * np.sin(np.pi * along) ** 0.7)
            off = off / np.hypot(1, np.gradient(bend * np.sin(np.pi * along) ** 0.7, axis=1) * diameter)
            rgb = rgb * (1 - np.array([0.15, 0.4, 0.3]) * _soft(off - width / 2, right > DISC[1])[..., None])
    for y, x, radius in red:
        rgb = rgb * (1 - np.array([0.2, 0.45, 0.35]) * _soft(np.hypot(down - y, right - x) - radius)[..., None])
    for y, x, radius in yellow:
        spot = _soft(np.hypot(down - y, right - x) - radius)[..., None]
        rgb = rgb * (1 - spot) + np.array([235.0, 200.0, 70.0]) * spot
    grain = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, (2, *rgb.shape[:2])), (0, 1, 1))
    rgb = rgb * (1 + 0.02 * grain[0, ..., None]) + grain[1, ..., None]
    rgb = np.where((np.hypot(down, right) <= 0.5)[..., None], rgb * brightness, 2.0)
    return Image(np.clip(np.round(rgb), 0, 255).astype(np.uint8), "yxc", Quantity("colour", "1"), modality="OP")


def _soft(beyond: NDArray[np.float64], where: NDArray[np.bool_] | bool = True) -> NDArray[np.float64]:
    return np.where(where, 1 / (1 + np.exp(np.clip(beyond / 0.0015, -50, 50))), 0.0)


@pytest.fixture(scope="session")
def paint() -> Paint:
    """The painter, by name: ``paint(red=[(0.1, 0.2, 0.01)])``; the same picture is painted once."""
    painted: dict[str, Image] = {}

    def remembered(**wishes: object) -> Image:
        key = repr(wishes)
        if key not in painted:
            painted[key] = paint_fundus(**wishes)
        return painted[key]

    return remembered
