"""Keeping what was acquired: is every object still what it was, and what if the catalogue is lost?

Start at `verify` and `repair`.
"""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tapetum import settings
from tapetum.acquire import Intake, Policy
from tapetum.acquire.ingest import DAMAGE, refusal
from tapetum.acquire.walk import Source
from tapetum.errors import TapetumError
from tapetum.flow.ledger import Ledger
from tapetum.flow.workspace import CATALOGUE_FILE, Workspace
from tapetum.formats.sniff import HEAD_BYTES, sniff
from tapetum.model import Arrival
from tapetum.ports import BlobStore
from tapetum.protect import RealNames
from tapetum.store import replay

__all__ = ["Checked", "Repaired", "repair", "verify"]

STATE_FILE = "verify.db"
READERS = 4
"""So many blobs are read at once: enough to keep a disk busy, or to hide what S3 takes to answer."""

PAGE = 256
WHOLE, MISSING, CHANGED, UNREADABLE, ORPHANED = "whole", "missing", "changed", "unreadable", "orphaned"
FRESH_DAYS = 7

Item = TypeVar("Item")


@dataclass(slots=True)
class Checked:
    """What a check found. ``wrong`` has a row a problem: missing, changed, unreadable or orphaned."""

    blobs: int = 0
    bytes: int = 0
    total_bytes: int = 0
    seconds: float = 0.0
    wrong: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        problems = Counter(row["problem"] for row in self.wrong)
        return {
            "whole": self.blobs,
            **{name: problems[name] for name in (MISSING, CHANGED, UNREADABLE, ORPHANED)},
            "bytes_read": self.bytes,
            "megabytes_per_second": round(self.bytes / 1e6 / self.seconds, 1) if self.seconds else 0.0,
            "wrong": self.wrong,
        }


@dataclass(slots=True)
class Repaired:
    """What a repair did.

    ``noted`` lines of the journal were played back, of which ``restored`` instances were not in the catalogue;
    ``described`` DICOM objects without a line were read. ``unplaced`` blobs do not say whose they are. ``set_aside``
    is where a damaged catalogue lies now.
    """

    noted: int = 0
    restored: int = 0
    described: int = 0
    unplaced: list[str] = field(default_factory=list)
    set_aside: str = ""

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {name: getattr(self, name) for name in ("noted", "restored", "described", "unplaced", "set_aside")}


def verify(
    workspace: Workspace, *, restart: bool = False, on_progress: Callable[[Checked], object] = lambda _: None
) -> Checked:
    """Read every blob that the catalogue names and compare it with its digest.

    What was read is remembered in the workspace: a run that was stopped goes on where it was, unless it began more
    than a week ago. Memory does not grow with the archive. Objects may arrive meanwhile.

    Parameters
    ----------
    restart : forget what a stopped run has read.
    on_progress : is told after every few blobs; ``wrong`` is filled at the end.

    Raises
    ------
    TapetumError : the store cannot be asked; what was read until then is remembered.
    """
    path = workspace.folder / STATE_FILE
    if path.exists() and (restart or time.time() - path.stat().st_mtime > FRESH_DAYS * 86_400):
        path.unlink()
    with closing(Ledger(path)) as ledger:
        ledger.fill(workspace.blobs, workspace.catalogue)
        checked = Checked(total_bytes=ledger.left()[1])
        started = time.monotonic()
        with ThreadPoolExecutor(READERS) as readers:
            for page in ledger.pages(PAGE):
                keys = [key for key, _ in page]
                states = list(readers.map(lambda key: _look(workspace.blobs, key), keys))
                ledger.enter(zip(keys, states, strict=True))
                checked.bytes += sum(size for _, size in page)
                checked.seconds = time.monotonic() - started
                on_progress(checked)
        if ledger.count(ORPHANED):
            ledger.name(workspace.catalogue)  # what was under way at the first list is recorded by now
        checked.wrong = list(ledger.wrong())
        checked.blobs = ledger.count(WHOLE)
    path.unlink()
    return checked


def _look(blobs: BlobStore, key: str) -> str:
    """What has become of a blob."""
    try:
        with blobs.open(key) as file:
            with suppress(OSError, AttributeError):
                # What the disk holds is asked, not what memory remembers of it.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except KeyError:
        return MISSING
    except OSError:
        return UNREADABLE
    return WHOLE if found == key else CHANGED


def repair(folder: str | Path, *, on_progress: Callable[[Repaired], object] = lambda _: None, **flags: Any) -> Repaired:
    """Make the catalogue again from the blobs and their journal; on a healthy workspace nothing changes.

    A catalogue that cannot be read is set aside. The journal is played back in its order; then every blob that is
    still named nowhere is read, and described if it is a DICOM object.

    Parameters
    ----------
    folder : the workspace's; nothing else may have it open.
    flags : settings, as for `Workspace`.

    Raises
    ------
    NotFound : the folder is no workspace.
    """
    done = Repaired(set_aside=_set_aside(Path(folder), flags))
    workspace = Workspace(folder, **flags)
    for batch in _batches(replay(workspace.blobs)):
        ended = workspace.catalogue.record_again(batch)
        done.noted += len(batch)
        done.restored += sum(arrival.outcome == "stored" for arrival in ended)
        on_progress(done)
    for batch in _batches(_described(workspace, done)):
        ended = workspace.catalogue.record(batch)
        done.described += sum(arrival.outcome == "stored" for arrival in ended)
        on_progress(done)
    return done


def _set_aside(folder: Path, flags: dict[str, Any]) -> str:
    """Move a damaged catalogue out of the way, with what SQLite wrote beside it; its new name."""
    place = folder / CATALOGUE_FILE
    if not place.exists() or settings.load(folder, flags=flags).store_catalogue_url or not _is_damaged(place):
        return ""
    name = f"{CATALOGUE_FILE}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            place.with_name(CATALOGUE_FILE + ending).rename(folder / (name + ending))
    return name


def _is_damaged(place: Path) -> bool:
    try:
        with closing(sqlite3.connect(place)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError:
        return True


def _described(workspace: Workspace, done: Repaired) -> Iterator[Arrival]:
    """The blobs that neither journal nor catalogue name, described by their own bytes, as if they arrived now."""
    # What is stored is kept as it is: it was de-identified on its way in, if it was to be.
    policy = Policy(deidentify=False, site=workspace.settings.acquire_site, max_bytes=1 << 62)
    intake = Intake(workspace.blobs, workspace.catalogue, RealNames.like(workspace.names), policy, None)
    with tempfile.TemporaryDirectory() as scratch, closing(Ledger(Path(scratch) / STATE_FILE)) as ledger:
        ledger.fill(workspace.blobs, workspace.catalogue)
        for key in ledger.orphans():
            try:
                yield intake.take(_source(workspace.blobs, key), None)
            except (TapetumError, *DAMAGE) as error:
                refusal(error)  # raises what is not the object's own fault
                done.unplaced.append(key)


def _source(blobs: BlobStore, key: str) -> Source:
    with blobs.open(key) as file:
        kind = sniff(file.read(HEAD_BYTES))
        size = file.seek(0, io.SEEK_END)
    return Source(f"blob:{key}", "", kind, size, 0, lambda: blobs.open(key))


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, PAGE)):
        yield batch
