"""A SQL database that other things may use at the same time, and that may go away and come back.

In: a URL.  Out: connections with our defaults, and transactions that are repeated when that is what helps.
Start reading at `Database.write`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tapetum.errors import TapetumError
from tapetum.store.matching import Dialect

__all__ = ["HEAD", "Database", "migrate"]

Result = TypeVar("Result")

HEAD = "0002"
"""The newest migration; a catalogue that stands elsewhere is migrated when it is opened."""

MIGRATING = 0x7A9E0000
"""Number of the advisory lock under which PostgreSQL is migrated: many processes may open a new catalogue at once."""

PATIENCE_SECONDS = 60.0
"""How long a server may be away, as when it is restarted."""

PASSES = ("40001", "40P01", "23505", "55P03")
"""PostgreSQL's codes of what goes well the next time: serialization, deadlock, somebody was quicker, lock timeout."""

AWAY = ("08", "57P")
"""Beginnings of its codes for a server that is stopping, starting or gone."""


class Database:
    """Connections to one SQLite file or one PostgreSQL database.

    Parameters
    ----------
    url : SQLAlchemy's URL; ``postgresql://`` means psycopg 3. The schema is brought up to date.

    Raises
    ------
    TapetumError : here and in `read` and `write`: no room, locked too long, or the server stays away.
    """

    def __init__(self, url: str) -> None:
        if url.startswith("postgresql://"):
            url = url.replace("postgresql", "postgresql+psycopg", 1)
        # Parameters hold names of patients: they have no place in messages.
        options: dict[str, Any] = {"json_serializer": _to_json, "hide_parameters": True}
        if url.startswith("postgresql"):
            options |= {"isolation_level": "READ COMMITTED", "pool_pre_ping": True, "pool_size": 8, "max_overflow": 16}
        self.engine = create_engine(url, **options)
        self.dialect = cast(Dialect, self.engine.dialect.name)
        if self.dialect == "sqlite":
            event.listen(self.engine, "connect", _sqlite_defaults)
        self.read(self._migrate_if_old)

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run some questions, again if the server went away meanwhile."""
        return self._patiently(lambda: self._once(work))

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Run a transaction, again as a whole if others stood in its way or the server went away meanwhile.

        ``work`` must ask the database what is there already, because its first run may have been committed.
        """
        return self._patiently(lambda: self._transaction(work))

    def analyse(self) -> None:
        """Let SQLite count what its indexes hold, so that a search begins with what leaves least: milliseconds.

        PostgreSQL does so by itself.
        """
        if self.dialect == "sqlite":
            with self.engine.begin() as connection:
                connection.exec_driver_sql("PRAGMA analysis_limit=1000")
                connection.exec_driver_sql("ANALYZE")

    def _once(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.connect() as connection:
            return work(connection)

    def _transaction(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.begin() as connection:
            if self.dialect == "sqlite":
                # Take the write lock before looking: two runs at once must not both find a place empty.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            return work(connection)

    def _patiently(self, attempt: Callable[[], Result]) -> Result:
        started, pause = time.monotonic(), 0.01
        while True:
            try:
                return attempt()
            except DBAPIError as error:
                if self.dialect == "sqlite" or not _may_pass(error) or time.monotonic() - started > PATIENCE_SECONDS:
                    if isinstance(error, OperationalError):
                        raise _told(error) from error
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _migrate_if_old(self, connection: Connection) -> None:
        if _version(connection) != HEAD:
            connection.close()
            migrate(self.engine)


def migrate(engine: Engine) -> None:
    """Bring the schema up to date with Alembic, which is imported here because it is seldom needed and slow."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return cast("str | None", connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def _told(error: OperationalError) -> TapetumError:
    """What is wrong with the machine or the server, as an error of ours: full, locked, stopped."""
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or "no answer"
    hint = "make room, or see that the database runs, and run the same command again; what was acknowledged is kept"
    return TapetumError("the database cannot be read or written", hint=hint, reason=code)


def _may_pass(error: DBAPIError) -> bool:
    code = str(getattr(error.orig, "sqlstate", None) or "")
    no_connection = error.connection_invalidated or (not code and not isinstance(error, IntegrityError))
    return no_connection or code in PASSES or code.startswith(AWAY)


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _sqlite_defaults(connection: sqlite3.Connection, _record: object) -> None:
    """WAL lets readers read while a batch is written; FULL syncs at every commit, so what is committed is durable."""
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=30000",
        "cache_size=-65536",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
