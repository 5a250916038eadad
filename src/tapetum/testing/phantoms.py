"""Virtual patients: DICOM objects made of nothing, whose every voxel and outline is known.

In: what the patient, the grid and the lesion shall be.  Out: pydicom datasets with the identifiers that a hospital
writes into them.  UIDs follow from the arguments, so the same call makes the same bytes.  Start at `dicom_series`.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from tapetum.model.geometry import Triple

__all__ = [
    "dicom_series",
    "enhanced",
    "radiograph",
    "segmentation",
    "structure_set",
    "to_bytes",
    "virtual_volume",
]

AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
STORAGE = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
AIR, TISSUE, LESION = 0, 1064, 1164  # stored values; with the intercept of CT: -1024, 40 and 140 HU


def virtual_volume(
    shape: tuple[int, int, int], *, lesion_radius: float = 0.25, noise: float = 0.0, seed: int = 0
) -> NDArray[np.int16]:
    """Draw a body in air with a lesion in its middle.

    Parameters
    ----------
    shape : voxels along z, y, x.
    lesion_radius : of the sphere in the middle, as a part of each axis' half length.
    noise : standard deviation of Gaussian noise, in stored units.
    seed : of the noise.

    Returns
    -------
    (z, y, x) int16 stored values: air 0, body 1064, lesion 1164.
    """
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    volume = np.full(shape, AIR, np.float64)
    volume[(y / 0.8) ** 2 + (x / 0.9) ** 2 <= 1] = TISSUE
    volume[z**2 + y**2 + x**2 <= lesion_radius**2] = LESION
    if noise:
        volume += np.random.default_rng(seed).normal(0.0, noise, shape)
    return np.clip(np.rint(volume), 0, 4095).astype(np.int16)


def dicom_series(
    *,
    patient_id: str = "PAT-1",
    patient_name: str = "Doe^Jane",
    modality: str = "CT",
    slices: int = 8,
    rows: int = 32,
    columns: int = 32,
    spacing_mm: Triple = (2.5, 0.8, 0.8),
    origin_mm: Triple = (-12.0, -12.0, -10.0),
    direction: tuple[Triple, Triple, Triple] = AXIAL,
    volume: NDArray[Any] | None = None,
    slope: float = 1.0,
    intercept: float | None = None,
    study: str = "1",
    series: str = "1",
    noise: float = 0.0,
    seed: int = 0,
) -> list[FileDataset]:
    """Make one series of single-frame images.

    Parameters
    ----------
    patient_id, patient_name : direct identifiers, written as a hospital would.
    modality : CT, MR or PT.
    slices, rows, columns : voxels along z, y, x; taken from ``volume`` when that is given.
    spacing_mm : along z, y, x.
    origin_mm : LPS x, y, z of the centre of the first voxel.
    direction : LPS unit vectors along which the z, y and x index grow, as in `tapetum.model.Geometry`.
    volume : (z, y, x) stored values that fit int16; by default `virtual_volume`.
    slope, intercept : the rescale; the intercept is -1024 for CT and 0 otherwise.
    study, series : names from which the UIDs are made; equal names give equal UIDs.
    noise, seed : handed to `virtual_volume`.

    Returns
    -------
    Datasets in the order of z.
    """
    if volume is None:
        volume = virtual_volume((slices, rows, columns), noise=noise, seed=seed)
    intercept = (-1024.0 if modality == "CT" else 0.0) if intercept is None else intercept
    made = []
    for index, plane in enumerate(volume):
        dataset = _new(
            STORAGE[modality],
            patient_id,
            patient_name,
            modality=modality,
            study=study,
            series=series,
            instance=str(index),
        )
        position = np.array(origin_mm) + index * spacing_mm[0] * np.array(direction[0])
        dataset.InstanceNumber = str(index + 1)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.FrameOfReferenceUID = _uid(patient_id, study, "frame")
        dataset.PositionReferenceIndicator = ""
        dataset.ImagePositionPatient = [_ds(value) for value in position]
        dataset.ImageOrientationPatient = [_ds(value) for value in (*direction[2], *direction[1])]
        dataset.PixelSpacing = [_ds(spacing_mm[1]), _ds(spacing_mm[2])]
        dataset.SliceThickness = _ds(spacing_mm[0])
        if modality != "MR":
            dataset.RescaleSlope, dataset.RescaleIntercept = _ds(slope), _ds(intercept)
        if modality == "CT":
            dataset.RescaleType, dataset.KVP = "HU", "120"
        _set_pixels(dataset, plane.astype("<i2"))
        made.append(dataset)
    return made


def enhanced(series: Sequence[FileDataset]) -> FileDataset:
    """Put the single-frame images of one series into one enhanced multi-frame object (CT or MR), frames in reverse.

    The order is reversed because a reader must not trust it.
    """
    first = series[0]
    name, modality = str(first.PatientName), first.Modality
    dataset = _new(
        ENHANCED[modality],
        first.PatientID,
        name,
        modality=modality,
        study="x",
        series=first.SeriesInstanceUID,
        instance="0",
    )
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "ImageType"):
        setattr(dataset, keyword, first[keyword].value)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for image in reversed(series):
        frame, position, transform = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = image.ImagePositionPatient
        transform.RescaleSlope = image.get("RescaleSlope", "1")
        transform.RescaleIntercept = image.get("RescaleIntercept", "0")
        transform.RescaleType = "HU" if first.Modality == "CT" else "US"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [transform]
        groups.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = str(len(series))
    planes = [np.frombuffer(image.PixelData, "<i2").reshape(image.Rows, image.Columns) for image in reversed(series)]
    _set_pixels(dataset, np.stack(planes))
    return dataset


def radiograph(
    *,
    patient_id: str = "PAT-1",
    patient_name: str = "Doe^Jane",
    array: NDArray[np.uint16] | None = None,
    photometric: str = "MONOCHROME2",
    series: str = "xray",
) -> FileDataset:
    """Make one digital radiograph (DX) with 12 bits stored: a bright disc on a dark ground unless ``array`` is given.

    ``array`` is (y, x). With ``photometric`` MONOCHROME1 the smallest value is shown white.
    """
    if array is None:
        y, x = np.mgrid[-1:1:48j, -1:1:40j]
        array = np.where(y**2 + x**2 < 0.5, 3000, 200).astype(np.uint16)
    dataset = _new(STORAGE["DX"], patient_id, patient_name, modality="DX", study="1", series=series, instance="0")
    dataset.InstanceNumber = "1"
    dataset.ImagerPixelSpacing = ["0.2", "0.2"]
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    _set_pixels(dataset, array.astype("<u2"), bits_stored=12, photometric=photometric)
    return dataset


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
    dataset.SharedFunctionalGroupsSequence = [_shared_grid(first)]
    dataset.PerFrameFunctionalGroupsSequence = groups
    stack = np.stack(frames)
    _set_pixels(dataset, stack, bits_stored=8 if fractional else 1)
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


def to_bytes(dataset: FileDataset) -> bytes:
    """Write the dataset as a DICOM file (PS3.10)."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _uid(*names: str) -> UID:
    return generate_uid(entropy_srcs=list(names))


