"""Masks of a series -> `Region`s on the grid of an image.

In: a series of masks (DICOM SEG or RTSTRUCT, NIfTI or NRRD label maps) and the image they were drawn on.
Out: one region for each segment, ROI or label.  Start reading at `to_regions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats import nifti, nrrd, rtstruct, seg
from tapetum.model import Geometry, Image, Instance, Region, Series
from tapetum.standardise.volume import open_dataset

__all__ = ["to_regions"]

SAME_GRID_MM = 0.01
MOST_LABELS = 255
HINT = "draw the mask on this image, or resample it to the image's grid first"


def to_regions(
    series: Series, instances: Sequence[Instance], open_blob: Callable[[str], BinaryIO], image: Image
) -> list[Region]:
    """Put the masks of a series on the grid of an image.

    Parameters
    ----------
    series, instances : the masks' rows of the catalogue.
    open_blob : gives a seekable binary file for `Instance.blob`.
    image : what they were drawn on; it must have a geometry.

    Returns
    -------
    Regions in the order of the instances. A label map gives one for each value but 0, labelled with the value. Label
    maps whose axes are the image's, but stored in another order or direction, are turned to fit.

    Raises
    ------
    InvalidGeometry : the image has no geometry, or a mask lies on another grid or in another frame of reference.
    RejectedInput : a mask cannot be read; unsupported: an object of another kind, or a map that holds no labels.
    """
    grid = image.geometry
    if grid is None:
        raise InvalidGeometry("the image has no geometry to put masks on", hint="use an image with a place")
    regions: list[Region] = []
    for instance in instances:
        if series.format == "dicom":
            regions += _from_dicom(instance, open_blob, grid, image.instances)
        else:
            regions += _from_labels(series.format, instance, open_blob, grid)
    return regions


def _from_dicom(
    instance: Instance, open_blob: Callable[[str], BinaryIO], grid: Geometry, sources: tuple[str, ...]
) -> list[Region]:
    dataset = open_dataset(open_blob, instance.blob)
    modality = str(dataset.get("Modality", ""))
    if modality == "SEG":
        return seg.read(dataset, grid, sources=sources)
    if modality == "RTSTRUCT":
        return rtstruct.read(dataset, grid, sources=sources)
    raise RejectedInput("unsupported", "a DICOM object that holds no masks", modality=modality)


def _from_labels(kind: str, instance: Instance, open_blob: Callable[[str], BinaryIO], grid: Geometry) -> list[Region]:
    if kind not in {"nifti", "nrrd"}:
        raise RejectedInput("unsupported", "masks come as DICOM SEG, RTSTRUCT, NIfTI or NRRD", format=kind)
    with open_blob(instance.blob) as file:
        array, own = nifti.read(file) if kind == "nifti" else nrrd.read(file)
    if array.ndim != 3:
        raise RejectedInput("unsupported", "a label map of more than three dimensions")
    values = np.unique(array)
    values = values[values != 0]
    if len(values) > MOST_LABELS or not np.array_equal(values, np.rint(values)):
        raise RejectedInput("unsupported", "the values of the map are not labels", values=len(values))
    array = _turned(array, own, grid)
    return [Region(array == value, grid, str(int(value)), source=instance.sop_instance_uid) for value in values]


def _turned(array: NDArray[Any], own: Geometry, grid: Geometry) -> NDArray[Any]:
    """The array on ``grid``: as it is, or with axes exchanged and reversed when the voxels lie in the same places."""
    if own.same_grid(grid, tolerance_mm=SAME_GRID_MM):
        return array
    turn = np.array(own.direction) @ np.array(grid.direction).T
    order = [int(np.argmax(np.abs(turn[:, axis]))) for axis in range(3)]
    backwards = [axis for axis in range(3) if turn[order[axis], axis] < 0]
    if sorted(order) == [0, 1, 2]:
        index = np.zeros(3)
        for axis in backwards:
            index[order[axis]] = own.shape[order[axis]] - 1
        moved = Geometry(
            (own.shape[order[0]], own.shape[order[1]], own.shape[order[2]]),
            (own.spacing_mm[order[0]], own.spacing_mm[order[1]], own.spacing_mm[order[2]]),
            tuple(own.to_patient(index).tolist()),
            _directions(own, order, backwards),
        )
        if moved.same_grid(grid, tolerance_mm=SAME_GRID_MM):
            return np.ascontiguousarray(np.flip(array.transpose(order), tuple(backwards)))
    raise InvalidGeometry("the mask lies on another grid than the image", hint=HINT, mask=own.shape, image=grid.shape)


def _directions(own: Geometry, order: list[int], backwards: list[int]) -> Any:
    signs = [-1.0 if axis in backwards else 1.0 for axis in range(3)]
    return tuple(tuple(sign * value for value in own.direction[axis]) for sign, axis in zip(signs, order, strict=True))
