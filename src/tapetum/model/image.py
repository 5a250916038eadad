"""Pixels with their meaning: `Image` and `Region` (a mask). Arrays are shared, not copied; treat them as read-only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InvalidGeometry
from tapetum.model.geometry import Geometry
from tapetum.model.terms import Code, Notice, Quantity

__all__ = ["Image", "Region"]

AXES = ("zyx", "yx", "yxc", "tzyx", "tyxc")
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One series as numbers that mean something.

    Parameters
    ----------
    array : values in the order of ``axes``; float32 for measured quantities, uint8 for colour (``c`` = R, G, B).
    axes : ``zyx`` volume, ``yx`` radiograph, ``yxc`` photograph, ``tzyx`` dynamic volume, ``tyxc`` colour film.
    quantity : what the values are and their UCUM unit.
    geometry : grid of the zyx part; None when the place in the patient is unknown (photographs).
    modality : DICOM Modality (0008,0060): CT, MR, DX, OP (ophthalmic photography), XC (external camera), ...
    series_instance_uid, instances : the pseudonymous UIDs it was made from.
    steps : what was done, in order: its lineage.
    notices : what was noticed (a missing slice, an uneven spacing).
    times_s : one for each time point, growing; seconds since the first, or since the event that the scanner counts from
        (the R wave, the start of the PET series). Empty when unknown.
    b_values : diffusion weighting in s/mm2, one for each time point; NaN where it was not said. Empty otherwise.
    b_vectors : directions of the diffusion gradient as LPS unit vectors, (0, 0, 0) where there was none; one for each
        time point, or empty.
    """

    array: NDArray[Any]
    axes: str
    quantity: Quantity
    geometry: Geometry | None = None
    modality: str = ""
    series_instance_uid: str = ""
    instances: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    times_s: tuple[float, ...] = ()
    b_values: tuple[float, ...] = ()
    b_vectors: tuple[Triple, ...] = ()

    def __post_init__(self) -> None:
        if self.axes not in AXES or self.array.ndim != len(self.axes):
            raise ValueError(f"array of {self.array.ndim} dimensions does not have the axes {self.axes!r}")
        if self.geometry is not None and "zyx" in self.axes and self.array.shape[-3:] != self.geometry.shape:
            raise InvalidGeometry("array and grid differ", array=self.array.shape, grid=self.geometry.shape)
        points = self.array.shape[0] if self.axes.startswith("t") else 1
        if any(len(each) not in (0, points) for each in (self.times_s, self.b_values, self.b_vectors)):
            raise ValueError(f"times, b-values and directions are as many as the {points} time points, or none")
        if any(after <= before for before, after in pairwise(self.times_s)):
            raise ValueError("times grow")

    @property
    def exact_dtype(self) -> np.dtype[Any]:
        """The narrower of int16 and the array's own type in which every value stays as it is."""
        whole = np.iinfo(np.int16)
        if self.array.dtype.kind != "f":
            return self.array.dtype
        for part in self.array:  # one at a time, for a volume may fill the memory
            if part.min() < whole.min or part.max() > whole.max or (part != np.rint(part)).any():
                return self.array.dtype
        return np.dtype(np.int16)

    def then(self, step: str, array: NDArray[Any], **changes: Any) -> Image:
        """A new image made from this one by ``step``, which is added to its lineage."""
        return replace(self, array=array, steps=(*self.steps, step), **changes)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A mask on a grid: which voxels belong to a structure.

    ``array`` is (z, y, x) bool; ``label`` the name in the source (ROI Name, Segment Label, a number of a label map);
    ``source`` is the pseudonymous SOP Instance UID or digest of the object that drew it.
    """

    array: NDArray[np.bool_]
    geometry: Geometry
    label: str
    code: Code | None = None
    source: str = ""
    notices: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        if self.array.dtype != np.bool_ or self.array.shape != self.geometry.shape:
            raise InvalidGeometry("a mask is bool and has the shape of its grid", shape=self.array.shape)

    @property
    def volume_mm3(self) -> float:
        """Volume by counting voxels."""
        return float(self.array.sum()) * self.geometry.voxel_mm3
