"""RT Structure Set: outlines -> masks on the grid of an image.

In: an RTSTRUCT dataset and the image's grid.  Out: one `Region` for each ROI.  Definition: DICOM PS3.3 C.8.8.5 and
C.8.8.6.  A voxel belongs when its centre lies inside an odd number of outlines, so an outline inside another is a hole.
Start reading at `read`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from tapetum.errors import InvalidGeometry
from tapetum.formats.damage import parsing
from tapetum.model import Geometry, Notice, Region

__all__ = ["inside", "read"]

CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
HALF_SLICE = 0.5
SAME_PLANE = 0.02  # slices: contours closer than this were drawn on one plane
HINT = "outline the structures on this image, or register both first"


def read(dataset: Dataset, grid: Geometry, *, sources: Collection[str] = ()) -> list[Region]:
    """Fill each ROI's closed planar contours, slice by slice.

    Contours are taken with all their decimals, and each goes to the slice nearest to it. Where several planes of
    contours are nearest to one slice, the closest plane is filled.

    Parameters
    ----------
    dataset : an RT Structure Set.
    grid : of the image.
    sources : SOP Instance UIDs of the image. A structure set that names one of them was drawn on it, also where no
        frame of reference says so.

    Returns
    -------
    One region for each ROI that has contours, labelled by ROI Name; where a name is there twice or empty, by name and
    ROI Number. Notices: contour-off-image, contour-not-planar, contour-not-closed, contour-between-slices,
    contour-gap, duplicate-contour, frame-by-structure-set, empty-region.

    Raises
    ------
    InvalidGeometry : an ROI was drawn in another or an unknown frame of reference.
    RejectedInput : unreadable.
    """
    with parsing("the structure set"):
        return _read(dataset, grid, sources)


def inside(polygon: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixel centres lie inside a closed polygon, by the even-odd rule.

    Parameters
    ----------
    polygon : (n, 2) vertices as fractional (y, x) indices; the last joins the first.
    shape : pixels along y, x.

    Returns
    -------
    (y, x) bool. Of two polygons that share an edge, each centre on it belongs to exactly one.

    Source: Shimrat, CACM 5(8):434, 1962 (algorithm 112), for all rows at once.
    """
    start, stop = polygon, np.roll(polygon, -1, axis=0)
    rows = np.arange(shape[0])[:, None]
    row, edge = np.nonzero((start[:, 0] <= rows) != (stop[:, 0] <= rows))
    rise = stop[edge] - start[edge]
    crossing = start[edge, 1] + (row - start[edge, 0]) * rise[:, 1] / rise[:, 0]
    first_beyond = np.clip(np.ceil(crossing), 0, shape[1]).astype(np.intp)
    crossings = np.zeros((shape[0], shape[1] + 1), np.int64)
    np.add.at(crossings, (row, first_beyond), 1)
    return np.asarray(crossings[:, :-1].cumsum(axis=1) % 2 == 1)


def _read(dataset: Dataset, grid: Geometry, sources: Collection[str]) -> list[Region]:
    rois = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence", [])}
    names = Counter(str(item.get("ROIName") or "") for item in rois.values())
    regions = []
    for item in dataset.get("ROIContourSequence", []):
        number = int(item.ReferencedROINumber)
        if number not in rois or not item.get("ContourSequence"):
            continue
        name = str(rois[number].get("ROIName") or "")
        notices = _check_space(dataset, rois[number], grid, sources)
        mask, found = _fill(item.ContourSequence, grid)
        regions.append(
            Region(
                mask,
                grid,
                name if name and names[name] == 1 else f"{name or 'ROI'} ({number})",
                source=str(dataset.get("SOPInstanceUID", "")),
                notices=(*notices, *found),
            )
        )
    return regions


