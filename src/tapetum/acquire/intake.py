"""What becomes of one file: `Intake.take`."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from pydicom import Dataset
from pydicom.multival import MultiValue

from tapetum.acquire.clinical import shifted_date
from tapetum.acquire.mapping import TableMapping
from tapetum.acquire.walk import SPOOL_BYTES, Source
from tapetum.errors import RejectedInput
from tapetum.formats import dicom, nifti, nrrd, picture
from tapetum.model import Arrival, Instance, Rejected
from tapetum.model.records import Role
from tapetum.ports import BlobStore, Catalogue
from tapetum.protect import Pseudonymiser, deidentify, identifiers, may_show_identity, mentions

__all__ = ["Intake", "Policy", "chunks"]

SEGMENTATION, STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
KEPT_ATTRIBUTES = (
    "Modality", "SOPClassUID", "StudyDate", "StudyDescription", "SeriesDescription", "BodyPartExamined", "Laterality",
    "ImageLaterality", "PatientSex", "PatientAge", "Manufacturer", "ManufacturerModelName", "FrameOfReferenceUID",
    "InstanceNumber",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the door. ``site`` names the institution; empty means each object's own, as a pseudonym.

    A picture may have ``max_pixels``; a volume that many voxels, or `formats.voxels.MAX_RATIO` for each of its bytes
    when that is more. Nothing may unfold to more than ``max_bytes``.
    """

    max_bytes: int = 16 << 30
    max_pixels: int = 1 << 28
    allow_burned_in: bool = False
    site: str = ""


class Intake:
    """Turns a file into a stored blob and the row that describes it."""

    def __init__(
        self,
        blobs: BlobStore,
        catalogue: Catalogue,
        names: Pseudonymiser,
        policy: Policy,
        mapping: TableMapping | None,
    ) -> None:
        self._blobs, self._catalogue, self._names = blobs, catalogue, names
        self._policy, self._mapping = policy, mapping or TableMapping()

    def take(self, source: Source, row: Mapping[str, str] | None) -> Arrival:
        """Store one file. ``row`` is what a table says about it, by role.

        Raises
        ------
        RejectedInput, IdentityExposed : why it cannot be stored.
        """
        if source.size_bytes == 0:
            raise RejectedInput("empty-file")
        if source.size_bytes > self._policy.max_bytes:
            raise RejectedInput("archive-bomb", "the file is larger than allowed")
        if source.kind == "dicom":
            with source.open() as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings quote values
                return self._dicom(source, file)
        if source.kind in ("nifti", "nrrd", "picture"):
            return self._by_mapping(source, row)
        raise RejectedInput("unknown-format")

    def rejected(self, source: Source, error: RejectedInput) -> Rejected:
        """The quarantine's row of a file; its place is sealed, because paths hold names."""
        return Rejected(
            arrived=self._names.digest((), source.locator),
            code=error.code,
            message=str(error),
            locator=self._names.seal(source.locator),
            size_bytes=source.size_bytes,
        )

    def settle(self) -> None:
        """Have the blobs written down for good."""
        self._blobs.flush()

    def _dicom(self, source: Source, file: BinaryIO) -> Arrival:
        digest = self._digest(file)
        found = dicom.read(file)
        if self._catalogue.known([digest]):
            known = self._instance(found.header, deidentify(found.header, self._names), digest)
            return Arrival("duplicate", instance=known, arrived=self._names.digest((), source.locator))
        _refuse_what_is_no_image(found)
        if may_show_identity(found.header) and not self._policy.allow_burned_in:
            raise RejectedInput("burned-in-text")
        own = identifiers(found.header)
        if any(mentions(words.decode(code, "ignore"), own) for words in found.words() for code in ("latin-1", "utf-8")):
            raise RejectedInput("identifier-survived", "a comment in the compressed pixels names the patient")
        header = deidentify(found.header, self._names)
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            out = cast(BinaryIO, spool)
            dicom.write(header, found, out)
            size = out.tell()
            out.seek(0)
            blob = self._blobs.put(out)
        instance = self._instance(found.header, header, digest)
        pixel_digest = found.pixel_digest() if found.has_pixels else blob
        attributes = {**instance.attributes, "pixel_digest": pixel_digest}
        return self._stored(source, replace(instance, blob=blob, size_bytes=size, attributes=attributes))

    def _instance(self, arrived: Dataset, header: Dataset, digest: str) -> Instance:
        """The row of an object without what only its stored bytes can tell."""
        institution = str(arrived.get("InstitutionName") or "")
        attributes = _attributes(header)
        attributes["site"] = self._policy.site or (self._names.site(institution) if institution else "")
        return Instance(
            sop_instance_uid=str(header.SOPInstanceUID),
            series_instance_uid=str(header.SeriesInstanceUID),
            study_instance_uid=str(header.StudyInstanceUID),
            patient_key=str(header.PatientID),
            blob="",
            source_digest=digest,
            format="dicom",
            size_bytes=0,
            role="mask" if header.SOPClassUID in (SEGMENTATION, STRUCTURE_SET) else "image",
            attributes=attributes,
        )

    def _by_mapping(self, source: Source, row: Mapping[str, str] | None) -> Arrival:
        """A file that does not say whose it is: the mapping does."""
        facts = dict(row) if row is not None else self._facts_of_path(source.relative)
        facts.setdefault("patient", self._mapping.image.get("patient", ""))
        if not facts.get("patient"):
            raise RejectedInput("unknown-patient")
        patient_key = self._names.patient(facts["patient"])
        with source.open() as file:
            # The same picture of another patient or study is another instance: who it belongs to is not in its bytes.
            digest = self._digest(file, patient_key, facts.get("study", ""))
            known = bool(self._catalogue.known([digest]))
            blob, size, pixel_digest = ("", 0, "") if known else self._put_clean(source.kind, file)
        role: Role = "mask" if facts.get("role") == self._mapping.mask else "image"
        group = f"{patient_key}:{facts.get('study', '')}:{facts.get('series', '')}"
        series_uid = self._names.uid(f"series:{group}:{role}" if facts.get("series") else f"file:{digest}")
        day = shifted_date(facts.get("date", ""), patient_key, self._names)
        attributes = {
            "Modality": self._mapping.image.get("modality", "OT"),
            "BodyPartExamined": self._mapping.image.get("body_part_examined", ""),
            "ImageLaterality": facts.get("laterality", "")[:1].upper(),
            "StudyDate": day.replace("-", ""),
            "site": facts.get("site") or self._policy.site or self._mapping.image.get("site", ""),
            "pixel_digest": pixel_digest,
        }
        if role == "mask":
            attributes["ReferencedSeriesInstanceUID"] = str(self._names.uid(f"series:{group}:image"))
        instance = Instance(
            sop_instance_uid=str(self._names.uid(f"instance:{digest}")),
            series_instance_uid=str(series_uid),
            study_instance_uid=str(
                self._names.uid(f"study:{patient_key}:{facts.get('study') or day or facts.get('series', '')}")
            ),
            patient_key=patient_key,
            blob=blob,
            source_digest=digest,
            format=source.kind,
            size_bytes=size,
            role=role,
            attributes={name: value for name, value in attributes.items() if value},
        )
        if known:
            return Arrival("duplicate", instance=instance, arrived=self._names.digest((), source.locator))
        return self._stored(source, instance)

    def _put_clean(self, kind: str, file: BinaryIO) -> tuple[str, int, str]:
        """Store a file without a word in it, after it was read to its end once: its blob, size and pixel digest."""
        most = self._policy.max_pixels
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            out = cast(BinaryIO, spool)
            if kind == "picture":
                pixel_digest = picture.clean(file, out, max_pixels=most)
            else:
                clean = nifti.clean if kind == "nifti" else nrrd.clean
                pixel_digest = clean(file, out, max_voxels=most, max_bytes=self._policy.max_bytes)
            size = out.tell()
            out.seek(0)
            return self._blobs.put(out), size, pixel_digest

    def _stored(self, source: Source, instance: Instance) -> Arrival:
        """Stored, with the quarantine row it becomes should the catalogue find that it contradicts another."""
        spare = self.rejected(source, RejectedInput("mixed-series"))
        return Arrival("stored", instance=instance, rejected=spare, arrived=spare.arrived)

    def _digest(self, file: BinaryIO, *context: str) -> str:
        file.seek(0)
        return self._names.digest(chunks(file), *context)

    def _facts_of_path(self, relative: str) -> dict[str, str]:
        match = self._mapping.pattern.search(relative) if self._mapping.pattern else None
        return {name: value for name, value in match.groupdict().items() if value} if match else {}


