"""Arrival: one path behind every door, from a file to a stored instance or a row of the quarantine.

    bytes -> what is it -> whose is it -> de-identified bytes -> blob -> catalogue, a batch at a time

Blobs are content-addressed and the catalogue is written in whole batches, so a run that is killed loses at most the
batch in flight, and the next run takes it in again. Nothing is held in memory but that batch's rows.
Start at `acquire`.
"""

from __future__ import annotations

import json
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tapetum.acquire.clinical import Manifest, TableRow, read_table
from tapetum.acquire.fhir import Ended, FhirRun
from tapetum.acquire.intake import Intake, Policy, chunks
from tapetum.acquire.mapping import TableMapping
from tapetum.acquire.walk import (
    SPOOL_BYTES,
    Limits,
    Source,
    cannot_be_read,
    stop_if_machine_fails,
    total_bytes,
    walk,
)
from tapetum.errors import IdentityExposed, InvalidGeometry, RejectedInput, TapetumError
from tapetum.model import Arrival, Observation
from tapetum.ports import BlobStore, Catalogue
from tapetum.protect import Pseudonymiser

__all__ = ["Progress", "Tally", "acquire", "refusal"]

BATCH = 256
BATCH_FACTS = 20_000
TABLES = ("table", "parquet")

# What parsers raise when they meet damaged bytes that passed the first look.
DAMAGE = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError, RuntimeError, OSError,
    EOFError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(slots=True)
class Tally:
    """How a run ended: files by outcome, quarantined ones by code, tables, observations.

    ``seen`` counts files as they are met; the outcomes are counted when their batch is written. ``unmatched_rows``
    counts names of files in tables for which there was no file: what such rows say of an image is not stored.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    resources: Counter[str] = field(default_factory=Counter)
    tables: int = 0
    unmatched_rows: int = 0
    observations: int = 0
    bytes: int = 0
    seen: int = 0

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "stored": self.outcomes["stored"],
            "duplicate": self.outcomes["duplicate"],
            "rejected": self.outcomes["rejected"],
            "rejected_by_code": dict(sorted(self.codes.items())),
            "resources": dict(sorted(self.resources.items())),
            "tables": self.tables,
            "unmatched_rows": self.unmatched_rows,
            "observations": self.observations,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: bytes done of all, and the tally so far."""

    done_bytes: int
    total_bytes: int
    tally: Tally


def acquire(
    paths: list[Path],
    *,
    blobs: BlobStore,
    catalogue: Catalogue,
    observe: Callable[[list[Observation]], object],
    names: Pseudonymiser,
    policy: Policy,
    mapping: TableMapping | None = None,
    on_progress: Callable[[Progress], object] = lambda _: None,
    on_arrival: Callable[[str, str], object] = lambda _file, _series: None,
    observed: Callable[[str], Iterable[Observation]] = lambda _method: (),
) -> Tally:
    """Take in every file below the paths; each ends as stored, duplicate or rejected.

    Parameters
    ----------
    paths : files and folders; archives are opened wherever they lie.
    observe : is given the observations of the tables, a batch at a time.
    mapping : what tables and file names mean; without it only DICOM is stored. When it names columns,
        archives are unpacked twice, otherwise once.
    on_progress : is told after every file where the run stands.
    on_arrival : is told the place and the series UID of every file that belongs to a series.
    observed : yields what `observe` was given in earlier runs, of the methods that begin with a word; asked for FHIR
        only, to know patients and versions again.

    Raises
    ------
    NotFound : a given path does not exist.
    TapetumError : the disk is full or cannot be written; what was taken in until then is kept.
    """
    limits = Limits(policy.max_bytes, policy.max_pixels)
    fhir = FhirRun(names, (mapping or TableMapping()).fhir, catalogue, observed)
    run = _Run(Intake(blobs, catalogue, names, policy, mapping, observe=observe), catalogue, observe, names, fhir)
    total = total_bytes(paths)[1]
    done = 0
    try:
        tables = mapping if mapping is not None and mapping.columns else None
        if tables is not None:  # tables first: they say whose the pictures are
            run.tables(walk(paths, limits), tables)
        for source in walk(paths, limits):
            if source.kind == "fhir":
                run.resources(source)
            elif source.kind in TABLES and tables is None:
                run.reject(source, RejectedInput("no-mapping"))
            elif source.kind not in (*TABLES, "archive"):
                run.tally.seen += 1
                arrival = run.file(source)
                if arrival is not None and arrival.instance is not None:
                    on_arrival(source.locator, arrival.instance.series_instance_uid)
            done += source.on_disk
            on_progress(Progress(done, total, run.tally))
        run.finish_resources()
    finally:
        run.flush()  # an interrupted run keeps what it has done
    return run.tally