def _check_space(dataset: Dataset, roi: Dataset, grid: Geometry, sources: Collection[str]) -> tuple[Notice, ...]:
    """Raise unless the ROI was drawn in the image's frame; a notice when only the structure set says so."""
    listed = {str(item.FrameOfReferenceUID) for item in dataset.get("ReferencedFrameOfReferenceSequence", [])}
    own = str(roi.get("ReferencedFrameOfReferenceUID") or "")
    if own and own == grid.frame_of_reference_uid:
        return ()
    if own not in listed and listed == {grid.frame_of_reference_uid} != {""}:
        text = "the ROI names a frame of reference that its structure set does not list; the listed one was taken"
        return (Notice("frame-by-structure-set", text),)
    named = (str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID")
    if not (own and grid.frame_of_reference_uid) and not set(sources).isdisjoint(named):
        return ()
    raise InvalidGeometry(
        "the structure set lies in another frame of reference",
        hint=HINT,
        frame=own or "unknown",
        image=grid.frame_of_reference_uid or "unknown",
    )


def _fill(contours: Sequence[Dataset], grid: Geometry) -> tuple[NDArray[np.bool_], list[Notice]]:
    planes, counts = _sort_contours(contours, grid)
    mask = np.zeros(grid.shape, bool)
    for index, polygons in planes.items():
        nearest = min((abs(at - index), at) for at, _ in polygons)[1]
        kept: list[NDArray[np.float64]] = []
        for at, polygon in polygons:
            if abs(at - nearest) > SAME_PLANE:
                counts["contour-between-slices"] += 1
            elif any(one.shape == polygon.shape and np.allclose(one, polygon, atol=1e-3) for one in kept):
                counts["duplicate-contour"] += 1  # filled twice it would vanish
            else:
                kept.append(polygon)
                mask[index] ^= inside(polygon, grid.shape[1:])
    if planes:
        counts["contour-gap"] = max(planes) - min(planes) + 1 - len(planes)
    counts["empty-region"] = int(not mask.any())
    return mask, [Notice(code, MEANINGS[code].format(count)) for code, count in counts.items() if count]


MEANINGS = {
    "contour-off-image": "{} contour(s) lie beyond the slices of the image",
    "contour-not-planar": "{} contour(s) are not parallel to the slices",
    "contour-not-closed": "{} contour(s) are points or open lines",
    "contour-between-slices": "{} contour(s) lie between slices and were left for closer ones",
    "contour-gap": "{} slice(s) within the structure have no contour",
    "duplicate-contour": "{} contour(s) were drawn twice",
    "empty-region": "no voxel centre lies inside the structure",
}


def _sort_contours(
    contours: Sequence[Dataset], grid: Geometry
) -> tuple[dict[int, list[tuple[float, NDArray[np.float64]]]], Counter[str]]:
    """Usable contours by slice, each with its exact slice coordinate and its (y, x) vertices; and what was not."""
    planes: dict[int, list[tuple[float, NDArray[np.float64]]]] = {}
    counts: Counter[str] = Counter()
    for contour in contours:
        points = _points(contour)
        if str(contour.get("ContourGeometricType")) not in CLOSED or len(points) < 3:
            counts["contour-not-closed"] += 1
            continue
        index = grid.to_index(points)
        at = float(index[:, 0].mean())
        nearest = int(np.rint(at))
        if np.ptp(index[:, 0]) > HALF_SLICE and grid.shape[0] > 1:
            counts["contour-not-planar"] += 1
        elif not 0 <= nearest < grid.shape[0]:
            counts["contour-off-image"] += 1
        else:
            planes.setdefault(nearest, []).append((at, index[:, 1:]))
    return planes, counts


def _points(contour: Dataset) -> NDArray[np.float64]:
    """(n, 3) LPS millimetres of Contour Data (3006,0050)."""
    element = contour.get_item("ContourData")
    if isinstance(element, RawDataElement) and element.value:
        # 20 times faster than one pydicom object for each number.
        numbers = np.array(element.value.replace(b"\0", b"").split(b"\\"), np.float64)
    else:
        numbers = np.array(contour.get("ContourData") or [], np.float64)
    return numbers[: numbers.size // 3 * 3].reshape(-1, 3)
