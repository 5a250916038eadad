"""The catalogue on any SQLAlchemy URL: SQLite by default. One transaction a batch, so that a killed run leaves whole
batches or nothing of one. Start at `SqlCatalogue.record`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, inspect, select, update

from tapetum.errors import REJECTIONS, NotFound
from tapetum.model import Arrival, Instance, Rejected, Series
from tapetum.store import schema

__all__ = ["SqlCatalogue", "migrate"]

HEAD = "0001"
"""The newest migration; a catalogue that stands elsewhere is migrated when it is opened."""


MAX_VARIABLES = 500
"""Of one statement: databases allow some thousand."""


class SqlCatalogue:
    """`ports.Catalogue` over SQLAlchemy.

    Parameters
    ----------
    url : a database URL, such as ``sqlite:///hospital/catalogue.db``. Its schema is brought up to date.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _sqlite_defaults)
        with self._engine.connect() as connection:
            if _version(connection) != HEAD:
                connection.close()
                migrate(self._engine)

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def known(self, source_digests: Sequence[str]) -> set[str]:
        """Those of the digests that are stored instances already."""
        column = schema.instance.c.source_digest
        with self._engine.connect() as connection:
            return {
                digest
                for start in range(0, len(source_digests), MAX_VARIABLES)
                for digest in connection.scalars(
                    select(column).where(column.in_(source_digests[start : start + MAX_VARIABLES]))
                )
            }

    def record(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write a batch in one transaction.

        A stored arrival ends as duplicate when its object is there already, and as rejected when its UIDs contradict
        the catalogue (conflicting-instance, mixed-series). The others are returned as they came.
        """
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock before looking: two runs at once must not both find a place empty.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            return [self._record_one(connection, arrival) for arrival in arrivals]

    def _record_one(self, connection: Connection, arrival: Arrival) -> Arrival:
        if arrival.instance is not None and arrival.outcome == "stored":
            arrival = _place(connection, arrival, arrival.instance)
        if arrival.outcome != "rejected":
            connection.execute(delete(schema.rejected).where(schema.rejected.c.arrived == arrival.arrived))
        elif arrival.rejected is not None:
            _quarantine(connection, arrival.rejected)
        return arrival

    def series(self) -> list[Series]:
        """Every series, ordered by patient key and UID."""
        table = schema.series
        with self._engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.patient_key, table.c.series_instance_uid))
            return [Series(**row) for row in rows.mappings()]

    def instances(self, series_instance_uid: str) -> list[Instance]:
        """The instances of one series, ordered by UID. Raises NotFound for an unknown series."""
        one, many = schema.series, schema.instance
        with self._engine.connect() as connection:
            parent = connection.execute(select(one).where(one.c.series_instance_uid == series_instance_uid)).mappings()
            shared = parent.one_or_none()
            if shared is None:
                raise NotFound("no such series", series_instance_uid=series_instance_uid)
            rows = connection.execute(
                select(many).where(many.c.series_instance_uid == series_instance_uid).order_by(many.c.sop_instance_uid)
            )
            facts = {name: shared[name] for name in ("study_instance_uid", "patient_key", "format", "role")}
            return [Instance(**row, **facts) for row in rows.mappings()]

    def pixel_digests(self) -> dict[str, str]:
        """Series UID -> sha256 over the sorted pixel digests of its instances."""
        columns = (schema.instance.c.series_instance_uid, schema.instance.c.attributes)
        found: dict[str, list[str]] = {}
        with self._engine.connect() as connection:
            for uid, attributes in connection.execute(select(*columns)):
                found.setdefault(uid, []).append(attributes["pixel_digest"])
        return {uid: hashlib.sha256("".join(sorted(many)).encode()).hexdigest() for uid, many in found.items()}

    def rejected(self) -> list[Rejected]:
        """The quarantine, ordered by code."""
        table = schema.rejected
        with self._engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.code, table.c.arrived))
            return [Rejected(**row) for row in rows.mappings()]


def migrate(engine: Engine) -> None:
    """Bring the schema up to date with Alembic, which is imported here because it is seldom needed and slow."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def _quarantine(connection: Connection, row: Rejected) -> None:
    """Write a row of the quarantine; one that says the same already stays as it is (a seal differs every time)."""
    table = schema.rejected
    there = connection.execute(select(table).where(table.c.arrived == row.arrived)).mappings().one_or_none()
    facts = {"code": row.code, "message": row.message, "size_bytes": row.size_bytes}
    if there is None:
        connection.execute(insert(table).values(arrived=row.arrived, locator=row.locator, **facts))
    elif any(there[name] != value for name, value in facts.items()):
        connection.execute(update(table).where(table.c.arrived == row.arrived).values(locator=row.locator, **facts))


def _place(connection: Connection, arrival: Arrival, new: Instance) -> Arrival:
    """Insert an instance, and its series when it is the first of it; or say why not."""
    there = connection.execute(
        select(schema.instance.c.blob, schema.instance.c.source_digest).where(
            (schema.instance.c.sop_instance_uid == new.sop_instance_uid)
            | (schema.instance.c.source_digest == new.source_digest)
        )
    ).first()
    if there is not None:
        same = there.blob == new.blob or there.source_digest == new.source_digest
        return replace(arrival, outcome="duplicate") if same else _refused(arrival, "conflicting-instance")
    table = schema.series
    parent = connection.execute(select(table).where(table.c.series_instance_uid == new.series_instance_uid)).mappings()
    row = parent.one_or_none()
    wanted = {
        "study_instance_uid": new.study_instance_uid,
        "patient_key": new.patient_key,
        "modality": str(new.attributes.get("Modality", "")),
        "format": new.format,
    }
    if row is None:
        connection.execute(insert(table).values(**wanted, **_series_facts(new)))
    elif any(row[name] != value for name, value in wanted.items()):
        return _refused(arrival, "mixed-series")
    else:
        connection.execute(
            update(table)
            .where(table.c.series_instance_uid == new.series_instance_uid)
            .values(instances=table.c.instances + 1)
        )
    connection.execute(
        insert(schema.instance).values(
            sop_instance_uid=new.sop_instance_uid,
            series_instance_uid=new.series_instance_uid,
            blob=new.blob,
            source_digest=new.source_digest,
            size_bytes=new.size_bytes,
            attributes=dict(new.attributes),
        )
    )
    return arrival


def _series_facts(new: Instance) -> dict[str, Any]:
    shared = {name: value for name, value in new.attributes.items() if name not in ("pixel_digest", "InstanceNumber")}
    return {
        "series_instance_uid": new.series_instance_uid,
        "role": new.role,
        "site": str(shared.pop("site", "")),
        "instances": 1,
        "attributes": shared,
    }


def _refused(arrival: Arrival, code: str) -> Arrival:
    """The arrival as a quarantine row; the caller has sealed the locator for this case beforehand."""
    if arrival.rejected is None:
        raise ValueError("a stored arrival carries the row that it becomes when it is refused")
    return replace(arrival, outcome="rejected", rejected=replace(arrival.rejected, code=code, message=REJECTIONS[code]))


def _sqlite_defaults(connection: sqlite3.Connection, _record: object) -> None:
    """WAL lets readers read while a batch is written; NORMAL syncs at checkpoints and cannot corrupt (sqlite.org)."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")
