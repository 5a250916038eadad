"""What becomes of one file: `Intake.take`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from tapetum.acquire.clinical import shifted_date
from tapetum.acquire.dicom_intake import DicomIntake, chunks
from tapetum.acquire.mapping import TableMapping
from tapetum.acquire.policy import Policy
from tapetum.acquire.reports import is_report, measurements
from tapetum.acquire.walk import SPOOL_BYTES, Source
from tapetum.errors import RejectedInput
from tapetum.formats import nifti, nrrd, picture
from tapetum.model import Arrival, Instance, Observation, Rejected
from tapetum.model.records import Role
from tapetum.ports import BlobStore, Catalogue
from tapetum.protect import Pseudonymiser

__all__ = ["Intake", "Policy", "chunks"]


class Intake:
    """Turns a file into a stored blob and the row that describes it.

    ``observe`` is given the measurements of each structured report; may be called from several threads.
    """

    def __init__(
        self,
        blobs: BlobStore,
        catalogue: Catalogue,
        names: Pseudonymiser,
        policy: Policy,
        mapping: TableMapping | None,
        *,
        observe: Callable[[list[Observation]], object] | None = None,
    ) -> None:
        self._blobs, self._catalogue, self._names = blobs, catalogue, names
        self._policy, self._mapping = policy, mapping or TableMapping()
        self._observe = observe
        self._dicom_intake = DicomIntake(blobs, catalogue, names, policy)

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
            with source.open() as file:
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
        # Only a file itself moves the progress: what lies in an archive, or came over the network, has no place.
        place = Path(source.locator) if source.on_disk else None
        instance, is_new = self._dicom_intake.take(file, source.size_bytes, place)
        if is_new:
            if self._observe is not None and is_report(instance):
                self._note_measurements(instance, self._observe)
            return self._stored(source, instance)
        return Arrival("duplicate", instance=instance, arrived=self._names.digest((), source.locator))

    def _note_measurements(self, report: Instance, observe: Callable[[list[Observation]], object]) -> None:
        """Before the catalogue knows the report: a run that is killed in between notes the same again."""
        with self._blobs.open(report.blob) as stored:
            found = measurements(stored, report)
        if found:
            observe(found)

    def _by_mapping(self, source: Source, row: Mapping[str, str] | None) -> Arrival:
        """A file that does not say whose it is: the mapping does."""
        facts = dict(row) if row is not None else self._facts_of_path(source.relative)
        facts.setdefault("patient", self._mapping.image.get("patient", ""))
        if not facts.get("patient"):
            raise RejectedInput("unknown-patient")
        patient_key = self._names.patient(facts["patient"], self._mapping.patient_issuer)
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
