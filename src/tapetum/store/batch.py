"""A batch of arrivals, written in a handful of statements.

In: arrivals and an open transaction.  Out: the arrivals as they ended.  First everything the batch speaks of is read,
then each arrival is judged in memory, then what is new is inserted and counters are raised, table by table.
Start reading at `write`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Insert, Select, Table, Update, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tapetum.errors import REJECTIONS
from tapetum.model import LEVELS, Arrival, Instance, Level, Rejected
from tapetum.store import schema
from tapetum.store.rows import (
    Values,
    attributes_of,
    fold,
    instance_row,
    modalities,
    patient_row,
    series_row,
    spread,
    study_row,
)
from tapetum.store.schema import KEYS

__all__ = ["MAX_VARIABLES", "portions", "rows_by", "write"]

MAX_VARIABLES = 500
"""Of one statement: databases allow some thousand."""

LOCK_CLASS = 0x7A9E
"""First number of our advisory locks in PostgreSQL."""

Study = tuple[str, str]
ABOVE: tuple[Level, ...] = ("patient", "study", "series")
COUNTERS: dict[Level, tuple[str, ...]] = {
    "patient": ("studies",),
    "study": ("series", "instances"),
    "series": ("instances",),
}
SEARCHED = ("words", "scanner")
QUARANTINED = tuple(column.name for column in schema.rejected.columns)


def portions(values: Iterable[Any]) -> Iterator[list[Any]]:
    """The values in order, as many at a time as a statement may name."""
    listed = list(values)
    for start in range(0, len(listed), MAX_VARIABLES):
        yield listed[start : start + MAX_VARIABLES]


def write(connection: Connection, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Write a batch within the caller's transaction; see `ports.Catalogue.record`.

    Raises
    ------
    IntegrityError : another writer was quicker (PostgreSQL only); repeat the whole transaction.
    """
    batch = _Batch(connection, [item.instance for item in arrivals if item.instance and item.outcome == "stored"])
    ended = [
        batch.place(item, item.instance) if item.instance is not None and item.outcome == "stored" else item
        for item in arrivals
    ]
    batch.insert()
    _quarantine(connection, ended)
    return ended


