"""Blobs in a local folder, addressed by the sha256 of their content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

__all__ = ["LocalBlobs"]

CHUNK = 1 << 20


class LocalBlobs:
    """`ports.BlobStore` under one folder: ``ab/cdef...`` for the key ``abcdef...``.

    A blob is written beside its place and renamed into it, so that a reader sees a whole blob or none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes | BinaryIO) -> str:
        """Store the bytes (streamed when a file is given) and return their key; a second time is free."""
        source = BytesIO(data) if isinstance(data, bytes) else data
        digest = hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                fcntl.flock(out, fcntl.LOCK_EX)  # tells `sweep` that somebody still writes here
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    out.write(chunk)
            place = self._place(digest.hexdigest())
            # After a power failure a blob can be shorter than it was; then it is written again.
            if not place.exists() or place.stat().st_size != part.stat().st_size:
                place.parent.mkdir(exist_ok=True)
                part.chmod(0o440)
                part.replace(place)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return digest.hexdigest()

    def open(self, key: str) -> BinaryIO:
        """A seekable binary file of the content. Raises KeyError when the key is unknown."""
        try:
            return self._place(key).open("rb")
        except FileNotFoundError:
            raise KeyError(key) from None

    def __contains__(self, key: str) -> bool:
        return self._place(key).exists()

    def flush(self) -> None:
        """Ask the operating system to write everything down: once a batch, before the catalogue says it is there."""
        os.sync()

    def sweep(self) -> int:
        """Remove what killed runs left half written; returns how many."""
        return sum(_remove_if_left(part) for part in self._folder.glob(".new-*"))

    def _place(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def _remove_if_left(part: Path) -> bool:
    """Remove a half-written blob unless its writer is alive: the lock of a killed process is gone."""
    with suppress(FileNotFoundError, BlockingIOError), part.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink(missing_ok=True)
        return True
    return False
