"""An `Image` that came from no DICOM object -> DICOM objects that any archive takes.

In: a volume or a picture, and whose it is.  Out: CT Image Storage for Hounsfield units and MR Image Storage for MR, one
object a slice, where the values are whole numbers of 16 bits; a Parametric Map a time point for everything else that
has a place (float32, with its unit); Secondary Capture for pictures.  Definitions: DICOM PS3.3 A.3, A.4, A.8, A.75.
Start reading at `objects_of`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from tapetum.errors import InvalidGeometry
from tapetum.formats.parametric_map import PARAMETRIC_MAP
from tapetum.model import Geometry, Image

__all__ = ["Owner", "objects_of"]

STORAGE = "1.2.840.10008.5.1.4.1.1."
CT, MR, CAPTURE = STORAGE + "2", STORAGE + "4", STORAGE + "7"
HOUNSFIELD = "[hnsf'U]"
MAKER = "tapetum"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose image it is, by the keys of the catalogue. ``study_date`` is YYYYMMDD, ``sex`` M, F, O or empty."""

    patient_key: str
    study_instance_uid: str
    series_instance_uid: str
    study_date: str = ""
    sex: str = ""


def objects_of(image: Image, owner: Owner, *, version: str) -> Iterator[FileDataset]:
    """Make the objects of one image, one at a time. Equal images of equal owners give equal objects.

    Parameters
    ----------
    image : any axes but films of grey values or colour.
    owner : written into each object.
    version : of this software, for Software Versions.

    Raises
    ------
    InvalidGeometry : a film without a place in the patient.
    """
    if image.axes in ("yx", "yxc"):
        yield _capture(image, owner)
    elif image.geometry is None or image.axes == "tyxc":
        raise InvalidGeometry("a film without a place in the patient", hint="export the original objects as dicom")
    elif image.exact_dtype.kind == "i" and (image.modality == "MR" or image.quantity.unit == HOUNSFIELD):
        yield from _slices(image, image.geometry, owner)
    else:
        yield from _maps(image, image.geometry, owner, version)


def _new(storage: str, image: Image, owner: Owner, number: int) -> FileDataset:
    """What every object says of patient, study, series, equipment and itself."""
    digest = sha256(f"{owner.series_instance_uid} {storage} {number}".encode()).digest()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(storage), ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{int.from_bytes(digest[:16])}")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientID = made.PatientName = owner.patient_key
    made.PatientBirthDate, made.PatientSex = "", owner.sex
    made.StudyInstanceUID, made.SeriesInstanceUID = owner.study_instance_uid, owner.series_instance_uid
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = owner.study_date, "000000", "1", ""
    made.ReferringPhysicianName, made.Laterality = "", ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = image.modality or "OT", "1", str(number)
    made.Manufacturer = MAKER
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    return made


def _set_pixels(made: FileDataset, pixels: NDArray[Any]) -> None:
    made.Rows, made.Columns = pixels.shape[:2]
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"))).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB" if made.BitsAllocated == 8 else "OW"


def _capture(image: Image, owner: Owner) -> FileDataset:
    """A picture as Secondary Capture: RGB, or grey values as whole numbers from 0 to 65535 with their rescale."""
    made = _new(CAPTURE, image, owner, 1)
    made.ConversionType, made.PatientOrientation = "WSD", ""
    if image.axes == "yxc":
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
        _set_pixels(made, image.array)
        return made
    low, high = float(image.array.min()), float(image.array.max())
    whole = image.exact_dtype.kind == "i" and low >= 0
    slope = 1.0 if whole or high == low else (high - low) / 65535
    intercept = 0.0 if whole else low
    _set_pixels(made, np.rint((image.array.astype(np.float64) - intercept) / slope).astype(np.uint16))
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = _decimal(intercept), _decimal(slope), "US"
    return made


def _slices(image: Image, geometry: Geometry, owner: Owner) -> Iterator[FileDataset]:
    ct = image.quantity.unit == HOUNSFIELD
    volumes = image.array if image.axes == "tzyx" else image.array[None]
    for point, volume in enumerate(volumes):
        for depth, pixels in enumerate(volume):
            made = _new(CT if ct else MR, image, owner, point * len(volume) + depth + 1)
            made.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if ct else "OTHER"]
            _place(made, geometry, depth, owner)
            _set_pixels(made, pixels.astype(np.int16))
            if ct:
                made.KVP, made.AcquisitionNumber = "", str(point + 1)
                made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "0", "1", "HU"
            else:
                made.ScanningSequence, made.SequenceVariant, made.ScanOptions = "RM", "NONE", ""
                made.MRAcquisitionType, made.EchoTime, made.EchoTrainLength = "3D", "", ""
                made.RepetitionTime = ""
            _time(made, image, point, len(volumes), owner)
            yield made


def _place(made: Dataset, geometry: Geometry, depth: int, owner: Owner) -> None:
    made.FrameOfReferenceUID = geometry.frame_of_reference_uid or _frame_of(owner)
    made.PositionReferenceIndicator, made.PatientPosition = "", ""
    made.ImagePositionPatient = [_decimal(value) for value in geometry.to_patient([depth, 0, 0])]
    made.ImageOrientationPatient = [_decimal(value) for value in (*geometry.direction[2], *geometry.direction[1])]
    made.PixelSpacing = [_decimal(value) for value in geometry.spacing_mm[1:]]
    made.SliceThickness = _decimal(geometry.spacing_mm[0])
    made.SpacingBetweenSlices = _decimal(geometry.spacing_mm[0])


