"""An empty DICOM object with the identifiers that a hospital writes into it. Start reading at `new_object`."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

__all__ = ["decimal", "new_object", "set_pixels", "to_bytes", "uid"]

STORAGE = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}


def new_object(
    kind: str, patient_id: str, patient_name: str, *, modality: str, study: str, series: str, instance: str
) -> FileDataset:
    """An object of one kind (a key of ``STORAGE``, or a SOP Class UID), without pixels.

    Equal ``study``, ``series`` and ``instance`` names of one patient give equal UIDs.
    """
    storage = STORAGE.get(kind, kind)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(storage)
    meta.MediaStorageSOPInstanceUID = uid(patient_id, study, series, modality, instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid(patient_id, study)
    dataset.SeriesInstanceUID = uid(patient_id, study, series, modality)
    dataset.PatientID, dataset.PatientName, dataset.PatientSex = patient_id, patient_name, "F"
    dataset.PatientBirthDate, dataset.PatientAge = "19610314", "059Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20200607"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "101500"
    dataset.StudyID, dataset.AccessionNumber, dataset.SeriesNumber = "S1", "ACC-77", "1"
    dataset.InstitutionName, dataset.ReferringPhysicianName = "General Hospital", "House^Gregory"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Tapetum", "Virtual"
    dataset.Modality = modality
    return dataset


def set_pixels(
    dataset: FileDataset, array: NDArray[Any], *, bits_stored: int | None = None, photometric: str = "MONOCHROME2"
) -> None:
    """Describe and store the pixels of a (y, x) or (frames, y, x) array, as unpacked grey values."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.BitsAllocated = 8 * array.dtype.itemsize
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    data = array.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"


def to_bytes(dataset: FileDataset) -> bytes:
    """Write the dataset as a DICOM file (PS3.10)."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def uid(*names: str) -> UID:
    """The same UID for the same names."""
    return generate_uid(entropy_srcs=list(names))


def decimal(value: float) -> str:
    """A number as a DICOM decimal string."""
    # VR DS holds 16 characters.
    return f"{value:.9g}"
