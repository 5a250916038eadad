"""Objects that stay where they lie: an archive that must not be copied is read in place. Start at `LinkedBlobs`."""

from __future__ import annotations

import hashlib
import heapq
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from tapetum.errors import TapetumError
from tapetum.ports import BlobStore
from tapetum.store.blobs import CHUNK, KEY_LENGTH, sync_folders

__all__ = ["LinkedBlobs"]


class LinkedBlobs:
    """`ports.BlobStore` that also knows files elsewhere; what is put goes to the store ``beneath``.

    A linked file has the sha256 of its content as key, like every blob, and a symbolic link ``ab/cdef...`` in
    ``folder`` that says where it lies. The link bears the time at which the file was last written: when the file was
    touched since, it is read through before it is given out, and other bytes are as good as none.

    Parameters
    ----------
    folder : where the links lie; made with the first of them.
    beneath : the store of all blobs that are no links.
    """

    def __init__(self, folder: Path, beneath: BlobStore) -> None:
        self._folder, self._beneath = folder, beneath
        self._lock = threading.Lock()
        self._unsynced: set[Path] = set()

    def __reduce__(self) -> tuple[type[LinkedBlobs], tuple[Path, BlobStore]]:
        return type(self), (self._folder, self._beneath)

    def link(self, path: Path) -> str:
        """Remember a file where it lies and return the key of its content; nothing of it is copied.

        Raises
        ------
        OSError : the file cannot be read.
        TapetumError : it was written to while it was read.
        """
        target = path.resolve(strict=True)
        with target.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime_ns
            key = _key_of(file)
            if os.fstat(file.fileno()).st_mtime_ns != written:
                raise TapetumError("a file changed while it was read", hint="acquire it again when it is written")
        place = self._place(key)
        if key not in self:
            place.parent.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".new-{secrets.token_hex(8)}"
            part.symlink_to(target)
            os.utime(part, ns=(written, written), follow_symlinks=False)
            part.replace(place)
        with self._lock:
            self._unsynced |= {place.parent, self._folder, self._folder.parent}
        return key

    def open(self, key: str) -> BinaryIO:
        """A seekable binary file of the content. Raises KeyError when the key is unknown, or its file is not it."""
        linked = self._linked(key)
        return linked if linked is not None else self._beneath.open(key)

    def put(self, data: bytes | BinaryIO) -> str:
        """Store a copy in the store beneath."""
        return self._beneath.put(data)

    def __contains__(self, key: str) -> bool:
        linked = self._linked(key)
        if linked is not None:
            linked.close()
            return True
        return key in self._beneath

    def keys(self) -> Iterator[str]:
        """Every key, linked or not, in ascending order; of a link also when its file is gone."""
        links = (
            bucket.name + name
            for bucket in sorted(self._folder.glob("??"))
            for name in sorted(place.name for place in bucket.iterdir())
        )
        both = heapq.merge((key for key in links if len(key) == KEY_LENGTH), self._beneath.keys())
        return (key for key, _ in groupby(both))

    def flush(self) -> None:
        """Write down for good whatever was put or linked before."""
        with self._lock:
            folders, self._unsynced = self._unsynced, set()
        sync_folders(folders)
        self._beneath.flush()

    def note(self, lines: bytes) -> None:
        """Append whole lines to the journal of the store beneath."""
        self._beneath.note(lines)

    def notes(self) -> Iterator[bytes]:
        """Every line of the journal."""
        return self._beneath.notes()

    def sweep(self) -> int:
        """Remove what killed runs left half written; returns how many."""
        left = list(self._folder.glob(".new-*"))
        for part in left:
            part.unlink(missing_ok=True)
        return len(left) + self._beneath.sweep()

    def _place(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]

    def _linked(self, key: str) -> BinaryIO | None:
        """The linked file if it is still what it was."""
        place = self._place(key)
        try:
            remembered = os.lstat(place).st_mtime_ns
            file = place.open("rb")
        except OSError:
            return None
        written = os.fstat(file.fileno()).st_mtime_ns
        if written != remembered:
            if _key_of(file) != key:
                file.close()
                return None
            with suppress(OSError):  # touched, not changed: that need not be found out every time
                os.utime(place, ns=(written, written), follow_symlinks=False)
            file.seek(0)
        return file


def _key_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
