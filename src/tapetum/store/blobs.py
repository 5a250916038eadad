"""Blobs in a local folder, addressed by the sha256 of their content."""

from __future__ import annotations

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
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    out.write(chunk)
            place = self._place(digest.hexdigest())
            if not place.exists():
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
        left = list(self._folder.glob(".new-*"))
        for part in left:
            part.unlink(missing_ok=True)
        return len(left)

    def _place(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]