class _Batch:
    """What the catalogue holds of what a batch speaks of, and what the batch adds to it."""

    def __init__(self, connection: Connection, wanted: Sequence[Instance]) -> None:
        self._connection = connection
        if connection.dialect.name == "postgresql":
            _lock(connection, {item.patient_key for item in wanted})
        self._blobs: dict[str, str] = {}
        self._digests: set[str] = set()
        self._meet(wanted)
        one, study, patient = schema.series.c, schema.study.c, schema.patient.c
        series = self._rows(one.series_instance_uid, {item.series_instance_uid for item in wanted})
        studies = self._rows(study.study_instance_uid, {item.study_instance_uid for item in wanted})
        patients = self._rows(patient.patient_key, {item.patient_key for item in wanted})
        self._series: dict[str, Values] = {row["series_instance_uid"]: row for row in series}
        self._studies: dict[Study, Values] = {(row["study_instance_uid"], row["patient_key"]): row for row in studies}
        self._patients: dict[str, Values] = {row["patient_key"]: row for row in patients}
        self._new: dict[Level, list[Values]] = {"patient": [], "study": [], "series": [], "instance": []}
        self._above: dict[str, Values] = {}
        self._raised: dict[Level, dict[Any, Values]] = {"patient": {}, "study": {}, "series": {}}

    def place(self, arrival: Arrival, new: Instance) -> Arrival:
        """Take an instance in, or say why not."""
        there = self._blobs.get(new.sop_instance_uid)
        if new.source_digest in self._digests or there == new.blob:
            return replace(arrival, outcome="duplicate")
        if there is not None:
            return _refused(arrival, new, "conflicting-instance")
        said = spread(new)
        parent = self._series.get(new.series_instance_uid)
        if parent is None:
            parent = self._begin_series(new, said)
        elif not _fits(new, parent):
            return _refused(arrival, new, "mixed-series")
        self._blobs[new.sop_instance_uid] = new.blob
        self._digests.add(new.source_digest)
        self._new["instance"].append(instance_row(new, said, self._said_above(parent)))
        for level, key in (("series", new.series_instance_uid), ("study", (new.study_instance_uid, new.patient_key))):
            self._raise(level, key, "instances")  # type: ignore[arg-type]
        return arrival

    def insert(self) -> None:
        """Write what is new, parents first and in the order of their keys, so that two writers never wait in a ring."""
        self._name_terms()
        for level in LEVELS:
            rows = self._new[level]
            if level == "series" and rows:
                self._name_studies(rows)
            if rows:
                rows.sort(key=lambda row: [row[key] for key in KEYS[level]])
                self._connection.execute(_insertion(schema.metadata.tables[level]), rows)
        for level in ABOVE:
            self._update(level)

    def _meet(self, wanted: Sequence[Instance]) -> None:
        """Which of the objects, or of the bytes, are stored already."""
        for some in portions(wanted):
            keys = {
                "uids": [item.sop_instance_uid for item in some],
                "digests": [item.source_digest for item in some],
            }
            for uid, blob, digest in self._connection.execute(_met(), keys):
                self._blobs[uid] = blob
                self._digests.add(digest)

    def _rows(self, column: Column[Any], keys: set[str]) -> list[Values]:
        found: list[Values] = []
        for some in portions(sorted(keys)):
            found.extend(dict(row) for row in self._connection.execute(rows_by(column), {"keys": some}).mappings())
        return found

    def _begin_series(self, new: Instance, said: dict[Level, Values]) -> Values:
        """A series, and its study and patient when they are new too."""
        if new.patient_key not in self._patients:
            row = patient_row(new, said["patient"])
            self._patients[new.patient_key] = row
            row["words"] = _words(" " + row["patient_name"], row["patient_key"])
            self._new["patient"].append(row)
        key = (new.study_instance_uid, new.patient_key)
        if key not in self._studies:
            row = study_row(new, said["study"])
            row["words"] = _words(" " + row["referring_physician"], row["description"])
            self._studies[key] = row
            self._new["study"].append(row)
            self._raise("patient", new.patient_key, "studies")
        study = self._studies[key]
        row = series_row(new, said, study)
        row["words"] = _words(
            study["description"], row["description"], row["attributes"].get("ProtocolName", ""), row["body_part"]
        )
        row["scanner"] = _words(row["manufacturer"], row["model"])
        self._series[new.series_instance_uid] = row
        self._new["series"].append(row)
        self._raise("study", key, "series")
        if row["modality"] and f"\\{row['modality']}\\" not in study["modalities"]:
            study["modalities"] = "\\".join(["", *sorted({*modalities(study["modalities"]), row["modality"]}), ""])
        return row

    def _said_above(self, series: Values) -> Values:
        """What a series, its study and its patient say, by keyword."""
        uid = series["series_instance_uid"]
        if uid not in self._above:
            study = self._studies[series["study_instance_uid"], series["patient_key"]]
            self._above[uid] = {
                **attributes_of("patient", self._patients[series["patient_key"]]),
                **attributes_of("study", study),
                **attributes_of("series", series),
            }
        return self._above[uid]

    def _raise(self, level: Level, key: Any, counter: str) -> None:
        counters = self._raised[level].setdefault(key, {})
        counters[counter] = counters.get(counter, 0) + 1

    def _update(self, level: Level) -> None:
        """Raise the counters of a level, in the order of its keys."""
        raised = self._raised[level]
        if not raised:
            return
        names = COUNTERS[level]
        rows = []
        for key, counters in sorted(raised.items()):
            named = dict(zip(KEYS[level], key if isinstance(key, tuple) else (key,), strict=True))
            row = {f"of_{name}": value for name, value in named.items()}
            row.update({f"more_{name}": counters.get(name, 0) for name in names})
            if level == "study":
                row["new_modalities"] = self._studies[key]["modalities"]
            rows.append(row)
        self._connection.execute(_raising(level), rows)

    def _name_studies(self, series: list[Values]) -> None:
        """Let new series refer to their studies by the ids that the database gave these."""
        uids = {row["study_instance_uid"] for row in series}
        found = self._rows(schema.study.c.study_instance_uid, uids)
        ids = {(row["study_instance_uid"], row["patient_key"]): row["id"] for row in found}
        for row in series:
            row["study_id"] = ids[row["study_instance_uid"], row["patient_key"]]

    def _name_terms(self) -> None:
        """Let new rows refer to their searched texts by the ids of these, which are made where they are new."""
        places = [(row, name) for level in ABOVE for row in self._new[level] for name in SEARCHED if name in row]
        ids: dict[str, int] = {}
        for some in portions(sorted({row[name] for row, name in places})):
            self._connection.execute(_insert_or_leave(self._connection, schema.term), [{"text": text} for text in some])
            ids.update({row["text"]: row["id"] for row in self._rows(schema.term.c.text, set(some))})
        for row, name in places:
            row[name] = ids[row[name]]