def _ds(value: float) -> str:
    # VR DS holds 16 characters.
    return f"{value:.9g}"


def _new(
    storage: str, patient_id: str, patient_name: str, *, modality: str, study: str, series: str, instance: str
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(storage)
    meta.MediaStorageSOPInstanceUID = _uid(patient_id, study, series, modality, instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = _uid(patient_id, study)
    dataset.SeriesInstanceUID = _uid(patient_id, study, series, modality)
    dataset.PatientID, dataset.PatientName, dataset.PatientSex = patient_id, patient_name, "F"
    dataset.PatientBirthDate, dataset.PatientAge = "19610314", "059Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20200607"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "101500"
    dataset.StudyID, dataset.AccessionNumber, dataset.SeriesNumber = "S1", "ACC-77", "1"
    dataset.InstitutionName, dataset.ReferringPhysicianName = "General Hospital", "House^Gregory"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Tapetum", "Virtual"
    dataset.Modality = modality
    return dataset


def _set_pixels(
    dataset: FileDataset, array: NDArray[Any], *, bits_stored: int | None = None, photometric: str = "MONOCHROME2"
) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.BitsAllocated = 8 * array.dtype.itemsize
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    data = array.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"


def _annotation(kind: str, first: FileDataset, label: str) -> FileDataset:
    name, series = str(first.PatientName), f"{first.SeriesInstanceUID} {label}"
    dataset = _new(STORAGE[kind], first.PatientID, name, modality=kind, study="1", series=series, instance="0")
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


def _shared_grid(first: FileDataset) -> Dataset:
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    return shared


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
