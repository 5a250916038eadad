"""What becomes of one DICOM object: de-identified on its way in, or kept byte for byte as it came.

In: a file.  Out: the `Instance` that describes what was stored.  The header is walked once and the pixels are read
for hashing and copying only.  Start reading at `DicomIntake.take`.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from blake3 import blake3
from pydicom.uid import UID

from tapetum.acquire.policy import Policy
from tapetum.acquire.walk import SPOOL_BYTES
from tapetum.errors import RejectedInput
from tapetum.formats import dicom, vendor
from tapetum.formats.elements import Header, joined, tag_of
from tapetum.formats.uids import uid_of
from tapetum.model import Instance
from tapetum.model.records import Role
from tapetum.ports import BlobStore, Catalogue, LinkStore
from tapetum.protect import Pseudonymiser, deidentify, identifiers, may_show_identity, mentions

__all__ = ["KEPT_ATTRIBUTES", "DicomIntake", "chunks"]

SEGMENTATION, STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
# What a peer may ask for: the matching and return keys of PS3.4 C.6 and PS3.18 10.6.1.2 and 10.6.3.3, and what our own
# stages want to know. By level: patient, study, series, instance.
KEPT_ATTRIBUTES = (
    "PatientName", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDs",
    "OtherPatientNames", "EthnicGroup", "PatientComments",
    "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName",
    "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription", "PatientAge", "PatientSize", "PatientWeight",
    "Occupation", "AdditionalPatientHistory", "TimezoneOffsetFromUTC",
    "Modality", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription", "BodyPartExamined", "Laterality",
    "ImageLaterality", "ProtocolName", "OperatorsName", "PerformingPhysicianName", "InstitutionName",
    "InstitutionalDepartmentName", "StationName", "Manufacturer", "ManufacturerModelName",
    "PerformedProcedureStepID", "PerformedProcedureStepDescription", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime", "FrameOfReferenceUID",
    "SOPClassUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames", "ImageType",
    "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentDate", "ContentTime",
    "CompletionFlag", "VerificationFlag", "ContentLabel", "ContentDescription",
)  # fmt: skip
CODES = ("latin-1", "utf-8")  # in which people write comments into pictures
KEPT_TAGS = {tag_of(keyword): keyword for keyword in KEPT_ATTRIBUTES}
# Of the item of Request Attributes Sequence (0040,0275).
KEPT_OF_THE_REQUEST = ("RequestedProcedureID", "ScheduledProcedureStepID", "RequestedProcedureDescription")


class DicomIntake:
    """Takes DICOM objects in. Threads may share it."""

    def __init__(self, blobs: BlobStore, catalogue: Catalogue, names: Pseudonymiser, policy: Policy) -> None:
        self._blobs, self._catalogue, self._names, self._policy = blobs, catalogue, names, policy

    def take(self, file: BinaryIO, size_bytes: int, place: Path | None = None) -> tuple[Instance, bool]:
        """Store one object; returns its row and whether it is new, as far as can be told before it is recorded.

        ``place`` is where the file lies when it is a file of its own: with ``Policy.link`` it is left there.

        Raises
        ------
        RejectedInput, IdentityExposed : why it cannot be stored.
        """
        if size_bytes <= SPOOL_BYTES:  # small enough to be read from its place once
            file.seek(0)
            file = dicom.Held(file.read())
        return self._deidentified(file) if self._policy.deidentify else self._as_it_came(file, place)

    def _deidentified(self, file: BinaryIO) -> tuple[Instance, bool]:
        file.seek(0)
        digest = self._names.digest([file.data] if isinstance(file, dicom.Held) else chunks(file))
        found = dicom.read(file)
        if found.header.text("Modality") == "MR":  # b-values and mosaics, before the private attributes go
            found.header.update(vendor.standard_elements(found.header))
        institution = found.header.text("InstitutionName")
        site = self._policy.site or (self._names.site(institution) if institution else "")
        if self._catalogue.known([digest]):
            header = deidentify(found.header, self._names)
            return _instance(
                header, header.text("PatientID"), _attributes(header, found.stored_syntax), site, digest
            ), False
        _refuse_what_is_no_image(found)
        self._refuse_what_shows_names(found)
        header = deidentify(found.header, self._names)
        blob, size = self._put(header, found)
        attributes = _attributes(header, found.stored_syntax)
        attributes["pixel_digest"] = found.pixel_digest() if found.has_pixels else blob
        return _instance(header, header.text("PatientID"), attributes, site, digest, blob=blob, size_bytes=size), True

    def _as_it_came(self, file: BinaryIO, place: Path | None) -> tuple[Instance, bool]:
        """Keep the bytes; only damage is a reason not to.

        An object is recognised by its data set: a folder and a sender give the same one other file meta information.
        """
        found = dicom.read(file)
        if not found.has_pixels and _is_image(found.header):
            raise RejectedInput("missing-pixel-data", sop_class=_name_of(found.header))
        attributes = _attributes(found.header, found.transfer_syntax)
        pixel_digest = found.pixel_digest() if found.has_pixels else ""
        whole = blake3(found.header.encoded())
        digest = whole.update(f"{found.stored_syntax}\0{pixel_digest}".encode()).hexdigest()
        attributes["pixel_digest"] = pixel_digest or digest
        site = self._policy.site or found.header.text("InstitutionName")
        instance = _instance(found.header, _patient_key(found.header, self._names), attributes, site, digest)
        # The very bytes that are stored are put again, which mends them if they were damaged; others would be nobody's.
        if self._catalogue.known([digest]) and _sha256(file) not in self._blobs:
            return instance, False
        file.seek(0)
        if self._policy.link and place is not None:
            blob = cast(LinkStore, self._blobs).link(place)
        else:
            blob = self._blobs.put(file.data if isinstance(file, dicom.Held) else file)
        return replace(instance, blob=blob, size_bytes=file.seek(0, io.SEEK_END)), True

    def _refuse_what_shows_names(self, found: dicom.DicomObject) -> None:
        if may_show_identity(found.header) and not self._policy.allow_burned_in:
            raise RejectedInput("burned-in-text")
        words = found.words()
        first = next(words, None)
        if first is None:
            return
        own = identifiers(found.header)
        if any(mentions(some.decode(code, "ignore"), own) for some in chain([first], words) for code in CODES):
            raise RejectedInput("identifier-survived", "a comment in the compressed pixels names the patient")

    def _put(self, header: Header, found: dicom.DicomObject) -> tuple[str, int]:
        """Store an object under a new header: its blob and its size."""
        if found.stop - found.start <= SPOOL_BYTES:
            data = b"".join([dicom.head_of(header, found), *found.pixel_bytes()])
            return self._blobs.put(data), len(data)
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            out = cast(BinaryIO, spool)
            dicom.write(header, found, out)
            size = out.tell()
            out.seek(0)
            return self._blobs.put(out), size


def _instance(
    header: Header,
    patient_key: str,
    attributes: dict[str, str],
    site: str,
    digest: str,
    *,
    blob: str = "",
    size_bytes: int = 0,
) -> Instance:
    """The row of an object. What shows nothing (a report, a presentation state) is neither image nor mask."""
    sop_class = attributes["SOPClassUID"]
    role: Role = (
        "mask" if sop_class in (SEGMENTATION, LABEL_MAP, STRUCTURE_SET) else "image" if header.has("Rows") else "other"
    )
    attributes["site"] = site
    return Instance(
        sop_instance_uid=header.text("SOPInstanceUID"),
        series_instance_uid=header.text("SeriesInstanceUID"),
        study_instance_uid=header.text("StudyInstanceUID"),
        patient_key=patient_key,
        blob=blob,
        source_digest=digest,
        format="dicom",
        size_bytes=size_bytes,
        role=role,
        attributes=attributes,
    )


def _patient_key(header: Header, names: Pseudonymiser) -> str:
    """The Patient ID with its issuer; an object without one belongs to nobody but its own study."""
    patient_id = header.text("PatientID")
    if not patient_id:
        return f"study:{header.text('StudyInstanceUID')}"
    return names.patient(patient_id, header.text("IssuerOfPatientID"))


def _name_of(header: Header) -> str:
    """What a SOP class is called; an unregistered UID is the sender's own and may tell."""
    sop_class = uid_of(header.text("SOPClassUID"))
    return sop_class.name if sop_class.type else "unknown"


