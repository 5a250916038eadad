"""Siemens mosaics: one picture that holds all slices of a volume as tiles.

In: a header as `tapetum.formats.vendor.add_standard` leaves it, and decoded pixels.  Out: the tiles and their place.
A mosaic's Image Position (Patient) is the corner that the whole picture would have as one slice, so the first tile
begins half of the difference further in. Start reading at `layout_of` and `split`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tapetum.errors import InvalidGeometry

__all__ = ["Layout", "layout_of", "split"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the tiles of a mosaic lie.

    ``tiles`` slices of ``shape`` (y, x) pixels, ``across`` in a row; ``first`` is the LPS position of the first tile's
    first pixel, ``step`` leads from tile to tile, both in mm.
    """

    tiles: int
    across: int
    shape: tuple[int, int]
    first: tuple[float, float, float]
    step: tuple[float, float, float]

    @property
    def spacing_mm(self) -> float:
        """Distance between slices."""
        return float(np.linalg.norm(self.step))

    def position(self, tile: int) -> tuple[float, float, float]:
        """LPS millimetres of the first pixel of a tile (from 0)."""
        x, y, z = (np.array(self.first) + tile * np.array(self.step)).tolist()
        return x, y, z


def layout_of(header: Dataset) -> Layout | None:
    """How the tiles lie, or None for what is no mosaic.

    Raises
    ------
    InvalidGeometry : a mosaic that does not say how many slices it holds or where.
    """
    if "MOSAIC" not in (header.get("ImageType") or ()):
        return None
    along = np.atleast_1d(header.get("SliceLocationVector") or []).astype(float)
    place, orientation, spacing = (
        header.get(keyword) for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    if not len(along) or place is None or orientation is None or spacing is None:
        raise InvalidGeometry(
            "a mosaic that does not say where its slices lie", hint="export it with its private attributes"
        )
    tiles, across = len(along), ceil(sqrt(len(along)))
    shape = (int(header.Rows) // across, int(header.Columns) // across)
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    missing = (header.Rows - shape[0]) * float(spacing[0]) / 2, (header.Columns - shape[1]) * float(spacing[1]) / 2
    first = np.array(place, float) + column * missing[0] + row * missing[1]
    step = np.cross(row, column) * (along[1] - along[0] if tiles > 1 else 1.0)
    return Layout(tiles, across, shape, _triple(first), _triple(step))


def split(picture: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Cut a (y, x) mosaic into (tiles, y, x); row by row from the upper left, empty tiles at the end left out."""
    rows, columns = layout.shape
    cut = picture[: layout.across * rows, : layout.across * columns]
    tiles = cut.reshape(layout.across, rows, layout.across, columns).swapaxes(1, 2)
    return np.ascontiguousarray(tiles.reshape(-1, rows, columns)[: layout.tiles])


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
