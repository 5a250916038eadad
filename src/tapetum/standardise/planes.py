"""A DICOM header -> where each of its frames lies, when it was taken and how it was weighted.

In: the header of one object, single or multi-frame, standard or enhanced, or a Siemens mosaic.  Out: one `Plane` a
frame.  Definitions: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups), C.8.13.5.9 (diffusion).
Start reading at `planes_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import DA, DT, TM

from tapetum.formats import mosaic, vendor
from tapetum.formats.frames import frame_count, frame_value, group_item
from tapetum.standardise.greyrange import PROJECTIONS
from tapetum.standardise.stack import Plane

__all__ = ["number_of", "planes_of"]

Place = tuple[tuple[float, float, float], float] | None

MS = 1000.0
OF_SPACE = {
    Tag(keyword) for keyword in ("StackID", "InStackPositionNumber", "ImagePositionPatient", "ImageOrientationPatient")
}
KEPT_TIMES = ("TemporalPositionIdentifier", "AcquisitionNumber", "FrameReferenceTime")


def planes_of(header: Dataset, source: int) -> list[Plane]:
    """The frames of one object, or none when it is a projection, in colour, or one of its frames has no place.

    Parameters
    ----------
    header : without pixels. Standard attributes are added to it, see `tapetum.formats.vendor.add_standard`.
    source : a number of the caller's that stands in each plane.
    """
    if header.get("Modality") in PROJECTIONS or int(header.get("SamplesPerPixel", 1)) > 1:
        return []
    vendor.add_standard(header)
    if layout := mosaic.layout_of(header):
        places: list[Place] = [(layout.position(tile), layout.spacing_mm) for tile in range(layout.tiles)]
        shape = layout.shape
    else:
        places, shape = [None] * frame_count(header), (int(header.Rows), int(header.Columns))
    found = [_plane(header, source, frame, place, shape) for frame, place in enumerate(places)]
    return [] if None in found else [plane for plane in found if plane is not None]


def number_of(value: Any) -> float:
    """A header's value as a number; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _plane(header: Dataset, source: int, frame: int, place: Place, shape: tuple[int, int]) -> Plane | None:
    """``place`` holds the position and slice spacing of a mosaic's tile, or nothing."""
    position, between = place or (
        frame_value(header, frame, "PlanePositionSequence", "ImagePositionPatient"),
        frame_value(header, frame, "PixelMeasuresSequence", "SpacingBetweenSlices"),
    )
    orientation = frame_value(header, frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = frame_value(header, frame, "PixelMeasuresSequence", "PixelSpacing")
    lengths = [0 if value is None else len(value) for value in (position, orientation, spacing)]
    if lengths != [3, 6, 2]:
        return None
    x, y, z = map(float, position)
    a, b, c, d, e, f = map(float, orientation)
    clocks = _clocks(header, frame)
    b_value, b_vector = _diffusion(header, frame)
    return Plane(
        source,
        frame,
        (x, y, z),
        (a, b, c, d, e, f),
        (float(spacing[0]), float(spacing[1])),
        shape,
        frame_of_reference_uid=str(header.get("FrameOfReferenceUID") or ""),
        thickness_mm=number_of(frame_value(header, frame, "PixelMeasuresSequence", "SliceThickness")),
        between_mm=number_of(between),
        number=int(header.get("InstanceNumber") or 0),
        times=_times(header, frame, clocks, b_value),
        clocks=clocks,
        b_value=b_value,
        b_vector=b_vector,
    )


def _times(header: Dataset, frame: int, clocks: Mapping[str, float], b_value: float) -> dict[str, float]:
    found = {keyword: number_of(header.get(keyword)) for keyword in KEPT_TIMES}
    content = group_item(header, frame, "FrameContentSequence")
    if "TemporalPositionIndex" in content:
        found["TemporalPositionIdentifier"] = number_of(content.TemporalPositionIndex)
    found["TriggerTime"] = clocks.get("TriggerTime", float("nan"))
    found["AcquisitionTime"] = clocks.get("AcquisitionTime", float("nan"))
    found["EchoTime"] = number_of(header.get("EchoTime"))
    if effective := group_item(header, frame, "MREchoSequence").get("EffectiveEchoTime"):
        found["EchoTime"] = number_of(effective)
    found["DiffusionBValue"] = b_value
    found["DimensionIndexValues"] = _dimension(header, content)
    if np.isfinite(b_value):  # repeats of one weighting have no other name on some scanners
        found["DiffusionInstanceNumber"] = number_of(header.get("InstanceNumber")) + frame
    return {keyword: value for keyword, value in found.items() if np.isfinite(value)}


def _dimension(header: Dataset, content: Dataset) -> float:
    """The frame's indices along all dimensions that are not of space, as one number that orders as they do."""
    values = np.atleast_1d(content.get("DimensionIndexValues") or [])
    names = [item.get("DimensionIndexPointer") for item in header.get("DimensionIndexSequence") or []]
    if len(values) != len(names):
        return float("nan")
    kept = [int(value) for value, name in zip(values, names, strict=True) if name not in OF_SPACE]
    whole = 0
    for value in kept:
        whole = whole * (1 << 16) + value
    return float(whole) if kept and len(kept) <= 3 else float("nan")  # a double counts 48 bits exactly


def _clocks(header: Dataset, frame: int) -> dict[str, float]:
    """Seconds by each clock that the header knows."""
    content = group_item(header, frame, "FrameContentSequence")
    trigger = group_item(header, frame, "CardiacSynchronizationSequence").get("NominalCardiacTriggerDelayTime")
    offset = group_item(header, frame, "TemporalPositionSequence").get("TemporalPositionTimeOffset")
    found = {
        "TriggerTime": number_of(header.get("TriggerTime") if trigger is None else trigger) / MS,
        "FrameReferenceTime": number_of(header.get("FrameReferenceTime")) / MS,
        "TemporalPositionTimeOffset": number_of(offset),
        "AcquisitionTime": _first_moment(
            content.get("FrameReferenceDateTime"),
            content.get("FrameAcquisitionDateTime"),
            None if "PerFrameFunctionalGroupsSequence" in header else header.get("AcquisitionDateTime"),
            (header.get("AcquisitionDate") or header.get("StudyDate"), header.get("AcquisitionTime")),
        ),
        "ContentTime": _first_moment((header.get("ContentDate") or header.get("StudyDate"), header.get("ContentTime"))),
        "TemporalResolution": number_of(header.get("TemporalResolution")) / MS,
        "RepetitionTime": number_of(header.get("RepetitionTime")) / MS,
    }
    return {name: seconds for name, seconds in found.items() if np.isfinite(seconds)}


def _first_moment(*candidates: Any) -> float:
    """Seconds of the first that can be read: a date-time, or a pair of date and time. The date only orders midnight."""
    for candidate in candidates:
        try:
            if isinstance(candidate, tuple) and all(candidate):
                moment = datetime.combine(DA(candidate[0]), TM(candidate[1]))
            elif candidate and not isinstance(candidate, tuple):
                moment = DT(str(candidate)).replace(tzinfo=None)
            else:
                continue
        except (ValueError, TypeError, AttributeError):
            continue
        return (moment - datetime(1900, 1, 1)).total_seconds()
    return float("nan")


def _diffusion(header: Dataset, frame: int) -> tuple[float, tuple[float, float, float] | None]:
    item = group_item(header, frame, "MRDiffusionSequence")
    b_value = number_of(item.get("DiffusionBValue", header.get("DiffusionBValue")))
    gradients = item.get("DiffusionGradientDirectionSequence")
    direction = (gradients[0] if gradients else header).get("DiffusionGradientOrientation")
    vector = np.array(direction if direction is not None else [], float)
    length = float(np.linalg.norm(vector))
    if b_value == 0 or (np.isfinite(b_value) and (len(vector) != 3 or length < 0.5)):
        return b_value, (0.0, 0.0, 0.0)
    if len(vector) != 3 or not np.isfinite(length):
        return b_value, None
    x, y, z = (vector / length).tolist()
    return b_value, (x, y, z)