def _refuse_what_is_no_image(found: dicom.DicomObject) -> None:
    sop_class = found.header.SOPClassUID
    if found.has_pixels or sop_class == STRUCTURE_SET:
        return
    name = sop_class.name if sop_class.type else "unknown"  # an unregistered UID is the sender's own and may tell
    if "Image Storage" in name or sop_class == SEGMENTATION:
        raise RejectedInput("missing-pixel-data", sop_class=name)
    raise RejectedInput("unsupported", sop_class=name)


def _attributes(header: Dataset) -> dict[str, object]:
    """The few facts that later stages and people ask for, by DICOM keyword."""
    found: dict[str, object] = {}
    for keyword in KEPT_ATTRIBUTES:
        value = header.get(keyword)
        if value not in (None, ""):
            found[keyword] = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    found.setdefault("Modality", "OT")
    frame = _first(header, "ReferencedFrameOfReferenceSequence").get("FrameOfReferenceUID")
    if frame:  # a structure set says so in its references, an image at its top
        found.setdefault("FrameOfReferenceUID", str(frame))
    referenced = _referenced_series(header)
    if referenced:
        found["ReferencedSeriesInstanceUID"] = referenced
    return found


def _referenced_series(header: Dataset) -> str:
    """Which image series a SEG or RTSTRUCT speaks of (the first, when there are several)."""
    if header.SOPClassUID == SEGMENTATION:
        return str(_first(header, "ReferencedSeriesSequence").get("SeriesInstanceUID", ""))
    if header.SOPClassUID == STRUCTURE_SET:
        frame = _first(header, "ReferencedFrameOfReferenceSequence")
        series = _first(_first(frame, "RTReferencedStudySequence"), "RTReferencedSeriesSequence")
        return str(series.get("SeriesInstanceUID", ""))
    return ""


def _first(parent: Dataset, keyword: str) -> Dataset:
    items = parent.get(keyword)
    return items[0] if items else Dataset()


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, 1 MiB at a time."""
    while chunk := file.read(1 << 20):
        yield chunk
