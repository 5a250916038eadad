"""FHIR resources of one run: gathered on disk in whatever order they come, then told to whom they belong.

    read: resource -> statement, dates still the source's own, in a temporary database without a name
    finish: patient -> pseudonym, dates shifted, newest version -> observations

A Patient may come after thousands of files that speak of it, or have come in an earlier run: what was stored says by
which references it is known. Each resource is a method of its own (``fhir/<digest>``), so that in the table of
observations a newer version replaces all rows of the one before. Start reading at `FhirRun`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tapetum.acquire.fhir_patients import Patients
from tapetum.acquire.mapping import FhirMapping
from tapetum.acquire.walk import Source
from tapetum.errors import RejectedInput, TapetumError
from tapetum.formats.fhir import Entry, resources
from tapetum.formats.fhir_facts import LEFT_OUT, WITHDRAWN, Fact, Statement, is_known_scheme, read_resource
from tapetum.model import Code, Observation, Query
from tapetum.ports import Catalogue
from tapetum.protect import Pseudonymiser, holds_number_or_date, mentions

__all__ = ["METHOD", "Ended", "FhirRun", "shifted"]

METHOD = "fhir/"
SCHEMA = """
create table files (no integer primary key, locator text);
create table resources (
    no integer primary key, file integer, entry integer, kind text, ident text, statement text,
    patient text, method text, version text);
create table stored (method text primary key, source text);
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one resource ended: stored, duplicate, withdrawn, left-out, or rejected with its ``error``.

    ``place`` is the file and the number of the line or entry in it.
    """

    outcome: str
    place: str
    rows: tuple[Observation, ...] = ()
    error: RejectedInput | None = None


@dataclass(frozen=True, slots=True)
class _Attributed:
    """One gathered resource whose patient is known; of several versions in a run one is the newest."""

    is_newest: int
    place: str
    said: str
    patient: str
    method: str
    version: str


class FhirRun:
    """The resources of one run. Memory stays bounded: everything waits in a database that SQLite keeps on disk.

    Parameters
    ----------
    stored : yields the observations whose method begins with a prefix, as they are in the table.
    """

    def __init__(
        self,
        names: Pseudonymiser,
        mapping: FhirMapping,
        catalogue: Catalogue,
        stored: Callable[[str], Iterable[Observation]],
    ) -> None:
        self._names, self._mapping, self._catalogue, self._stored = names, mapping, catalogue, stored
        self._database: sqlite3.Connection | None = None

    def read(self, source: Source) -> Iterator[Ended]:
        """Gather the resources of a file; yields those that cannot be read.

        Raises
        ------
        RejectedInput : the file is no FHIR at all.
        """
        insert = "insert into files (locator) values (?)"
        number = self._open().execute(insert, (source.locator,)).lastrowid or 0
        with source.open() as file:
            for found in resources(file, name=source.locator):
                try:
                    if isinstance(found, RejectedInput):
                        raise found
                    self._gather(found, number)
                except RejectedInput as error:
                    entry = found.number if isinstance(found, Entry) else error.context.get("entry", 0)
                    yield Ended("rejected", f"{source.locator}#{entry}", error=error)

    def places(self) -> Iterator[str]:
        """The files that were read."""
        if self._database is not None:
            yield from (row[0] for row in self._database.execute("select locator from files"))

    def finish(self) -> Iterator[Ended]:
        """Yield how each resource ended, in the order in which they came; then the database is gone."""
        if self._database is None:
            return
        database = self._database
        self._patients.remember(self._remembered(database))
        yield from self._attributed(database)
        for row in database.execute(
            "select r.no = w.no, f.locator || '#' || r.entry, r.statement, r.patient, r.method, r.version"
            " from resources r join files f on f.no = r.file join (select no, method, row_number() over"
            " (partition by method order by version desc, no desc) as rank from resources where method is not null) w"
            " on w.method = r.method and w.rank = 1 order by r.no"
        ):
            yield self._ended(database, _Attributed(*row))
        database.close()
        self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)  # no name: gone when closed, or killed
            self._database.executescript(SCHEMA)
            self._database.execute("begin")
            self._patients = Patients(self._database, self._names, self._mapping)
        return self._database

    def _gather(self, entry: Entry, file: int) -> None:
        statement = read_resource(entry.resource, self._mapping.names)
        if statement.kind == "Patient":
            self._patients.add(entry.resource, entry.full_url, file)
            own = f"Patient/{statement.resource_id}" if statement.resource_id else entry.full_url
            statement = replace(statement, subject=own)
        said = _written(statement)
        ident = statement.resource_id or entry.full_url or self._names.digest([said.encode()])
        row = (file, entry.number, statement.kind, ident, said)
        try:
            self._open().execute(
                "insert into resources (file, entry, kind, ident, statement) values (?, ?, ?, ?, ?)", row
            )
        except sqlite3.OperationalError as error:  # the disk below the temporary folder is full
            hint = "make room in the temporary folder and run the same command again"
            raise TapetumError("this machine cannot hold the resources of the run", hint=hint) from error

    def _remembered(self, database: sqlite3.Connection) -> Iterator[Observation]:
        """Note which version of each resource is stored; yields what says how a patient is referred to."""
        for row in self._stored(METHOD):
            database.execute("insert or replace into stored values (?, ?)", (row.method, row.source))
            if row.name.startswith("reference"):
                yield row

    def _attributed(self, database: sqlite3.Connection) -> Iterator[Ended]:
        """Give every resource its patient, method and version; yields those that belong to nobody, or say nothing."""
        query = (
            "select r.no, r.file, r.kind, r.ident, r.statement, f.locator || '#' || r.entry"
            " from resources r join files f on f.no = r.file order by r.no"
        )
        for number, file, kind, ident, said, place in database.execute(query):
            statement = _statement(said)
            if statement.outcome == LEFT_OUT and not statement.subject:
                yield Ended(LEFT_OUT, place)
                continue
            try:
                patient, words = self._patients.of(statement, file)
                self._refuse_what_tells(statement, words)
            except RejectedInput as error:
                is_used = statement.outcome == ""
                yield Ended("rejected", place, error=error) if is_used else Ended(statement.outcome, place)
                continue
            method = METHOD + self._names.digest((), "fhir", patient, kind, ident)[:24]
            version = _version(statement, patient, self._names)
            database.execute(
                "update resources set patient = ?, method = ?, version = ? where no = ?",
                (patient, method, version, number),
            )

    def _refuse_what_tells(self, statement: Statement, words: frozenset[str]) -> None:
        """A code of no public vocabulary, or a unit of no system, could be somebody's number or name."""
        for fact in statement.facts:
            own = [] if fact.code is None or is_known_scheme(fact.code[1]) else [fact.code[0]]
            if fact.text is not None and fact.text.startswith("99"):
                own.append(fact.text.partition(":")[2])
            if any(mentions(text, words) or holds_number_or_date(text) for text in own) or mentions(fact.unit, words):
                raise RejectedInput("identifier-survived", "a local code or unit names the patient or holds a number")

    def _ended(self, database: sqlite3.Connection, one: _Attributed) -> Ended:
        statement, place = _statement(one.said), one.place
        if not one.is_newest:
            return Ended("duplicate", place)
        if statement.study_instance_uid and not statement.outcome:
            return self._compared(statement, one.patient, place)
        facts = json.dumps([_fields(fact) for fact in statement.facts]).encode()
        source = f"{one.version}|{self._names.digest([facts], statement.outcome)[:32]}"
        found = database.execute("select source from stored where method = ?", (one.method,)).fetchone()
        before = found[0] if found else ""
        if before == source or (one.version and one.version < before.partition("|")[0]):
            return Ended("duplicate", place)
        if statement.outcome:
            gone = Observation(one.patient, WITHDRAWN, text=statement.outcome, method=one.method, source=source)
            return Ended(statement.outcome, place, (gone,) if before else ())
        try:
            rows = [self._row(fact, one.patient, one.method, source) for fact in statement.facts]
        except (ValueError, OverflowError):
            return Ended("rejected", place, error=RejectedInput("invalid-resource", "a date is none"))
        if statement.kind == "Patient":
            rows += self._patients.references(statement, one.patient, one.method, source)
        return Ended("stored", place, tuple(rows))

    def _row(self, fact: Fact, patient: str, method: str, source: str) -> Observation:
        day = shifted(fact.when, patient, self._names)
        is_year = fact.name == "birth_year"
        return Observation(
            patient,
            fact.name,
            value=float(day[:4]) if is_year else fact.value,
            text=fact.text,
            code=Code(*fact.code) if fact.code else None,
            unit=fact.unit,
            effective_at="" if is_year else day,
            method=method,
            source=source,
        )

    def _compared(self, statement: Statement, patient: str, place: str) -> Ended:
        """A study's patient as FHIR says, against the catalogue's."""
        uid = str(self._names.uid(statement.study_instance_uid))
        rows = self._catalogue.find(Query("study", {"StudyInstanceUID": uid}))
        if not rows:
            return Ended(LEFT_OUT, place)
        if rows[0]["PatientID"] != patient:
            return Ended("rejected", place, error=RejectedInput("patient-mismatch"))
        return Ended("duplicate", place)


