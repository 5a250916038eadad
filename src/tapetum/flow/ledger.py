"""Which blobs there are, which of them the catalogue names, what a check of each found: a file that outlives a stop.

In: keys, instances, findings.  Out: what is left to look at, page by page; what is wrong.  SQLite, so that memory does
not grow with the archive.  Start reading at `Ledger`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from tapetum.model import Query
from tapetum.ports import BlobStore, Catalogue

__all__ = ["Ledger"]

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS blob (key TEXT PRIMARY KEY, uid TEXT NOT NULL, series TEXT NOT NULL, "
    "size INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID"
)
# What an earlier run found whole stays so; all else may have been mended since.
FORGET = "DELETE FROM blob WHERE state <> 'whole'"
# A blob that is in the store is an orphan until the catalogue names it.
IN_STORE = "INSERT OR IGNORE INTO blob VALUES (?, '', '', 0, 'orphaned')"
NAMED = (
    "INSERT INTO blob VALUES (?, ?, ?, ?, 'new') ON CONFLICT (key) DO UPDATE SET uid = excluded.uid, "
    "series = excluded.series, size = excluded.size, state = CASE state WHEN 'orphaned' THEN 'new' ELSE state END"
)


class Ledger:
    """One row a blob, with its state: new, whole, orphaned, or what is wrong with it.

    Parameters
    ----------
    path : the file; what an earlier run found is kept.
    """

    def __init__(self, path: Path) -> None:
        self._rows = sqlite3.connect(path)
        self._rows.execute("PRAGMA synchronous = OFF")  # lost with the machine, it is made again
        self._rows.execute(SCHEMA)

    def close(self) -> None:
        """Keep what is written."""
        self._rows.commit()
        self._rows.close()

    def fill(self, blobs: BlobStore, catalogue: Catalogue) -> None:
        """Enter every blob of the store, then every one that the catalogue names.

        In this order, because objects may arrive meanwhile: what is put after the first list is no orphan.
        """
        with self._rows:
            self._rows.execute(FORGET)
            self._rows.executemany(IN_STORE, ((key,) for key in blobs.keys()))  # noqa: SIM118 - no mapping
        self.name(catalogue)

    def name(self, catalogue: Catalogue) -> None:
        """Enter every blob that the catalogue, or its quarantine, names."""
        instances = catalogue.select(Query("patient"))
        with self._rows:
            self._rows.executemany(
                NAMED, ((row.blob, row.sop_instance_uid, row.series_instance_uid, row.size_bytes) for row in instances)
            )
            kept = (row for row in catalogue.rejected() if row.blob)
            self._rows.executemany(NAMED, ((row.blob, "", "", row.size_bytes) for row in kept))

    def left(self) -> tuple[int, int]:
        """How many blobs are to be looked at, and their bytes."""
        one = "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE state = 'new'"
        count, size = self._rows.execute(one).fetchone()
        return int(count), int(size)

    def pages(self, size: int) -> Iterator[list[tuple[str, int]]]:
        """(key, bytes) of the blobs to be looked at, in the order of their keys, so many at a time."""
        some = "SELECT key, size FROM blob WHERE state = 'new' AND key > ? ORDER BY key LIMIT ?"
        last = ""
        while page := self._rows.execute(some, (last, size)).fetchall():
            yield page
            last = page[-1][0]

    def enter(self, found: Iterable[tuple[str, str]]) -> None:
        """Write down what was found: (key, state)."""
        with self._rows:
            self._rows.executemany("UPDATE blob SET state = ? WHERE key = ?", ((state, key) for key, state in found))

    def count(self, state: str) -> int:
        """How many blobs are in a state."""
        return int(self._rows.execute("SELECT count(*) FROM blob WHERE state = ?", (state,)).fetchone()[0])

    def wrong(self) -> Iterator[dict[str, str]]:
        """What is wrong: the problem, the blob, and the object that it was."""
        some = "SELECT state, key, uid, series FROM blob WHERE state NOT IN ('new', 'whole') ORDER BY state, key"
        for state, key, uid, series in self._rows.execute(some):
            yield {"problem": state, "blob": key, "sop_instance_uid": uid, "series_instance_uid": series}

    def orphans(self) -> Iterator[str]:
        """The blobs that nothing names."""
        for (key,) in self._rows.execute("SELECT key FROM blob WHERE state = 'orphaned' ORDER BY key").fetchall():
            yield key
