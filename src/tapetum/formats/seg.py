"""DICOM Segmentation: segments -> masks on the grid of the image they were drawn on.

In: a SEG dataset and the image's grid.  Out: one `Region` for each segment.  Definition: DICOM PS3.3 C.8.20.2.
Start reading at `read`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats.damage import parsing
from tapetum.formats.frames import frame_count, frame_value
from tapetum.formats.pixels import decode
from tapetum.model import Code, Geometry, Region

__all__ = ["read"]

THRESHOLD = 0.5
BACKGROUND = Code("125040", "DCM", "Background")
TOLERANCE_VOXELS = 0.05
HINT = "draw the segments on this image, or resample them to its grid first"


def read(dataset: Dataset, grid: Geometry, *, sources: Collection[str] = ()) -> list[Region]:
    """Put each segment's frames on the slices that lie where they lie.

    Parameters
    ----------
    dataset : a Segmentation object, BINARY, FRACTIONAL (voxels of at least one half belong) or LABELMAP.
    grid : of the image. The segments may cover fewer slices, in any order, but each frame must lie on a slice.
    sources : SOP Instance UIDs of the image. A segmentation without a frame of reference of its own is accepted when
        it names one of them.

    Returns
    -------
    One region for each item of the Segment Sequence, in its order, empty ones included; the background of a label map
    is none. ``code`` is the Segmented Property Type.

    Raises
    ------
    InvalidGeometry : another or an unknown frame of reference; a frame between or beyond the slices, turned, shifted
        or of another pixel size.
    RejectedInput : as `tapetum.formats.pixels.decode`; missing-attribute when a frame has no place or no segment.
    """
    with parsing("the segmentation"):
        return _read(dataset, grid, sources)


def _read(dataset: Dataset, grid: Geometry, sources: Collection[str]) -> list[Region]:
    _check_space(dataset, grid, sources)
    kind = str(dataset.get("SegmentationType", "BINARY"))
    pixels = decode(dataset, palette=False)
    limit = THRESHOLD * float(dataset.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else 1
    segments = {
        int(item.SegmentNumber): item
        for item in dataset.get("SegmentSequence", [])
        if kind != "LABELMAP" or _code(item) != BACKGROUND
    }
    masks = {number: np.zeros(grid.shape, bool) for number in segments}
    for frame in range(frame_count(dataset)):
        index = _slice_of(dataset, frame, grid)
        if kind == "LABELMAP":
            for number, mask in masks.items():
                mask[index] |= pixels[frame] == number
        else:
            masks[_segment_of(dataset, frame, masks)][index] |= pixels[frame] >= limit
    return [
        Region(
            masks[number],
            grid,
            str(item.get("SegmentLabel") or f"segment {number}"),
            code=_code(item),
            source=str(dataset.get("SOPInstanceUID", "")),
        )
        for number, item in segments.items()
    ]


def _check_space(dataset: Dataset, grid: Geometry, sources: Collection[str]) -> None:
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    if frame and frame == grid.frame_of_reference_uid:
        return
    named = {str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    if (frame and grid.frame_of_reference_uid) or named.isdisjoint(sources):
        raise InvalidGeometry(
            "the segmentation lies in another frame of reference",
            hint=HINT,
            frame=frame or "unknown",
            image=grid.frame_of_reference_uid or "unknown",
        )


def _slice_of(dataset: Dataset, frame: int, grid: Geometry) -> int:
    position = frame_value(dataset, frame, "PlanePositionSequence", "ImagePositionPatient")
    orientation = frame_value(dataset, frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = frame_value(dataset, frame, "PixelMeasuresSequence", "PixelSpacing")
    if position is None or orientation is None or spacing is None:
        raise RejectedInput("missing-attribute", "a frame of the segmentation has no place", frame=frame + 1)
    corners = _corners(dataset, np.array(position, float), np.array(orientation, float), np.array(spacing, float))
    index = grid.to_index(corners)
    nearest = int(np.rint(index[0, 0]))
    last = (grid.shape[1] - 1, grid.shape[2] - 1)
    expected = np.array([[nearest, 0, 0], [nearest, last[0], 0], [nearest, 0, last[1]]], float)
    fits = (dataset.Rows, dataset.Columns) == grid.shape[1:] and np.abs(index - expected).max() <= TOLERANCE_VOXELS
    if not fits or not 0 <= nearest < grid.shape[0]:
        raise InvalidGeometry("a frame of the segmentation lies on no slice of the image", hint=HINT, frame=frame + 1)
    return nearest


def _corners(
    dataset: Dataset, position: NDArray[np.float64], orientation: NDArray[np.float64], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """LPS millimetres of the first pixel, the last of its column, and the last of its row."""
    along_row, along_column = orientation[:3], orientation[3:]
    down = position + along_column * spacing[0] * (dataset.Rows - 1)
    right = position + along_row * spacing[1] * (dataset.Columns - 1)
    return np.stack([position, down, right])


def _segment_of(dataset: Dataset, frame: int, known: Collection[int]) -> int:
    number = frame_value(dataset, frame, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    if number is None and len(known) == 1:
        return next(iter(known))
    if number is None or int(number) not in known:
        raise RejectedInput("missing-attribute", "a frame of the segmentation names no segment", frame=frame + 1)
    return int(number)


def _code(item: Dataset) -> Code | None:
    types = item.get("SegmentedPropertyTypeCodeSequence")
    if not types or not types[0].get("CodeValue") or not types[0].get("CodingSchemeDesignator"):
        return None
    return Code(str(types[0].CodeValue), str(types[0].CodingSchemeDesignator), str(types[0].get("CodeMeaning", "")))
