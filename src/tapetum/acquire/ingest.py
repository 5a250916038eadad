"""Arrival: one path behind every door, from a file to a stored instance or a row of the quarantine.

    bytes -> what is it -> whose is it -> de-identified bytes -> blob -> catalogue, a batch at a time

Blobs are content-addressed and the catalogue is written in whole batches, so a run that is killed loses at most the
batch in flight, and the next run takes it in again. Nothing is held in memory but that batch's rows.
Start at `acquire`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from tapetum.acquire.clinical import Manifest, TableRow, read_table
from tapetum.acquire.intake import Intake, Policy, chunks
from tapetum.acquire.mapping import TableMapping
from tapetum.acquire.walk import Limits, Source, total_bytes, walk
from tapetum.errors import IdentityExposed, RejectedInput
from tapetum.model import Arrival, Observation
from tapetum.ports import BlobStore, Catalogue
from tapetum.protect import Pseudonymiser

__all__ = ["Progress", "Tally", "acquire"]

BATCH = 256

# What parsers raise when they meet damaged bytes that passed the first look.
DAMAGE = (ValueError, TypeError, AttributeError, KeyError, IndexError, OSError, EOFError, OverflowError, struct.error)


@dataclass(slots=True)
class Tally:
    """How a run ended: files by outcome, quarantined ones by code, tables, observations.

    ``seen`` counts files as they are met; the outcomes are counted when their batch is written.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    tables: int = 0
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
            "tables": self.tables,
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
) -> Tally:
    """Take in every file below the paths; each ends as stored, duplicate or rejected.

    Parameters
    ----------
    paths : files and folders; archives are opened wherever they lie.
    observe : is given the observations of the tables, a batch at a time.
    mapping : what tables and file names mean; without it only DICOM is stored.
    on_progress : is told after every file where the run stands.
    on_arrival : is told the place and the series UID of every file that belongs to a series.

    Raises
    ------
    NotFound : a given path does not exist.
    """
    limits = Limits(policy.max_bytes, policy.max_pixels)
    run = _Run(Intake(blobs, catalogue, names, policy, mapping), catalogue, observe, names)
    total = total_bytes(paths)[1]
    done = 0
    try:
        for source in walk(paths, limits):  # tables first: they say whose the pictures are
            if source.kind == "table":
                run.table(source, mapping)
        for source in walk(paths, limits):
            if source.kind not in ("table", "archive"):
                run.tally.seen += 1
                arrival = run.file(source)
                if arrival is not None and arrival.instance is not None:
                    on_arrival(source.locator, arrival.instance.series_instance_uid)
            done += source.on_disk
            on_progress(Progress(done, total, run.tally))
    finally:
        run.flush()  # an interrupted run keeps what it has done
    return run.tally


class _Run:
    """The batch under way."""

    def __init__(
        self,
        intake: Intake,
        catalogue: Catalogue,
        observe: Callable[[list[Observation]], object],
        names: Pseudonymiser,
    ) -> None:
        self.tally = Tally()
        self._intake, self._catalogue, self._observe, self._names = intake, catalogue, observe, names
        self._manifest = Manifest()
        self._batch: list[Arrival] = []
        self._facts: list[Observation] = []

    def table(self, source: Source, mapping: TableMapping | None) -> None:
        """Read a table: patient-level facts are written, rows about files are kept for when the files come."""
        if mapping is None or not mapping.columns:
            self._reject(source, RejectedInput("no-mapping"))
            return
        try:
            with source.open() as file:
                for number, row in enumerate(self._rows(file, mapping), start=2):
                    if isinstance(row, RejectedInput):
                        self._reject(replace(source, locator=f"{source.locator}#{number}", on_disk=0), row)
                    else:
                        self._facts.extend(row.patient)
                        self._expect(row)
            self.tally.tables += 1
        except RejectedInput as error:
            self._reject(source, error)

    def _rows(self, file: BinaryIO, mapping: TableMapping) -> Iterator[TableRow | RejectedInput]:
        digest = self._names.digest(chunks(file))
        file.seek(0)
        return read_table(file, mapping, self._names, digest)

    def _expect(self, row: TableRow) -> None:
        if row.roles.get("file"):
            self._manifest.rows[row.roles["file"]] = row
        else:
            uid = row.roles.get("series_instance_uid", "")
            known = str(self._names.uid(uid)) if uid else ""
            self._facts.extend(replace(fact, series_instance_uid=known) for fact in row.image)

    def file(self, source: Source) -> Arrival | None:
        """Take in one file; whatever is wrong with it concerns it alone, and then there is no arrival."""
        try:
            if source.error is not None:
                raise source.error
            row = self._manifest.find(source.relative)
            arrival = self._intake.take(source, row.roles if row else None)
        except RejectedInput as error:
            self._reject(source, error)
            return None
        except IdentityExposed as error:
            self._reject(source, RejectedInput("identifier-survived", str(error)))
            return None
        except DAMAGE as error:
            self._reject(source, RejectedInput("unreadable", f"damaged inside: {type(error).__name__}"))
            return None
        self.tally.bytes += source.size_bytes
        if row is not None and arrival.instance is not None:
            whose = {name: getattr(arrival.instance, name) for name in ("patient_key", "series_instance_uid")}
            self._facts.extend(replace(fact, **whose) for fact in row.image)
        self._add(arrival)
        return arrival

    def _reject(self, source: Source, error: RejectedInput) -> None:
        self._add(Arrival("rejected", rejected=self._intake.rejected(source, error)))

    def _add(self, arrival: Arrival) -> None:
        self._batch.append(arrival)
        if len(self._batch) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the batch: blobs are down before the catalogue names them."""
        if self._batch:
            self._intake.settle()
            for arrival in self._catalogue.record(self._batch):
                self.tally.outcomes[arrival.outcome] += 1
                if arrival.outcome == "rejected" and arrival.rejected:
                    self.tally.codes[arrival.rejected.code] += 1
            self._batch = []
        if self._facts:
            self._observe(self._facts)
            self.tally.observations += len(self._facts)
            self._facts = []
