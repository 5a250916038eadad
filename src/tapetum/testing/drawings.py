"""What was drawn on virtual patients: DICOM SEG and RTSTRUCT whose volumes are known. Start at `segmentation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.pixels.utils import pack_bits

from tapetum.model.geometry import Triple
from tapetum.testing.objects import new_object, set_pixels
from tapetum.testing.phantoms import shared_grid

__all__ = ["segmentation", "structure_set"]


def segmentation(
    series: Sequence[FileDataset],
    masks: dict[str, NDArray[Any]],
    *,
    fractional: bool = False,
    skip_empty: bool = True,
) -> FileDataset:
    """Draw segments on a series as one DICOM Segmentation (PS3.3 A.51).

    Parameters
    ----------
    series : what `dicom_series` made.
    masks : segment label to (z, y, x) mask; bool, or 0 to 1 with ``fractional``.
    fractional : PROBABILITY with a maximum of 255 instead of BINARY.
    skip_empty : leave out the frames in which a segment has no voxel, as most writers do.
    """
    first = series[0]
    dataset = _annotation("SEG", first, "1")
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    if fractional:
        dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = "PROBABILITY", 255
    dataset.SegmentSequence, groups, frames = [], [], []
    for number, (label, mask) in enumerate(masks.items(), 1):
        dataset.SegmentSequence.append(_segment(number, label))
        for image, plane in zip(series, mask, strict=True):
            if skip_empty and not plane.any():
                continue
            groups.append(_segment_frame(image, number))
            frames.append(np.rint(plane * 255).astype(np.uint8) if fractional else plane.astype(np.uint8))
    dataset.SharedFunctionalGroupsSequence = [shared_grid(first)]
    dataset.PerFrameFunctionalGroupsSequence = groups
    stack = np.stack(frames)
    set_pixels(dataset, stack, bits_stored=8 if fractional else 1)
    dataset.NumberOfFrames = str(len(frames))
    if not fractional:
        dataset.BitsAllocated = 1
        dataset.PixelData = pack_bits(stack)
        dataset.LossyImageCompression = "00"
    return dataset


def structure_set(
    series: Sequence[FileDataset],
    *,
    centre_mm: Triple,
    radii_mm: Triple,
    name: str = "GTV",
    hole_radii_mm: Triple | None = None,
    points: int = 180,
) -> FileDataset:
    """Outline an ellipsoid on a series as an RT Structure Set of closed planar contours.

    Parameters
    ----------
    series : what `dicom_series` made.
    centre_mm : LPS x, y, z of the ellipsoid's centre.
    radii_mm : half axes along the image's z, y and x direction.
    name : ROI Name.
    hole_radii_mm : half axes of an ellipsoid with the same centre that is cut out, as a second contour in a slice.
    points : of each contour.
    """
    dataset = _annotation("RTSTRUCT", series[0], name)
    dataset.StructureSetLabel = "VIRTUAL"
    reference = Dataset()
    reference.FrameOfReferenceUID = series[0].FrameOfReferenceUID
    dataset.ReferencedFrameOfReferenceSequence = [reference]
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = "1", name, "MANUAL"
    roi.ReferencedFrameOfReferenceUID = series[0].FrameOfReferenceUID
    dataset.StructureSetROISequence = [roi]
    item = Dataset()
    item.ReferencedROINumber = "1"
    item.ContourSequence = [
        contour
        for image in series
        for radii in (radii_mm, hole_radii_mm)
        if radii is not None and (contour := _ellipse_contour(image, np.array(centre_mm), radii, points)) is not None
    ]
    dataset.ROIContourSequence = [item]
    return dataset


def _annotation(kind: str, first: FileDataset, label: str) -> FileDataset:
    name, series = str(first.PatientName), f"{first.SeriesInstanceUID} {label}"
    dataset = new_object(kind, first.PatientID, name, modality=kind, study="1", series=series, instance="0")
    dataset.StudyInstanceUID = first.StudyInstanceUID
    reference = Dataset()
    reference.SeriesInstanceUID = first.SeriesInstanceUID
    dataset.ReferencedSeriesSequence = [reference]
    return dataset


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _segment(number: int, label: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, label, "MANUAL"
    item.SegmentedPropertyCategoryCodeSequence = [_code("49755003", "SCT", "Morphologically abnormal structure")]
    item.SegmentedPropertyTypeCodeSequence = [_code("52988006", "SCT", "Lesion")]
    return item


def _segment_frame(image: FileDataset, number: int) -> Dataset:
    frame, position, segment = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = image.ImagePositionPatient
    segment.ReferencedSegmentNumber = number
    frame.PlanePositionSequence, frame.SegmentIdentificationSequence = [position], [segment]
    return frame


def _ellipse_contour(image: FileDataset, centre: NDArray[np.float64], radii: Triple, points: int) -> Dataset | None:
    x_axis, y_axis = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(x_axis, y_axis)
    offset = float(normal @ (np.array(image.ImagePositionPatient, float) - centre))
    if abs(offset) >= radii[0]:
        return None
    scale = np.sqrt(1 - (offset / radii[0]) ** 2)
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    ring = scale * (radii[2] * np.cos(angle) * x_axis + radii[1] * np.sin(angle) * y_axis)
    contour, reference = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    contour.ContourImageSequence = [reference]
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", str(points)
    contour.ContourData = [f"{value:.4f}" for value in (centre + offset * normal + ring).ravel()]
    return contour