def refusal(error: BaseException) -> RejectedInput:
    """What is wrong with an object, from what its reader raised.

    Raises
    ------
    TapetumError : it is not the object's own fault.
    """
    if isinstance(error, RejectedInput):
        return error
    if isinstance(error, IdentityExposed):
        return RejectedInput("identifier-survived", str(error))
    if isinstance(error, InvalidGeometry):
        return RejectedInput("unreadable", "its voxels have no possible place")
    if isinstance(error, MemoryError):
        return RejectedInput("archive-bomb", "it unfolds to more than this machine can hold")
    stop_if_machine_fails(error)
    if isinstance(error, DAMAGE):
        return RejectedInput("unreadable", f"damaged inside: {type(error).__name__}")
    if isinstance(error, TapetumError):
        raise error
    raise TapetumError("the archive cannot write", hint="send again", error=type(error).__name__) from error


class _Run:
    """The batch under way."""

    def __init__(
        self,
        intake: Intake,
        catalogue: Catalogue,
        observe: Callable[[list[Observation]], object],
        names: Pseudonymiser,
        fhir: FhirRun,
    ) -> None:
        self.tally = Tally()
        self._fhir = fhir
        self._bad_resources: set[str] = set()
        self._intake, self._catalogue, self._observe, self._names = intake, catalogue, observe, names
        self._manifest = Manifest()
        self._batch: list[Arrival] = []
        self._released: list[Arrival] = []
        self._facts: list[Observation] = []

    def tables(self, sources: Iterator[Source], mapping: TableMapping) -> None:
        """Read every table; then, before any file is stored, ask whether each name in them fits one file only.

        The places of the files are put down meanwhile, in a spool that has no name, so that archives are unpacked once
        for both: which names there are is known after the last table only.
        """
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES, "w+", encoding="ascii") as places:
            for source in sources:
                if source.kind in TABLES:
                    self.table(source, mapping)
                elif source.kind != "archive" and "file" in mapping.columns:
                    places.write(json.dumps([source.relative, source.locator]) + "\n")
            places.seek(0)
            for line in places:
                self._manifest.meet(*json.loads(line))
        self.tally.unmatched_rows = self._manifest.unmet()

    def table(self, source: Source, mapping: TableMapping) -> None:
        """Read a table: patient-level facts are written, rows about files are kept for when the files come."""
        bad: set[str] = set()
        try:
            with source.open() as file:
                for number, row in enumerate(self._rows(file, mapping), start=2):
                    error = row if isinstance(row, RejectedInput) else self._expect(row)
                    if error is not None:
                        bad.add(f"{source.locator}#{number}")
                        self.reject(replace(source, locator=f"{source.locator}#{number}", on_disk=0), error)
            self.tally.tables += 1
        except RejectedInput as error:
            bad.add(source.locator)
            self.reject(source, error)
        self._release(source.locator, bad)

    def resources(self, source: Source) -> None:
        """Gather the FHIR resources of a file; what becomes of them is known when all files were read."""
        self.tally.seen += 1
        try:
            for ended in self._fhir.read(source):
                self._end(ended)
        except (RejectedInput, MemoryError, *DAMAGE) as error:
            self._bad_resources.add(source.locator)
            self.reject(source, refusal(error))

    def finish_resources(self) -> None:
        """Turn what was gathered into observations. The files of the run are written first: a study may be theirs."""
        self.flush()
        places = set(self._fhir.places())
        for ended in self._fhir.finish():
            self._end(ended)
        for row in self._catalogue.rejected() if places else ():
            place = self._names.unseal(row.locator)
            if places & {place, place.rpartition("#")[0]} and place not in self._bad_resources:
                self._released.append(Arrival("duplicate", arrived=row.arrived))

    def _end(self, ended: Ended) -> None:
        """A resource's rows stay together: a run that is killed between them would never write the rest."""
        self.tally.resources[ended.outcome] += 1
        if ended.error is not None:
            self._bad_resources.add(ended.place)
            self.reject(Source(ended.place, "", "fhir", 0, 0, BytesIO), ended.error)
        self._facts.extend(ended.rows)
        if len(self._facts) >= BATCH_FACTS:
            self.flush()

    def _release(self, table: str, bad: set[str]) -> None:
        """Let a table, and those of its rows that are no longer bad, leave the quarantine."""
        for row in self._catalogue.rejected():
            place = self._names.unseal(row.locator)
            if table in (place, place.rpartition("#")[0]) and place not in bad:
                self._released.append(Arrival("duplicate", arrived=row.arrived))

    def _rows(self, file: BinaryIO, mapping: TableMapping) -> Iterator[TableRow | RejectedInput]:
        digest = self._names.digest(chunks(file))
        file.seek(0)
        return read_table(file, mapping, self._names, digest)

    def _expect(self, row: TableRow) -> RejectedInput | None:
        """Keep what a row says; or say why it cannot be."""
        if row.roles.get("file"):
            if not self._manifest.add(row):
                return RejectedInput("invalid-row", "two rows name one file and contradict each other")
        else:
            uid = row.roles.get("series_instance_uid", "")
            known = str(self._names.uid(uid)) if uid else ""
            self._facts.extend(replace(fact, series_instance_uid=known) for fact in row.image)
        self._facts.extend(row.patient)
        if len(self._facts) >= BATCH_FACTS:
            self.flush()
        return None

    def file(self, source: Source) -> Arrival | None:
        """Take in one file; whatever is wrong with it concerns it alone, and then there is no arrival."""
        try:
            if source.error is not None:
                raise source.error
            row = self._manifest.find(source.relative)
            arrival = self._intake.take(source, row.roles if row else None)
        except (TapetumError, MemoryError, *DAMAGE) as error:
            bad = RejectedInput("unreadable", "the file cannot be read to its end")
            self.reject(source, bad if cannot_be_read(source, error) else refusal(error))
            return None
        self.tally.bytes += source.size_bytes
        if row is not None and arrival.instance is not None:
            whose = {name: getattr(arrival.instance, name) for name in ("patient_key", "series_instance_uid")}
            self._facts.extend(replace(fact, **whose) for fact in row.image)
        self._add(arrival)
        return arrival

    def reject(self, source: Source, error: RejectedInput) -> None:
        """Put one file, or one row of a table, into the quarantine."""
        self._add(Arrival("rejected", rejected=self._intake.rejected(source, error)))

    def _add(self, arrival: Arrival) -> None:
        self._batch.append(arrival)
        if len(self._batch) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the batch: blobs are down before the catalogue names them.

        A batch that cannot be written is let go: nothing may be recorded whose bytes the disk did not keep. The next
        run takes it in.
        """
        released, batch, facts = self._released, self._batch, self._facts
        self._released, self._batch, self._facts = [], [], []
        try:
            if released:
                self._catalogue.record(released)
            if batch:
                self._intake.settle()
                for arrival in self._catalogue.record(batch):
                    self.tally.outcomes[arrival.outcome] += 1
                    if arrival.outcome == "rejected" and arrival.rejected:
                        self.tally.codes[arrival.rejected.code] += 1
            if facts:
                self._observe(facts)
                self.tally.observations += len(facts)
        except OSError as error:
            stop_if_machine_fails(error)
            raise
