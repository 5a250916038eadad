"""Where voxels lie. Start reading at `Geometry`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import InvalidGeometry

__all__ = ["Geometry"]

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A (z, y, x) grid of voxels in one frame of reference: LPS, millimetres.

    Parameters
    ----------
    shape : voxels along z, y, x.
    spacing_mm : distance between voxel centres along z, y, x.
    origin_mm : LPS coordinates (x, y, z order, as in ImagePositionPatient) of the centre of voxel (0, 0, 0).
    direction : LPS unit vectors along which the z, y and x index grow, in that order.
    frame_of_reference_uid : DICOM (0020,0052); empty when unknown. An unknown frame equals nothing.

    Raises
    ------
    InvalidGeometry : empty grid, spacing not positive and finite, directions not orthonormal.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[Triple, Triple, Triple] = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise InvalidGeometry("empty grid", shape=self.shape)
        if not np.isfinite([*self.spacing_mm, *self.origin_mm]).all() or min(self.spacing_mm) <= 0:
            raise InvalidGeometry("impossible spacing or origin", spacing_mm=self.spacing_mm)
        axes = np.array(self.direction)
        if axes.shape != (3, 3) or not np.allclose(axes @ axes.T, np.eye(3), atol=1e-3):
            raise InvalidGeometry("directions are not orthonormal", hint="resample the sheared volume first")

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres."""
        return float(np.prod(self.spacing_mm))

    def to_patient(self, index: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) indices in z, y, x order, fractions allowed, to LPS millimetres in x, y, z order."""
        steps = np.array(self.direction) * np.array(self.spacing_mm)[:, None]
        return np.asarray(np.asarray(index, np.float64) @ steps + np.array(self.origin_mm), np.float64)

    def to_index(self, point_mm: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) LPS millimetres in x, y, z order to fractional indices in z, y, x order."""
        offset = np.asarray(point_mm, np.float64) - np.array(self.origin_mm)
        return np.asarray(offset @ np.array(self.direction).T / np.array(self.spacing_mm), np.float64)

    def shares_space_with(self, other: Geometry) -> bool:
        """True only when both frames are known and equal."""
        return self.frame_of_reference_uid == other.frame_of_reference_uid != ""

    def same_grid(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """Whether the voxels of both lie in the same places; says nothing about the frame."""
        if self.shape != other.shape:
            return False
        corners = np.array([[0, 0, 0], [self.shape[0], 0, 0], [0, self.shape[1], 0], [0, 0, self.shape[2]]])
        return bool(np.abs(self.to_patient(corners) - other.to_patient(corners)).max() <= tolerance_mm)