def shifted(when: str, patient: str, names: Pseudonymiser) -> str:
    """A FHIR dateTime moved by the patient's shift; the time of day stays, a month or year stands for its first day.

    Raises
    ------
    ValueError, OverflowError : it is none, or leaves the calendar.
    """
    if not when:
        return ""
    whole = when + {4: "-01-01", 7: "-01"}.get(len(when), "")
    moment = datetime.fromisoformat(whole)
    day = names.shift_date(moment.date(), patient).isoformat()
    return day if len(whole) == 10 else f"{day}T{moment.timetz().isoformat()}"


def _version(statement: Statement, patient: str, names: Pseudonymiser) -> str:
    """When a resource was last changed, shifted like all dates, and its version; later ones sort behind earlier."""
    if not statement.updated and not statement.version:
        return ""
    try:
        moment = datetime.fromisoformat(statement.updated).astimezone(UTC)
        updated = f"{names.shift_date(moment.date(), patient).isoformat()}T{moment:%H:%M:%S.%f}"
    except (ValueError, OverflowError):
        updated = "0000"
    version = statement.version if statement.version.isdecimal() else ""
    return f"{updated}v{version[:12]:0>12}"


def _written(statement: Statement) -> str:
    """As a list of the fields in their order: `dataclasses.asdict` takes longer than all else."""
    return json.dumps([_fields(statement), [_fields(fact) for fact in statement.facts]])


def _fields(row: Statement | Fact) -> list[Any]:
    return [getattr(row, name) for name in row.__slots__ if name != "facts"]


def _statement(said: str) -> Statement:
    """The inverse of `_written`."""
    values, facts = json.loads(said)
    tree = dict(zip((name for name in Statement.__slots__ if name != "facts"), values, strict=True))
    system, value = tree.pop("subject_identifier")
    return Statement(**tree, facts=tuple(_fact(*fact) for fact in facts), subject_identifier=(system, value))


def _fact(name: str, value: float | None, text: str | None, code: list[str] | None, *more: str) -> Fact:
    return Fact(name, value, text, (code[0], code[1]) if code else None, *more)
