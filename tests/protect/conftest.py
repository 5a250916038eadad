"""One CT slice with the patient's, the staff's and the hospital's words planted wherever a hospital writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

import pydicom
import pytest
from pydicom import Dataset, FileDataset
from pydicom.dataset import PrivateBlock
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

from tapetum.testing import dicom_series

# The patient's own words: wherever they stand, they must go.
OWN = ("Quillfeather", "Zebedee", "MRN7734512", "7734512", "19331224", "1933-12-24", "ACC5566778", "羽毛小明", "小明")
STAFF = ("Hackenbush", "Groucho", "Strangelove")
TOP_LEVEL = {
    "OtherPatientIDs": "7734512",
    "OtherPatientNames": "Feather^Zeb",
    "PatientBirthName": "Maiden^Zebedee",
    "PatientMotherBirthName": "Mother^Quillfeather",
    "PatientBirthTime": "LEAK01",
    "PatientAddress": "LEAK02 Street 9",
    "PatientTelephoneNumbers": "LEAK03 555-7734",
    "PatientTelecomInformation": "LEAK04@example.org",
    "PatientComments": "LEAK05 has a moustache",
    "PatientReligiousPreference": "LEAK06",
    "PatientInsurancePlanCodeSequence": "",
    "EthnicGroup": "LEAK07",
    "Occupation": "LEAK08",
    "MilitaryRank": "LEAK09",
    "BranchOfService": "LEAK10",
    "MedicalRecordLocator": "LEAK11",
    "AdditionalPatientHistory": "LEAK12 Quillfeather",
    "PatientState": "LEAK13",
    "AdmissionID": "LEAK14",
    "IssuerOfPatientID": "LEAK15",
    "CurrentPatientLocation": "LEAK16",
    "PatientInstitutionResidence": "LEAK17",
    "RegionOfResidence": "LEAK18",
    "CountryOfResidence": "LEAK19",
    "ResponsiblePerson": "Guardian^Quillfeather",
    "ResponsibleOrganization": "LEAK20",
    "AccessionNumber": "ACC5566778",
    "StudyID": "LEAK21",
    "ReferringPhysicianName": "Hackenbush^Hugo",
    "ReferringPhysicianAddress": "LEAK22",
    "ReferringPhysicianTelephoneNumbers": "LEAK23",
    "PhysiciansOfRecord": "Strangelove^Doctor",
    "PerformingPhysicianName": "Groucho^Performing",
    "NameOfPhysiciansReadingStudy": "Hackenbush^Reading",
    "OperatorsName": "Groucho^Operating",
    "InstitutionName": "LEAK24 Hospital",
    "InstitutionAddress": "LEAK25",
    "InstitutionalDepartmentName": "LEAK26",
    "StationName": "LEAK27",
    "DeviceSerialNumber": "LEAK28",
    "PlateID": "LEAK29",
    "CassetteID": "LEAK30",
    "GantryID": "LEAK31",
    "DetectorID": "LEAK32",
    "AcquisitionComments": "LEAK33",
    "ImageComments": "LEAK34 Zebedee",
    "FrameComments": "LEAK35",
    "StudyComments": "LEAK36",
    "RequestingPhysician": "Strangelove^Requesting",
    "RequestingService": "LEAK37",
    "RequestedProcedureDescription": "LEAK38",
    "RequestedProcedureID": "LEAK39",
    "ScheduledProcedureStepID": "LEAK40",
    "PerformedProcedureStepID": "LEAK41",
    "PerformedProcedureStepDescription": "LEAK42",
    "PerformedStationAETitle": "LEAK43",
    "PerformedLocation": "LEAK44",
    "ReasonForStudy": "LEAK45",
    "InterpretationText": "LEAK46",
    "InterpretationRecorder": "Groucho^Recorder",
    "TextValue": "LEAK47",
    "VisitComments": "LEAK48",
    "SpecialNeeds": "LEAK49",
    "ContentCreatorName": "Groucho^Creator",
    "ContentDescription": "LEAK50",
    "RetrieveAETitle": "LEAK51",
    "DigitalSignatureDateTime": "LEAK52",
    "Allergies": "LEAK53",
    "MedicalAlerts": "LEAK54",
    # Descriptions and terms that pass, unless one of the patient's words is in them.
    "StudyDescription": "CT of Zebedee Quillfeather",
    "SeriesDescription": "QUILLFEATHERS HEAD",
    "ProtocolName": "zebedee_quillfeather",
    "DerivationDescription": "for 1933-12-24",
    "BodyPartExamined": "QUILLFEATHER",
    "SequenceName": "7734512",
    "SoftwareVersions": "MRN7734512",
    "ImageType": ["ORIGINAL", "PRIMARY", "ZEBEDEE"],
    "AcquisitionNumber": "7734512",
    "SeriesNumber": "19331224",
    "WindowCenter": "7734512",
    "AcquisitionTime": "Zebedee",
    "SeriesTime": "101500 LEAK55",
    "AcquisitionDateTime": "20200607101500 LEAK56",
    "FrameReferenceDateTime": "20200607Zebedee",
    "ContrastBolusAgent": "小明 120 ml",
    "ConvolutionKernel": "Ｑuillfeather",
}


@dataclass(frozen=True)
class Planted:
    """An object as it arrives, its words, and in how many places they stand."""

    data: bytes
    words: tuple[str, ...]
    places: int
    pixels: bytes
    header: FileDataset = field(repr=False)


@pytest.fixture(scope="session")
def planted() -> Planted:
    """The object, written by a sender that leaves words in every corner of the file."""
    dataset = dicom_series(patient_id="MRN7734512", patient_name="Quillfeather^Zebedee=羽毛^小明", rows=16, columns=16)[
        0
    ]
    dataset.PatientBirthDate, dataset.PatientAge = "19331224", "097Y"
    dataset.Rows = 16
    for keyword, value in TOP_LEVEL.items():
        if value:
            setattr(dataset, keyword, value)
    places = 4 + sum(bool(value) for value in TOP_LEVEL.values())
    for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, uid, f"1.2.826.7734512.{len(uid)}")
    dataset.IrradiationEventUID = "1.2.840.10008.7734512.19331224"  # not registered, though under DICOM's root
    places += 5 + _plant_sequences(dataset) + _plant_odd_groups(dataset)
    data, extra = _written(dataset)
    words = (*OWN, *STAFF, "LEAK", "Feather^Zeb", "Maiden", "Guardian")
    return Planted(data, words, places + extra, bytes(dataset.PixelData), dataset)


def _plant_sequences(dataset: Dataset) -> int:
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID = "7734512", "LEAK60"
    dataset.OtherPatientIDsSequence = [other]
    request = Dataset()
    request.RequestedProcedureDescription, request.AccessionNumber = "LEAK61", "ACC5566778"
    request.RequestedProcedureID, request.ReasonForTheRequestedProcedure = "LEAK62", "LEAK63"
    dataset.RequestAttributesSequence = [request]
    modified = Dataset()
    modified.PatientName, modified.PatientID = "Quillfeather^Z", "MRN7734512"
    original = Dataset()
    original.ModifiedAttributesSequence, original.ModifyingSystem = [modified], "LEAK64"
    dataset.OriginalAttributesSequence = [original]
    equipment = Dataset()
    equipment.InstitutionName, equipment.OperatorsName, equipment.DeviceSerialNumber = "LEAK65", "Groucho^X", "LEAK66"
    dataset.ContributingEquipmentSequence = [equipment]
    # Four levels deep, through sequences that are entered.
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "121322", "DCM", "Zebedee's source"
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.7734512.3"
    source.PurposeOfReferenceCodeSequence, source.PatientName = [purpose], "Quillfeather^Deep"
    derivation = Dataset()
    derivation.DerivationDescription, derivation.SourceImageSequence = "by MRN7734512", [source]
    shared = Dataset()
    shared.DerivationImageSequence = [derivation]
    shared.add_new(0x00204000, "LT", "LEAK67")
    dataset.SharedFunctionalGroupsSequence = [shared]
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIDescription = "1", "GTV Quillfeather", "LEAK68"
    dataset.StructureSetROISequence = [roi]
    text = Dataset()
    text.ValueType, text.TextValue = "TEXT", "LEAK69 report on Zebedee"
    person = Dataset()
    person.ValueType, person.PersonName = "PNAME", "Strangelove^SR"
    dataset.ContentSequence = [text, person]
    region = Dataset()
    region.SpecificCharacterSet, region.CodeMeaning = "GB18030", "小明的头"
    region.CodeValue, region.CodingSchemeDesignator = "1", "99X"
    dataset.AnatomicRegionSequence = [region]
    return 22


def _plant_odd_groups(dataset: Dataset) -> int:
    block: PrivateBlock = dataset.private_block(0x0009, "LEAK70 VENDOR", create=True)
    block.add_new(0x01, "LO", "LEAK71 Quillfeather")
    block.add_new(0x02, "UN", b"LEAK72 bytes")
    inside = Dataset()
    inside.private_block(0x0011, "LEAK73", create=True).add_new(0x01, "PN", "Quillfeather^Private")
    block.add_new(0x03, "SQ", [inside])
    dataset.add_new(0x60000022, "LO", "LEAK74 overlay")
    dataset.add_new(0x60001500, "LO", "LEAK75")
    dataset.add_new(0x60003000, "OW", b"LEAK76 overlay data ")
    dataset.add_new(0x50000022, "LO", "LEAK77 curve")
    dataset.add_new(0x50003000, "OW", b"LEAK78 curve data ")
    dataset.add_new(0x00282000, "OB", b"LEAK79 ICC profile")
    dataset.add_new(0x00281201, "OW", b"quillfeather lookup table ")
    dataset.add_new(0x00420011, "OB", b"LEAK80 encapsulated ")
    dataset.add_new(0x00880200, "SQ", [Dataset()])  # icon image
    dataset[0x00880200].value[0].ImageComments = "LEAK81"
    return 12


def _written(dataset: FileDataset) -> tuple[bytes, int]:
    dataset.file_meta.SourceApplicationEntityTitle = "LEAK90"
    dataset.file_meta.SendingApplicationEntityTitle = "LEAK91"
    dataset.file_meta.ReceivingApplicationEntityTitle = "LEAK92"
    dataset.file_meta.ImplementationVersionName = "LEAK93"
    dataset.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3.7734512"
    dataset.file_meta.PrivateInformation = b"LEAK94 Quillfeather "
    dataset.preamble = b"LEAK95 Zebedee Quillfeather".ljust(128, b"\0")
    dataset.add_new(0xFFFCFFFC, "OB", b"LEAK96 trailing ")
    out = BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue() + b"LEAK97 after the end", 9