def _is_image(header: Header) -> bool:
    return "Image Storage" in _name_of(header) or header.text("SOPClassUID") in (SEGMENTATION, LABEL_MAP)


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed asks for readinto too


def _refuse_what_is_no_image(found: dicom.DicomObject) -> None:
    if found.has_pixels or found.header.text("SOPClassUID") == STRUCTURE_SET:
        return
    code = "missing-pixel-data" if _is_image(found.header) else "unsupported"
    raise RejectedInput(code, sop_class=_name_of(found.header))


def _attributes(header: Header, syntax: UID) -> dict[str, str]:
    """The facts that later stages, people and peers ask for, by DICOM keyword."""
    found: dict[str, str] = {}
    encodings = header.encodings
    for tag, element in header.items():
        keyword = KEPT_TAGS.get(tag)
        if keyword is not None and (value := joined(element, encodings)):
            found[keyword] = value
    found.setdefault("Modality", "OT")
    found["TransferSyntaxUID"] = str(syntax)
    request = header.first("RequestAttributesSequence")
    for keyword in KEPT_OF_THE_REQUEST if request else ():
        if value := request.text(keyword):
            found[keyword] = value
    frame = header.first("ReferencedFrameOfReferenceSequence").text("FrameOfReferenceUID")
    if frame:  # a structure set says so in its references, an image at its top
        found.setdefault("FrameOfReferenceUID", frame)
    if referenced := _referenced_series(header):
        found["ReferencedSeriesInstanceUID"] = referenced
    return found


def _referenced_series(header: Header) -> str:
    """Which image series a SEG or RTSTRUCT speaks of (the first, when there are several)."""
    sop_class = header.text("SOPClassUID")
    if sop_class in (SEGMENTATION, LABEL_MAP):
        return header.first("ReferencedSeriesSequence").text("SeriesInstanceUID")
    if sop_class == STRUCTURE_SET:
        study = header.first("ReferencedFrameOfReferenceSequence").first("RTReferencedStudySequence")
        return study.first("RTReferencedSeriesSequence").text("SeriesInstanceUID")
    return ""


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, 1 MiB at a time."""
    while chunk := file.read(1 << 20):
        yield chunk
