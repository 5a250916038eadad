"""Slices -> one even grid: which belong together, in which order, how far apart.

In: the place of every frame of a series.  Out: the order, the geometry, and what was noticed.  Distances come from
Image Position (Patient), never from Slice Thickness (DICOM PS3.3 C.7.6.2.1.1).  Start reading at `arrange`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tapetum.errors import InvalidGeometry
from tapetum.model import Geometry, Notice

__all__ = ["Plane", "Stack", "arrange", "fill"]

SAME_COSINE = 0.01  # direction cosines: half a degree
SAME_PLACE_MM = 0.01
EVEN = 0.02  # of the spacing: less is rounding in the header
TILTED_PIXELS = 0.5  # a smaller drift of the slices is rounding as well
AGREES = 0.01  # of the spacing
MOST_GROWTH = 4  # a grid of more slices than so many times those that were taken is not a volume
TIMES = (
    "TemporalPositionIdentifier",
    "TriggerTime",
    "FrameReferenceTime",
    "DiffusionBValue",
    "EchoTime",
    "DimensionIndexValues",
    "AcquisitionNumber",
    "AcquisitionTime",
    "DiffusionInstanceNumber",
)


@dataclass(frozen=True, slots=True)
class Plane:
    """The place of one frame. LPS, millimetres.

    ``source`` and ``frame`` say where its pixels are; ``orientation`` is Image Orientation (Patient), ``spacing_mm``
    between rows, then between columns; ``thickness_mm`` and ``between_mm`` are what the header claims, NaN if nothing;
    ``times`` holds what may tell frames at one place apart, ``clocks`` the seconds of each clock that is known,
    ``b_value`` (s/mm2, NaN if unknown) and ``b_vector`` (LPS) the diffusion weighting.
    """

    source: int
    frame: int
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    frame_of_reference_uid: str = ""
    thickness_mm: float = float("nan")
    between_mm: float = float("nan")
    number: int = 0
    times: Mapping[str, float] = field(default_factory=dict)
    clocks: Mapping[str, float] = field(default_factory=dict)
    b_value: float = float("nan")
    b_vector: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames in order, and the grid they fill.

    ``planes`` is a list of time points, each a list of planes along z. ``geometry`` is even and rectangular.
    ``positions`` are the planes' coordinates along z, in slices of that grid; ``shifts`` their (y, x) pixel offsets;
    ``told_apart_by`` is the attribute that made the time points, empty when there is one.
    """

    planes: list[list[Plane]]
    geometry: Geometry
    positions: NDArray[np.float64]
    shifts: NDArray[np.float64]
    notices: tuple[Notice, ...]
    told_apart_by: str = ""


def arrange(planes: Sequence[Plane]) -> Stack:
    """Sort the frames of one series into a stack.

    The largest group of frames with one orientation, size and frame of reference is kept. Frames at one place become
    time points when every place has as many and the header tells them apart; otherwise the first is kept.

    Parameters
    ----------
    planes : at least one, in any order.

    Raises
    ------
    InvalidGeometry : rows and columns that are not perpendicular; slices scattered too far for one volume.

    Notices: mixed-orientation, mixed-shape, mixed-frame, duplicate-slice, repeated-positions, single-slice,
    missing-slice, uneven-spacing, gantry-tilt, spacing-disagrees.
    """
    notices: list[Notice] = []
    ordered = sorted(planes, key=lambda plane: (plane.number, plane.source, plane.frame))
    ordered = _largest(ordered, _orientation_groups(ordered), "mixed-orientation", "directions", notices)
    ordered = _largest(ordered, lambda plane: (plane.shape, _round(plane.spacing_mm)), "mixed-shape", "sizes", notices)
    ordered = _largest(
        ordered, lambda plane: plane.frame_of_reference_uid, "mixed-frame", "frames of reference", notices
    )
    times, heights, keyword = _by_place(ordered, notices)
    first = times[0][0]
    spacing, positions = _spacing(first, heights, notices)
    origin, extent, shifts = _upright(times[0], notices)
    depth = int(np.floor(positions[-1] + EVEN)) + 1
    row, column, normal = _axes(first)
    geometry = Geometry(
        (depth, *extent),
        (spacing, *first.spacing_mm),
        _triple(origin),
        (_triple(normal), _triple(column), _triple(row)),
        first.frame_of_reference_uid,
    )
    return Stack(times, geometry, positions, shifts, tuple(notices), keyword)


