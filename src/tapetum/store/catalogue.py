"""The catalogue on SQLite or PostgreSQL: `ports.Catalogue`. One transaction a batch, so that a killed run leaves whole
batches or nothing of one. Start at `SqlCatalogue.record` (more in `store.batch`) and `SqlCatalogue.find`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, select

from tapetum.errors import NotFound
from tapetum.model import LEVELS, Arrival, Instance, Level, Query, Rejected, Row, Series
from tapetum.store import schema
from tapetum.store.batch import portions, rows_by, write
from tapetum.store.database import Database
from tapetum.store.matching import Dialect
from tapetum.store.rows import Values, attributes_of, row_of
from tapetum.store.search import PRIMARY, count_of, keys_of, order_of

__all__ = ["SqlCatalogue"]

PAGE = 1000
"""So many series at a time are read where all are wanted."""

ANALYSE_AT = 1000
"""After so many arrivals, and whenever they have doubled since, the database looks at how its tables have grown."""

Key = int | str

# Asked for every object that arrives, so it is plain SQL: to build a statement takes longer than to answer it.
KNOWN: dict[Dialect, str] = {
    "sqlite": "SELECT source_digest FROM instance WHERE source_digest IN (SELECT value FROM json_each(?))",
    "postgresql": "SELECT source_digest FROM instance WHERE source_digest = ANY(%s)",
}


class SqlCatalogue:
    """`ports.Catalogue` over SQLAlchemy.

    Parameters
    ----------
    url : a database URL, such as ``sqlite:///hospital/catalogue.db``. Its schema is brought up to date.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self._recorded, self._analyse_at = 0, ANALYSE_AT

    def close(self) -> None:
        """Give back the connections."""
        self.database.close()

    def known(self, source_digests: Sequence[str]) -> set[str]:
        """Those of the digests that are stored instances already."""

        dialect, digests = self.database.dialect, list(source_digests)
        asked = (json.dumps(digests) if dialect == "sqlite" else digests,)
        found = self.database.read(lambda connection: connection.exec_driver_sql(KNOWN[dialect], asked).scalars().all())
        return set(found)

    def record(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write a batch in one transaction.

        A stored arrival ends as duplicate when its object is there already, and as rejected when its UIDs contradict
        the catalogue (conflicting-instance, mixed-series). The others are returned as they came.
        """
        ended = self.database.write(lambda connection: write(connection, arrivals))
        self._recorded += len(ended)
        if self._recorded >= self._analyse_at:
            self._analyse_at = 2 * self._recorded
            self.database.analyse()
        return ended

    def series(self, query: Query | None = None) -> list[Series]:
        """Every series, ordered by patient key and UID; with a query of series, its matches in their own order.

        Raises
        ------
        InvalidQuery : as `find` does.
        """
        table = schema.series
        if query is None:
            return self._series(select(table).order_by(table.c.patient_key, table.c.series_instance_uid))
        if query.level != "series":
            raise ValueError("a query at the level of series is asked for")
        statement = keys_of(query, self.database.dialect)

        def look(connection: Connection) -> list[Series]:
            keys = list(connection.scalars(statement))
            rows = _by_key(connection, "series", keys)
            above = _Above(connection)
            above.add(rows.values())
            return [above.series(rows[key]) for key in keys if key in rows]

        return self.database.read(look)

    def one(self, series_instance_uid: str) -> Series:
        """One series. Raises NotFound."""
        found = self._series(select(schema.series).where(schema.series.c.series_instance_uid == series_instance_uid))
        if not found:
            raise NotFound("no such series", series_instance_uid=series_instance_uid)
        return found[0]

    def instances(self, series_instance_uid: str) -> list[Instance]:
        """The instances of one series, ordered by UID. Raises NotFound for an unknown series."""
        series, many = schema.series, schema.instance

        def look(connection: Connection) -> list[Instance]:
            parents = _read(connection, select(series).where(series.c.series_instance_uid == series_instance_uid))
            if not parents:
                raise NotFound("no such series", series_instance_uid=series_instance_uid)
            above = _Above(connection)
            above.add(parents)
            rows = select(many).where(many.c.series_instance_uid == series_instance_uid)
            return [above.instance(row) for row in _read(connection, rows.order_by(many.c.sop_instance_uid))]

        return self.database.read(look)

    def find(self, query: Query) -> list[Row]:
        """The matches of a query at its level: see `tapetum.model.Query`.

        Raises
        ------
        InvalidQuery : a keyword does not exist, or a value cannot be matched with it.
        """
        statement = keys_of(query, self.database.dialect)

        def look(connection: Connection) -> list[Row]:
            keys = list(connection.scalars(statement))
            rows = _by_key(connection, query.level, keys)
            above = _Above(connection)
            if query.level == "series":
                above.add(rows.values())
            elif query.level == "instance":
                above.add_series({row["series_instance_uid"] for row in rows.values()})
            elif query.level == "study":
                above.add_patients({row["patient_key"] for row in rows.values()})
            return [above.row(query.level, rows[key]) for key in keys if key in rows]

        return self.database.read(look)

    def count(self, query: Query) -> int:
        """How many matches there are; limit and offset are not looked at. Raises InvalidQuery as `find` does."""
        statement = count_of(query, self.database.dialect)
        return self.database.read(lambda connection: connection.execute(statement).scalar_one())

    def select(self, query: Query) -> Iterator[Instance]:
        """Every instance below the matches of a query of any level, a page at a time."""
        found = self._keys(keys_of(query, self.database.dialect))
        if query.level == "instance":
            for part in portions(found):
                yield from self._instances(part)
            return
        series, many = schema.series.c, schema.instance.c
        column = {"patient": series.patient_key, "study": series.study_id, "series": series.id}[query.level]
        for key in found:
            below = select(many.sop_instance_uid).join(
                schema.series, many.series_instance_uid == series.series_instance_uid
            ).where(column == key).order_by(*order_of(Query("instance")))  # fmt: skip
            uids = self._keys(below)
            for part in portions(uids):
                yield from self._instances(part)

    def pixel_digests(self) -> dict[str, str]:
        """Series UID -> sha256 over the sorted pixel digests of its instances."""
        column = schema.instance.c
        found: dict[str, list[str]] = {}
        statement = select(column.series_instance_uid, column.pixel_digest)
        for uid, digest in self.database.read(lambda connection: connection.execute(statement).all()):
            found.setdefault(uid, []).append(digest)
        return {uid: hashlib.sha256("".join(sorted(many)).encode()).hexdigest() for uid, many in found.items()}

    def rejected(self) -> list[Rejected]:
        """The quarantine, ordered by code."""
        table = schema.rejected
        statement = select(table).order_by(table.c.code, table.c.arrived)
        return [Rejected(**row) for row in self.database.read(lambda connection: _read(connection, statement))]

    def _keys(self, statement: Select[Any]) -> list[Key]:
        return self.database.read(lambda connection: list(connection.scalars(statement)))

    def _series(self, statement: Any) -> list[Series]:
        def look(connection: Connection) -> list[Series]:
            rows = _read(connection, statement)
            above = _Above(connection)
            for start in range(0, len(rows), PAGE):
                above.add(rows[start : start + PAGE])
            return [above.series(row) for row in rows]

        return self.database.read(look)

    def _instances(self, keys: list[Key]) -> list[Instance]:
        def look(connection: Connection) -> list[Instance]:
            rows = _by_key(connection, "instance", keys)
            above = _Above(connection)
            above.add_series({row["series_instance_uid"] for row in rows.values()})
            return [above.instance(rows[key]) for key in keys if key in rows]

        return self.database.read(look)


class _Above:
    """What stands above some rows, read once: by it rows are completed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[Level, dict[Any, Values]] = {level: {} for level in LEVELS}

    def add_series(self, uids: set[str]) -> None:
        """Take in the series of some instances."""
        found = self._connection.execute(rows_by(schema.series.c.series_instance_uid), {"keys": sorted(uids)})
        self.add([dict(row) for row in found.mappings()])

    def add(self, series: Iterable[Values]) -> None:
        """Take in some series, and read what stands above them."""
        series = list(series)
        self._rows["series"].update({row["series_instance_uid"]: row for row in series})
        self.add_studies({row["study_id"] for row in series})

    def add_studies(self, ids: set[int]) -> None:
        """Read some studies and their patients."""
        found = _by_key(self._connection, "study", sorted(ids - self._rows["study"].keys()))
        self._rows["study"].update(found)
        self.add_patients({row["patient_key"] for row in found.values()})

    def add_patients(self, keys: set[str]) -> None:
        """Read some patients."""
        there = self._rows["patient"]
        there.update(_by_key(self._connection, "patient", sorted(keys - there.keys())))

    def _chain(self, level: Level, row: Values) -> Iterator[tuple[Level, Values]]:
        """The rows above a row, and itself, highest first."""
        if level == "instance":
            yield from self._chain("series", self._rows["series"][row["series_instance_uid"]])
        elif level == "series":
            yield from self._chain("study", self._rows["study"][row["study_id"]])
        elif level == "study":
            yield from self._chain("patient", self._rows["patient"][row["patient_key"]])
        yield level, row

    def row(self, level: Level, row: Values) -> Row:
        """A match, by keyword."""
        found: Values = {}
        for place, one in self._chain(level, row):
            found.update(row_of(place, one))
        return found

    def series(self, row: Values) -> Series:
        said: Values = {}
        for level, one in self._chain("series", row):
            said.update(attributes_of(level, one))
        if row["sop_class_uid"]:
            said["SOPClassUID"] = row["sop_class_uid"]
        site = str(said.pop("site", ""))
        names = ("series_instance_uid", "study_instance_uid", "patient_key", "modality", "role", "format", "instances")
        return Series(**{name: row[name] for name in names}, site=site, attributes=said)

    def instance(self, row: Values) -> Instance:
        said: Values = {}
        for level, one in self._chain("instance", row):
            said.update(attributes_of(level, one))
        series = self._rows["series"][row["series_instance_uid"]]
        shared = {name: series[name] for name in ("study_instance_uid", "patient_key", "format", "role")}
        names = ("sop_instance_uid", "series_instance_uid", "blob", "source_digest", "size_bytes")
        return Instance(**{name: row[name] for name in names}, **shared, attributes=said)


def _read(connection: Connection, statement: Any) -> list[Values]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def _by_key(connection: Connection, level: Level, keys: Sequence[Key]) -> dict[Key, Values]:
    """Rows of a level by their primary keys."""
    column = schema.metadata.tables[level].c[PRIMARY[level]]
    found: dict[Key, Values] = {}
    for some in portions(keys):
        for row in connection.execute(rows_by(column), {"keys": some}).mappings():
            found[row[column.name]] = dict(row)
    return found