def _frame_of(owner: Owner) -> str:
    return f"2.25.{int.from_bytes(sha256(f'frame {owner.series_instance_uid}'.encode()).digest()[:16])}"


def _time(made: Dataset, image: Image, point: int, points: int, owner: Owner) -> None:
    """Time point, seconds as a clock that starts at midnight, and diffusion weighting."""
    if points > 1:
        made.TemporalPositionIdentifier, made.NumberOfTemporalPositions = str(point + 1), str(points)
    if image.times_s:
        seconds = image.times_s[point]
        made.AcquisitionDate = owner.study_date
        made.AcquisitionTime = f"{int(seconds // 3600):02d}{int(seconds % 3600 // 60):02d}{seconds % 60:09.6f}"
    if image.b_values and np.isfinite(image.b_values[point]):
        made.DiffusionBValue = image.b_values[point]
        if image.b_vectors:
            made.DiffusionGradientOrientation = list(image.b_vectors[point])


def _maps(image: Image, geometry: Geometry, owner: Owner, version: str) -> Iterator[FileDataset]:
    volumes = image.array if image.axes == "tzyx" else image.array[None]
    for point, volume in enumerate(volumes):
        made = _new(PARAMETRIC_MAP, image, owner, point + 1)
        del made.Laterality  # the frames say it
        made.ManufacturerModelName, made.SoftwareVersions, made.DeviceSerialNumber = MAKER, version, "0"
        made.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
        made.ContentDate, made.ContentTime = owner.study_date or "19000101", "000000"
        made.ContentLabel, made.ContentDescription, made.ContentCreatorName = "VOLUME", image.quantity.name[:64], ""
        made.ContentQualification, made.LossyImageCompression = "RESEARCH", "00"
        made.BurnedInAnnotation, made.RecognizableVisualFeatures = "NO", "YES"
        made.PresentationLUTShape, made.AcquisitionContextSequence = "IDENTITY", []
        made.FrameOfReferenceUID = geometry.frame_of_reference_uid or _frame_of(owner)
        made.PositionReferenceIndicator = ""
        made.Rows, made.Columns, made.BitsAllocated = volume.shape[1], volume.shape[2], 32
        made.NumberOfFrames = str(len(volume))
        made.FloatPixelData = np.ascontiguousarray(volume, "<f4").tobytes()
        _time(made, image, point, len(volumes), owner)
        _dimensions(made)
        made.SharedFunctionalGroupsSequence = [_shared(image, geometry)]
        made.PerFrameFunctionalGroupsSequence = [_frame(geometry, depth) for depth in range(len(volume))]
        yield made


def _dimensions(made: Dataset) -> None:
    organisation = Dataset()
    organisation.DimensionOrganizationUID = UID(f"{made.SOPInstanceUID}.1")
    made.DimensionOrganizationSequence = [organisation]
    index = Dataset()
    index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
    index.DimensionIndexPointer = Tag("ImagePositionPatient")
    index.FunctionalGroupPointer = Tag("PlanePositionSequence")
    index.DimensionDescriptionLabel = "slice"
    made.DimensionIndexSequence = [index]


def _shared(image: Image, geometry: Geometry) -> Dataset:
    measures, orientation, identity, kind, mapping, anatomy = (Dataset() for _ in range(6))
    measures.PixelSpacing = [_decimal(value) for value in geometry.spacing_mm[1:]]
    measures.SliceThickness = measures.SpacingBetweenSlices = _decimal(geometry.spacing_mm[0])
    orientation.ImageOrientationPatient = [_decimal(v) for v in (*geometry.direction[2], *geometry.direction[1])]
    identity.RescaleIntercept, identity.RescaleSlope, identity.RescaleType = "0", "1", "US"
    kind.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    mapping.LUTExplanation, mapping.LUTLabel = image.quantity.name[:64], "VALUE"
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1.0
    mapping.DoubleFloatRealWorldValueFirstValueMapped = float(image.array.min())
    mapping.DoubleFloatRealWorldValueLastValueMapped = float(image.array.max())
    mapping.MeasurementUnitsCodeSequence = [_code(image.quantity.unit, "UCUM", image.quantity.unit)]
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [_code("38266002", "SCT", "Entire body")]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence, shared.ParametricMapFrameTypeSequence = [identity], [kind]
    shared.RealWorldValueMappingSequence, shared.FrameAnatomySequence = [mapping], [anatomy]
    return shared


def _frame(geometry: Geometry, depth: int) -> Dataset:
    content, position, frame = Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [depth + 1]
    position.ImagePositionPatient = [_decimal(value) for value in geometry.to_patient([depth, 0, 0])]
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
    return frame


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _decimal(value: float) -> str:
    """A number in the 16 characters of a decimal string, with all the digits that fit."""
    for digits in range(16, 0, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError("a number that no decimal string holds")