def fill(stack: Stack, slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put slices on the stack's grid.

    Parameters
    ----------
    stack : of `arrange`.
    slices : (z, y, x) of one time point, in the order of its planes.

    Returns
    -------
    (z, y, x) of ``stack.geometry.shape``: the same array when the slices lie on the grid already. Tilted slices are
    shifted in their plane, missing and uneven ones interpolated, both linearly; beyond their edge the lowest value of
    the volume stands.
    """
    if stack.shifts.any() or slices.shape[1:] != stack.geometry.shape[1:]:
        lowest, (rows, columns) = slices.min(), stack.geometry.shape[1:]
        grown = np.full((len(slices), rows, columns), lowest, np.float32)
        grown[:, : slices.shape[1], : slices.shape[2]] = slices
        moved = [
            ndimage.shift(one, shift, order=1, cval=lowest) for one, shift in zip(grown, stack.shifts, strict=True)
        ]
        slices = np.stack(moved)
    targets = np.arange(stack.geometry.shape[0])
    if len(targets) == len(stack.positions) and np.abs(stack.positions - targets).max() <= EVEN:
        return slices
    above = np.clip(np.searchsorted(stack.positions, targets), 1, len(slices) - 1)
    low, high = stack.positions[above - 1], stack.positions[above]
    weight = np.clip((targets - low) / (high - low), 0.0, 1.0)
    # A slice that lies on the grid stays as it is, to the last bit.
    weight = np.where(np.abs(targets - low) <= EVEN, 0.0, np.where(np.abs(high - targets) <= EVEN, 1.0, weight))
    mixed = weight.astype(np.float32)[:, None, None]
    return np.asarray(slices[above - 1] * (1 - mixed) + slices[above] * mixed, np.float32)


def _largest(
    planes: list[Plane], key: Callable[[Plane], Hashable], code: str, what: str, notices: list[Notice]
) -> list[Plane]:
    groups: dict[Hashable, list[Plane]] = {}
    for plane in planes:
        groups.setdefault(key(plane), []).append(plane)
    kept = max(groups.values(), key=len)
    if len(groups) > 1:
        text = f"{len(planes)} images have {len(groups)} {what}; the largest group of {len(kept)} was kept"
        notices.append(Notice(code, text))
    return kept


def _orientation_groups(planes: Sequence[Plane]) -> Callable[[Plane], int]:
    found: list[NDArray[np.float64]] = []
    member: dict[tuple[float, ...], int] = {}
    for plane in planes:
        if plane.orientation not in member:
            own = np.array(plane.orientation)
            near = [at for at, other in enumerate(found) if np.abs(own - other).max() <= SAME_COSINE]
            member[plane.orientation] = near[0] if near else len(found)
            if not near:
                found.append(own)
    return lambda plane: member[plane.orientation]


def _by_place(planes: list[Plane], notices: list[Notice]) -> tuple[list[list[Plane]], NDArray[np.float64], str]:
    """Time points of planes along the normal, the planes' heights along it in mm, and what told the points apart."""
    normal = _axes(planes[0])[2]
    height = {id(plane): float(normal @ np.array(plane.position)) for plane in planes}
    ordered = sorted(planes, key=lambda plane: height[id(plane)])
    places: list[list[Plane]] = []
    for plane in ordered:
        if places and height[id(plane)] - height[id(places[-1][0])] <= SAME_PLACE_MM:
            places[-1].append(plane)
        else:
            places.append([plane])
    heights = np.array([height[id(place[0])] for place in places])
    repeats = len(places[0])
    if len(ordered) == len(places):
        return [ordered], heights, ""
    keyword = _what_tells_apart(places, repeats)
    if keyword:
        text = f"each of {len(places)} places was imaged {repeats} times, told apart by {keyword}"
        notices.append(Notice("repeated-positions", text))
        sorted_places = [sorted(place, key=lambda plane: plane.times[keyword]) for place in places]
        return [list(moment) for moment in zip(*sorted_places, strict=True)], heights, keyword
    text = f"{len(ordered) - len(places)} image(s) lie where another one lies already; the first was kept"
    notices.append(Notice("duplicate-slice", text))
    # sorted() is stable, so the first of a place is the one with the lowest Instance Number.
    return [[place[0] for place in places]], heights, ""


def _what_tells_apart(places: list[list[Plane]], repeats: int) -> str:
    if any(len(place) != repeats for place in places):
        return ""
    for keyword in TIMES:
        values = [{plane.times[keyword] for plane in place if keyword in plane.times} for place in places]
        if all(len(distinct) == repeats for distinct in values):
            return keyword
    return ""


def _spacing(first: Plane, heights: NDArray[np.float64], notices: list[Notice]) -> tuple[float, NDArray[np.float64]]:
    """The grid's slice spacing in mm and the slices' coordinates on it."""
    if len(heights) == 1:
        claimed = [value for value in (first.between_mm, first.thickness_mm) if value > 0]
        source = "taken from the header" if claimed else "unknown and taken as 1 mm"
        notices.append(Notice("single-slice", f"one slice has no spacing from positions; its depth is {source}"))
        return (claimed[0] if claimed else 1.0), np.zeros(1)
    gaps = np.diff(heights)
    typical = median(gaps.tolist())
    steps = np.rint(gaps / typical)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    spacing = float((heights[-1] - heights[0]) / along[-1]) if along[-1] else typical
    positions = (heights - heights[0]) / spacing
    if steps.min() < 1 or np.abs(gaps - steps * spacing).max() > max(EVEN * spacing, SAME_PLACE_MM):
        text = f"gaps between slices go from {gaps.min():.3f} to {gaps.max():.3f} mm; resampled to {typical:.3f} mm"
        notices.append(Notice("uneven-spacing", text))
        spacing, positions = typical, (heights - heights[0]) / typical
    elif steps.max() > 1:
        missing = int(steps.sum() - len(steps))
        after = ", ".join(str(at + 1) for at in np.flatnonzero(steps > 1)[:10])
        text = f"{missing} slice(s) missing after slice {after}; filled by linear interpolation"
        notices.append(Notice("missing-slice", text))
        positions = along
    else:
        positions = along
    if positions[-1] + 1 > MOST_GROWTH * len(heights):
        raise InvalidGeometry(
            "the slices lie too far apart for one volume", hint="separate the series", slices=len(heights)
        )
    _compare(first, spacing, notices)
    return spacing, positions


def _compare(first: Plane, spacing: float, notices: list[Notice]) -> None:
    """Say when the header claims another spacing. Slice Thickness is asked only where nothing else is claimed."""
    name, claimed = ("SpacingBetweenSlices", first.between_mm)
    if not np.isfinite(claimed):
        name, claimed = ("SliceThickness", first.thickness_mm)
    if np.isfinite(claimed) and abs(abs(claimed) - spacing) > AGREES * spacing:
        text = f"{name} says {claimed:g} mm, the positions say {spacing:.4g} mm; the positions were taken"
        notices.append(Notice("spacing-disagrees", text))


def _upright(
    planes: list[Plane], notices: list[Notice]
) -> tuple[NDArray[np.float64], tuple[int, int], NDArray[np.float64]]:
    """Origin in LPS, size (y, x) and each plane's (y, x) shift in pixels on a grid that stands upright."""
    first = planes[0]
    row, column, normal = _axes(first)
    origin = np.array(first.position)
    drift = np.array([plane.position for plane in planes]) - origin
    pixels = np.stack([drift @ column / first.spacing_mm[0], drift @ row / first.spacing_mm[1]], axis=1)
    if np.abs(pixels).max() <= TILTED_PIXELS:
        return origin, first.shape, np.zeros_like(pixels)
    sideways = np.hypot(drift[-1] @ column, drift[-1] @ row)
    angle = np.degrees(np.arctan2(sideways, drift[-1] @ normal))
    notices.append(Notice("gantry-tilt", f"slices drift sideways ({angle:.1f} degrees); shifted back onto one grid"))
    low, high = np.floor(pixels.min(axis=0)), np.ceil(pixels.max(axis=0))
    grown = (int(first.shape[0] + high[0] - low[0]), int(first.shape[1] + high[1] - low[1]))
    if grown[0] > MOST_GROWTH * first.shape[0] or grown[1] > MOST_GROWTH * first.shape[1]:
        raise InvalidGeometry("the slices lie too far apart for one volume", hint="separate the series", grid=grown)
    origin = origin + low[0] * first.spacing_mm[0] * column + low[1] * first.spacing_mm[1] * row
    return origin, grown, pixels - low


def _axes(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    row, column = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or not np.isfinite(lengths).all():
        raise InvalidGeometry("Image Orientation (Patient) holds no directions", hint="reject the series")
    row, column = row / lengths[0], column / lengths[1]
    return row, column, np.cross(row, column)


def _round(values: tuple[float, float]) -> tuple[float, float]:
    return round(values[0], 4), round(values[1], 4)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
