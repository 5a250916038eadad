"""The catalogue's tables (SQLAlchemy Core): patient, study, series, instance, and the quarantine.

What people and peers ask for has its own column; the other attributes of a level stand in its ``attributes`` as JSON,
by DICOM keyword. Counters are kept in the transaction that changes them, so that lists add nothing up. Texts compare
byte by byte in every database. Which keyword belongs where: `COLUMNS` and `level_of`. Migrations stand beside it.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from tapetum.model import LEVELS, Level

__all__ = [
    "COLUMNS",
    "COUNTED",
    "KEYS",
    "NUMBERS",
    "OWN",
    "instance",
    "level_of",
    "metadata",
    "patient",
    "rejected",
    "series",
    "study",
    "term",
]

metadata = MetaData()

BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
"""Text without a longest length (scanners write longer ones than DICOM allows) that sorts the same everywhere."""


def _text(name: str, *, primary_key: bool = False, unique: bool = False) -> Column[str]:
    return Column(name, BYTEWISE, nullable=False, primary_key=primary_key, unique=unique)


def _number(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=nullable)


patient = Table(
    "patient",
    metadata,
    _text("patient_key", primary_key=True),
    _text("patient_name"),
    _text("name_key"),
    _text("birth_date"),
    _text("sex"),
    _number("studies"),
    _number("words"),
    Column("attributes", JSON, nullable=False),
    Index("ix_patient_name_key", "name_key"),
    Index("ix_patient_words", "words"),
)
"""``name_key`` is the name in lower case; ``words`` the `term` in which its name and key are searched."""

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("study_instance_uid"),
    _text("patient_key"),
    _text("study_date"),
    _text("study_time"),
    _text("accession_number"),
    _text("study_id"),
    _text("description"),
    _text("referring_physician"),
    _text("referring_key"),
    _text("modalities"),
    _number("series"),
    _number("instances"),
    _number("words"),
    Column("attributes", JSON, nullable=False),
    Index("ix_study_accession_number", "accession_number"),
    Index("ix_study_words", "words"),
    UniqueConstraint("study_instance_uid", "patient_key", name="uq_study"),
)
"""One UID that two patients use makes two studies. ``referring_key`` is the physician's name in lower case.
``modalities`` begins and ends with a backslash: ``\\CT\\SEG\\``."""

_WHEN = (study.c.study_date.desc(), study.c.study_time.desc())
Index("ix_study_of_patient", study.c.patient_key, *_WHEN, study.c.id)
Index("ix_study_newest", *_WHEN, study.c.patient_key, study.c.id)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("series_instance_uid", unique=True),
    _number("study_id"),
    _text("study_instance_uid"),
    _text("patient_key"),
    _text("study_date"),
    _text("study_time"),
    _text("modality"),
    _number("number", nullable=True),
    _text("description"),
    _text("body_part"),
    _text("manufacturer"),
    _text("model"),
    _text("laterality"),
    _text("sop_class_uid"),
    _text("site"),
    _text("format"),
    _text("role"),
    _number("instances"),
    _number("words"),
    _number("scanner"),
    Column("attributes", JSON, nullable=False),
    Index("ix_series_study", "study_id", "number"),
)
"""Date and time of the study stand here too: they order lists, and most searches name them. ``sop_class_uid`` is that
of its first instance; ``scanner`` the `term` in which manufacturer and model are searched."""

# Each begins with what is asked and holds what orders the answer: rows are read for one page only.
_WHEN = (series.c.study_date.desc(), series.c.study_time.desc())
_LAST = (series.c.study_id, series.c.number, series.c.id)
_ASKED = (series.c.modality, series.c.body_part, series.c.study_date, series.c.study_time, series.c.patient_key, *_LAST)
Index("ix_series_of_patient", series.c.patient_key, *_WHEN, *_LAST)
Index("ix_series_newest", *_WHEN, series.c.patient_key, *_LAST)
Index("ix_series_asked", *_ASKED)
Index("ix_series_words", series.c.words, *_ASKED)
Index("ix_series_scanner", series.c.scanner, *_ASKED)

instance = Table(
    "instance",
    metadata,
    _text("sop_instance_uid", primary_key=True),
    _text("series_instance_uid"),
    _text("sop_class_uid"),
    _number("number", nullable=True),
    _number("rows", nullable=True),
    _number("columns", nullable=True),
    _number("bits_allocated", nullable=True),
    _number("frames", nullable=True),
    _text("transfer_syntax_uid"),
    _text("blob"),
    _text("source_digest", unique=True),
    _text("pixel_digest"),
    Column("size_bytes", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
    Index("ix_instance_series", "series_instance_uid", "number"),
)
"""``attributes`` also holds what an instance says otherwise than its series, study or patient."""

term = Table("term", metadata, Column("id", Integer, primary_key=True), _text("text", unique=True))
"""Each different text that is searched within, folded, once. A trigram index over it is made by the migration."""

rejected = Table(
    "rejected",
    metadata,
    _text("arrived", primary_key=True),
    _text("code"),
    _text("message"),
    Column("locator", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    _text("blob"),
)

KEYS: dict[Level, tuple[str, ...]] = {
    "patient": ("patient_key",),
    "study": ("study_instance_uid", "patient_key"),
    "series": ("series_instance_uid",),
    "instance": ("sop_instance_uid",),
}
"""What makes a row of a level one."""

COLUMNS: dict[Level, dict[str, str]] = {
    "patient": {
        "PatientID": "patient_key",
        "PatientName": "patient_name",
        "PatientBirthDate": "birth_date",
        "PatientSex": "sex",
    },
    "study": {
        "StudyInstanceUID": "study_instance_uid",
        "StudyDate": "study_date",
        "StudyTime": "study_time",
        "AccessionNumber": "accession_number",
        "StudyID": "study_id",
        "StudyDescription": "description",
        "ReferringPhysicianName": "referring_physician",
    },
    "series": {
        "SeriesInstanceUID": "series_instance_uid",
        "Modality": "modality",
        "SeriesNumber": "number",
        "SeriesDescription": "description",
        "BodyPartExamined": "body_part",
        "Manufacturer": "manufacturer",
        "ManufacturerModelName": "model",
        "Laterality": "laterality",
        "site": "site",
    },
    "instance": {
        "SOPInstanceUID": "sop_instance_uid",
        "SOPClassUID": "sop_class_uid",
        "InstanceNumber": "number",
        "Rows": "rows",
        "Columns": "columns",
        "BitsAllocated": "bits_allocated",
        "NumberOfFrames": "frames",
        "TransferSyntaxUID": "transfer_syntax_uid",
        "pixel_digest": "pixel_digest",
    },
}
"""Keyword of an attribute -> its own column, by level."""

COUNTED: dict[Level, dict[str, str]] = {
    "patient": {"NumberOfPatientRelatedStudies": "studies", "patient_key": "patient_key"},
    "study": {
        "ModalitiesInStudy": "modalities",
        "NumberOfStudyRelatedSeries": "series",
        "NumberOfStudyRelatedInstances": "instances",
    },
    "series": {"NumberOfSeriesRelatedInstances": "instances", "format": "format", "role": "role"},
    "instance": {"AvailableTransferSyntaxUID": "transfer_syntax_uid"},
}
"""What the catalogue itself knows of a row: keyword -> column."""

NUMBERS = frozenset(
    {"SeriesNumber", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"}
    | {name for names in COUNTED.values() for name in names if name.startswith("Number")}
)
"""Keywords whose columns are integers."""


OWN = frozenset({"site", "format", "role", "pixel_digest", "patient_key"})
"""Words of ours among the keywords of DICOM."""

PATIENT = frozenset(
    {
        "IssuerOfPatientID", "TypeOfPatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthTime",
        "EthnicGroup", "PatientComments", "PatientBirthName", "PatientMotherBirthName", "PatientAddress",
        "PatientTelephoneNumbers", "PatientSpeciesDescription", "PatientBreedDescription", "ResponsiblePerson",
        "ResponsibleOrganization", "CountryOfResidence", "RegionOfResidence", "PatientReligiousPreference",
        "QualityControlSubject", "PatientIdentityRemoved", "DeidentificationMethod",
    }
)  # fmt: skip
"""Further keywords of the patient: DICOM PS3.3 C.7.1.1 and C.2.3."""

STUDY = frozenset(
    {
        "PatientAge", "PatientSize", "PatientWeight", "Occupation", "AdditionalPatientHistory", "PatientState",
        "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "ConsultingPhysicianName", "RequestingPhysician",
        "AdmittingDiagnosesDescription", "AdmissionID", "ServiceEpisodeID", "ServiceEpisodeDescription",
        "MedicalAlerts", "Allergies", "PregnancyStatus", "SmokingStatus", "LastMenstrualDate", "RequestingService",
        "RequestedProcedureDescription", "StudyComments", "ReasonForStudy", "StudyStatusID", "PatientSexNeutered",
        "IssuerOfAccessionNumber", "ReasonForVisit", "InterpretationAuthor", "TimezoneOffsetFromUTC",
    }
)  # fmt: skip
"""Further keywords of the study: DICOM PS3.3 C.7.2.1, C.7.2.2; PS3.4 C.6.2.1."""

INSTANCE = frozenset(
    {
        "ImageType", "ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "AcquisitionNumber",
        "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "AcquisitionUID", "ImageComments",
        "SamplesPerPixel", "PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation",
        "SliceLocation", "ImagePositionPatient", "TemporalPositionIdentifier", "LossyImageCompression",
        "LossyImageCompressionRatio", "BurnedInAnnotation", "ContentLabel", "ContentDescription", "ContentCreatorName",
        "CompletionFlag", "VerificationFlag", "ConceptNameCodeSequence", "ObservationDateTime",
        "VerificationDateTime", "SpecificCharacterSet", "InstanceAvailability", "PresentationCreationDate",
        "PresentationCreationTime", "NumberOfTemporalPositions", "WindowCenter", "WindowWidth", "EchoTime",
        "EchoNumbers", "TriggerTime", "ContainerIdentifier", "EncapsulatedDocumentDescription", "DocumentTitle",
        "MIMETypeOfEncapsulatedDocument",
    }
)  # fmt: skip
"""Further keywords of one instance; what is in none of these lists is the series'."""

_LEVEL_OF: dict[str, Level] = {
    **{keyword: level for level in LEVELS for names in (COLUMNS, COUNTED) for keyword in names[level]},
    **dict.fromkeys(PATIENT, "patient"),
    **dict.fromkeys(STUDY, "study"),
    **dict.fromkeys(INSTANCE, "instance"),
}


def level_of(keyword: str) -> Level:
    """The level at which an attribute stands."""
    return _LEVEL_OF.get(keyword, "series")