# Statements are built once: building one takes longer than SQLite needs to answer it.


@cache
def rows_by(column: Column[Any]) -> Select[Any]:
    """Whole rows of the column's table in which it is one of ``keys``."""
    return select(column.table).where(column.in_(bindparam("keys", expanding=True)))


@cache
def _met() -> Select[str, str, str]:
    column = schema.instance.c
    return select(column.sop_instance_uid, column.blob, column.source_digest).where(
        column.sop_instance_uid.in_(bindparam("uids", expanding=True))
        | column.source_digest.in_(bindparam("digests", expanding=True))
    )


@cache
def _insertion(table: Table) -> Insert:
    return insert(table)


@cache
def _raising(level: Level) -> Update:
    table = schema.metadata.tables[level]
    values: Values = {name: table.c[name] + bindparam(f"more_{name}") for name in COUNTERS[level]}
    if level == "study":
        values["modalities"] = bindparam("new_modalities")
    return update(table).where(*(table.c[key] == bindparam(f"of_{key}") for key in KEYS[level])).values(values)


def _fits(new: Instance, series: Values) -> bool:
    return (new.study_instance_uid, new.patient_key, str(new.attributes.get("Modality", "")), new.format) == (
        series["study_instance_uid"], series["patient_key"], series["modality"], series["format"],
    )  # fmt: skip


def _words(*texts: str) -> str:
    return fold("\n".join(texts))


def _refused(arrival: Arrival, new: Instance, code: str) -> Arrival:
    """The arrival as a quarantine row; the caller has sealed the locator for this case beforehand."""
    if arrival.rejected is None:
        raise ValueError("a stored arrival carries the row that it becomes when it is refused")
    row = replace(arrival.rejected, code=code, message=REJECTIONS[code], blob=new.blob)
    if code == "conflicting-instance":
        # One row for each object in conflict, wherever it came from and whatever comes from there later: without it
        # nothing would name the blob.
        row = replace(row, arrived=new.blob)
    return replace(arrival, outcome="rejected", rejected=row)


def _quarantine(connection: Connection, ended: Sequence[Arrival]) -> None:
    """Write the rows of the quarantine; what is stored at last leaves it.

    A row that says the same already stays as it is (a seal differs every time).
    """
    table = schema.rejected
    last: dict[str, Rejected | None] = {}
    for item in ended:
        last[item.arrived] = None
        if item.outcome == "rejected" and item.rejected is not None:
            last[item.rejected.arrived] = item.rejected
    there: dict[str, Mapping[str, Any]] = {}
    for some in portions(sorted(last)):
        found = connection.execute(rows_by(table.c.arrived), {"keys": some}).mappings()
        there.update({row["arrived"]: row for row in found})
    same = [key for key, row in last.items() if row is not None and key in there and _same(row, there[key])]
    rows = {key: row for key, row in last.items() if key not in same}
    for some in portions(key for key in rows if key in there):
        connection.execute(delete(table).where(table.c.arrived.in_(some)))
    new = [{name: getattr(row, name) for name in QUARANTINED} for _, row in sorted(rows.items()) if row is not None]
    if new:
        connection.execute(_insert_or_leave(connection, table), new)


def _same(row: Rejected, there: Mapping[str, Any]) -> bool:
    return all(there[name] == getattr(row, name) for name in ("code", "message", "size_bytes", "blob"))


def _insert_or_leave(connection: Connection, table: Table) -> Insert:
    """INSERT ... ON CONFLICT DO NOTHING."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _lock(connection: Connection, patients: set[str]) -> None:
    """Let writers of one patient follow each other and those of different patients go on side by side.

    Advisory locks end with the transaction; they are taken in order, so that two writers never wait in a ring.
    """
    numbers = sorted({zlib.crc32(key.encode()) - (1 << 31) for key in patients})
    for some in portions(numbers):
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(%(class)s, n) FROM unnest(%(some)s::int[]) n",
            {"class": LOCK_CLASS, "some": some},
        )
