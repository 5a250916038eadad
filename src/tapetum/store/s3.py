"""Blobs in an S3 bucket, addressed by the sha256 of their content. Start at `S3Blobs`.

obstore (the Rust crate object_store) speaks to the server. It is imported when a bucket is opened, because only
installations with the extra ``s3`` have it.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO, cast

from tapetum.errors import InvalidStudy, NotFound, TapetumError
from tapetum.store.blobs import CHUNK, KEY_LENGTH

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["S3Blobs"]

SPOOL_BYTES = 8 << 20
PART_BYTES, PARTS_AT_ONCE = 8 << 20, 3
"""Of an upload in parts: at most 24 MiB of a blob are in memory."""

AHEAD = 4 << 20
"""Bytes that one request brings: a slice comes whole with the first, a volume in a few."""

SHA256_OF_NOTHING = hashlib.sha256().hexdigest()
BLOBS, JOURNAL = "blobs", "journal"

RETRIES, GIVE_UP_AFTER = 12, timedelta(minutes=3)
FIRST_WAIT, LONGEST_WAIT = timedelta(milliseconds=100), timedelta(seconds=15)
TIMEOUT = timedelta(seconds=60)
"""Of one request: a part of 8 MiB takes less on any line that a hospital would use."""


class S3Blobs:
    """`ports.BlobStore` below ``s3://bucket/prefix``: ``blobs/ab/cdef...`` and ``journal/...``.

    Endpoint, region and credentials are what the usual environment variables say (``AWS_ENDPOINT_URL``,
    ``AWS_REGION``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, a web identity, an instance's role). A request
    that meets a 5xx, a throttling, a time-out or a lost connection is made again for three minutes, ever later; all of
    them are safe to repeat, because a key names its content. The signature covers the bytes, so that the server
    refuses what arrives otherwise than it was sent. Threads may share a store.

    Raises
    ------
    InvalidStudy : the URL is none, or obstore is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._store = _connect(url)

    def __reduce__(self) -> tuple[type[S3Blobs], tuple[str]]:
        return type(self), (self._url,)

    def put(self, data: bytes | BinaryIO) -> str:
        """Store the bytes and return their key, durable at once; what is there already is not sent.

        A file is read to a spool first, because its key, and so its place, is known only at its end.

        Raises
        ------
        TapetumError : the server cannot be reached or refuses; nothing is stored then.
        """
        if isinstance(data, bytes):
            key = hashlib.sha256(data).hexdigest()
            self._send(key, io.BytesIO(data))
            return key
        digest = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            while chunk := data.read(CHUNK):
                digest.update(chunk)
                spool.write(chunk)
            spool.seek(0)
            self._send(digest.hexdigest(), cast(BinaryIO, spool))
        return digest.hexdigest()

    def open(self, key: str) -> BinaryIO:
        """A seekable binary file of the content, read in ranges of 4 MiB. Raises KeyError when the key is unknown."""
        if key == SHA256_OF_NOTHING:  # of which there is no range
            if key not in self:
                raise KeyError(key)
            return io.BytesIO()
        with _told():
            try:
                start = self._store.get(_place(key), options={"range": (0, AHEAD)})
                head, size = start.bytes().to_bytes(), start.meta["size"]
            except FileNotFoundError:
                raise KeyError(key) from None
        if size == len(head):
            return io.BytesIO(head)
        return io.BufferedReader(_Ranges(self._store, _place(key), size, head), AHEAD)

    def __contains__(self, key: str) -> bool:
        with _told():
            try:
                self._store.head(_place(key))
            except FileNotFoundError:
                return False
        return True

    def keys(self) -> Iterator[str]:
        """Every key, in ascending order: S3 lists so."""
        for path in self._list(BLOBS):
            key = path.removeprefix(BLOBS).replace("/", "")
            if len(key) == KEY_LENGTH:
                yield key

    def flush(self) -> None:
        """Nothing to do: S3 acknowledges what it keeps."""

    def note(self, lines: bytes) -> None:
        """Add whole lines to the journal: an object of their own, because S3 cannot append."""
        with _told():
            self._store.put(f"{JOURNAL}/{time.time_ns():020d}-{secrets.token_hex(4)}.jsonl", lines)

    def notes(self) -> Iterator[bytes]:
        """Every line of the journal in the order of writing."""
        for path in self._list(JOURNAL):
            with _told():
                lines = self._store.get(path).bytes().to_bytes()
            yield from lines.splitlines()

    def sweep(self) -> int:
        """Nothing to do here: a lifecycle rule of the bucket removes uploads that were broken off."""
        return 0

    def _send(self, key: str, data: BinaryIO) -> None:
        if key in self:
            return
        with _told():
            self._store.put(_place(key), data, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def _list(self, folder: str) -> Iterator[str]:
        pages = self._store.list(prefix=folder)
        while True:
            with _told():
                page = next(pages, ())
            if not page:
                return
            yield from (item["path"] for item in page)


class _Ranges(io.RawIOBase):
    """A blob as a raw file: each read is one request for a range; the reader on top of it reads ahead."""

    def __init__(self, store: S3Store, path: str, size: int, head: bytes) -> None:
        self._store, self._path, self._size, self._head, self._at = store, path, size, head, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError("a place before the start")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def readall(self) -> bytes:
        whole = bytearray(max(self._size - self._at, 0))
        view, done = memoryview(whole), 0
        while done < len(whole):
            done += self.readinto(view[done : done + AHEAD])
        return bytes(whole)

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        end = min(self._at + len(view), self._size)
        if self._at >= end:
            return 0
        data: bytes | memoryview = self._head[self._at : end]
        if not data:
            with _told():
                data = memoryview(self._store.get_range(self._path, start=self._at, end=end))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def _place(key: str) -> str:
    return f"{BLOBS}/{key[:2]}/{key[2:]}"


def _connect(url: str) -> S3Store:
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - only installations with the extra have it
        from obstore.store import S3Store  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InvalidStudy("objects in S3 need obstore", hint="pip install 'tapetum[s3]'") from error
    if not url.startswith("s3://") or not url.removeprefix("s3://").strip("/"):
        raise InvalidStudy("store.blobs_url is no bucket", hint="write s3://bucket/prefix", blobs_url=url)
    try:
        return S3Store.from_url(
            url,
            # Plain HTTP happens only when the endpoint that somebody named says so.
            client_options={"allow_http": True, "timeout": TIMEOUT},
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": GIVE_UP_AFTER,
                "backoff": {"init_backoff": FIRST_WAIT, "max_backoff": LONGEST_WAIT, "base": 2},
            },
        )
    except BaseError as error:
        raise InvalidStudy("store.blobs_url cannot be used", hint="see the environment variables AWS_...") from error


@contextmanager
def _told() -> Iterator[None]:
    """What the server does wrong, as an error of ours. A missing object stays a FileNotFoundError to whoever asks."""
    from obstore.exceptions import BaseError  # noqa: PLC0415

    try:
        yield
    except FileNotFoundError as error:
        hint = "make the bucket, or correct store.blobs_url; look for lost objects with `tapetum verify`"
        raise NotFound("the bucket, or an object in it, is not there", hint=hint) from error
    except BaseError as error:
        hint = "what was acknowledged is kept; look at the server, then run the same command again"
        raise TapetumError(
            "the object store refuses or does not answer", hint=hint, reason=type(error).__name__
        ) from error
