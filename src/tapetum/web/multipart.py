"""multipart/related as a stream: a body of any length goes through in bounded memory.

In: chunks of a request's body.  Out: its parts, each as soon as it is whole; large ones lie on the disk, not in memory.
Definitions: RFC 2046 section 5.1, RFC 2387.  Start reading at `PartReader.feed`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.message import Message
from io import BytesIO
from typing import IO, BinaryIO

from tapetum.errors import RefusedRequest

__all__ = ["Part", "PartReader", "parse_media_type"]

SPOOL_BYTES = 8 << 20
MOST_HEADER_BYTES = 8 << 10
LONGEST_PADDING = 256
# RFC 2046 5.1.1, where the longest has 70 characters; Orthanc's have 73.
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")
HINT = "send multipart/related as RFC 2046 defines it, each line of a part's head ended by CR LF"


def parse_media_type(value: str) -> tuple[str, dict[str, str]]:
    """``multipart/related; type="application/dicom"`` -> the type in lower case, its parameters by lower-case name."""
    message = Message()
    message["content-type"] = value
    found = message.get_params(failobj=[("", "")])
    return found[0][0].strip().lower(), {name.lower(): text for name, text in found[1:]}


class Part:
    """One part: its header fields by lower-case name, and its content, in memory up to ``SPOOL_BYTES``."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self.size = 0
        self._chunks: list[bytes | memoryview] = []
        self._file: IO[bytes] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Add content."""
        self.size += len(data)
        if self._file is None and self.size > SPOOL_BYTES:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `close` closes it
            self._file.write(b"".join(self._chunks))
            self._chunks = []
        if self._file is None:
            self._chunks.append(data)
        else:
            self._file.write(data)

    def open(self) -> BinaryIO:
        """The content as a file at its begin. Only one of the files of a part may be read at a time."""
        if self._file is not None:
            file = os.fdopen(os.dup(self._file.fileno()), "rb")
            file.seek(0)
            return file
        whole = b"".join(self._chunks)
        self._chunks = [whole]
        return BytesIO(whole)

    def close(self) -> None:
        """Let go of the content."""
        self._chunks = []
        if self._file is not None:
            self._file.close()


class PartReader:
    """Cuts a body into parts.

    Parameters
    ----------
    boundary : as the Content-Type of the request names it.
    most_bytes : of one part; more is refused.

    Raises
    ------
    RefusedRequest : bad-request (a boundary that cannot be one, and whatever `feed` and `finish` find).
    """

    def __init__(self, boundary: str, *, most_bytes: int) -> None:
        if not BOUNDARY.fullmatch(boundary):
            raise RefusedRequest("bad-request", "multipart without a usable boundary", hint=HINT)
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._most_bytes = most_bytes
        # The first boundary may stand at the very begin, where no line ends before it.
        self._data, self._at = b"\r\n", 0
        self._part: Part | None = None
        self._state = self._preamble
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """Yield the parts that end within the next chunk of the body; the caller closes them.

        Raises
        ------
        RefusedRequest : bad-request (the body is not multipart), too-large (one part).
        """
        self._join(data)
        going_on = True
        while going_on and not self._ended:
            whole, going_on = self._state()
            if whole is not None:
                yield whole
        self._data, self._at = b"" if self._ended else self._data[self._at :], 0

    def finish(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        RefusedRequest : bad-request: the closing boundary did not come.
        """
        if not self._ended:
            raise RefusedRequest("bad-request", "the multipart body ends before its closing boundary", hint=HINT)

    def close(self) -> None:
        """Let go of the part that was not whole yet."""
        if self._part is not None:
            self._part.close()

    def _join(self, data: bytes) -> None:
        """Put new data behind what is left of the old; within a part without copying, which is what costs time."""
        rest, enough = self._data, len(data) >= len(self._delimiter)
        if self._part is not None and enough and self._delimiter not in rest + data[: len(self._delimiter)]:
            self._write(self._part, memoryview(rest))
            rest = b""
        self._data = rest + data if rest else data

    def _preamble(self) -> tuple[Part | None, bool]:
        at = self._data.find(self._delimiter, self._at)
        if at < 0:
            self._at = max(0, len(self._data) - len(self._delimiter))
            return None, False
        self._at = at + len(self._delimiter)
        self._state = self._boundary
        return None, True

    def _boundary(self) -> tuple[Part | None, bool]:
        """Behind a delimiter: the end of its line, or the two hyphens that close the body."""
        if self._data.startswith(b"--", self._at):
            self._ended = True
            return None, False
        end = self._data.find(b"\r\n", self._at, self._at + LONGEST_PADDING)
        if end < 0 and len(self._data) - self._at < LONGEST_PADDING:
            return None, False
        if end < 0 or self._data[self._at : end].strip(b" \t"):
            raise RefusedRequest("bad-request", "the line of a boundary holds something else", hint=HINT)
        self._at = end
        self._state = self._head
        return None, True

    def _head(self) -> tuple[Part | None, bool]:
        """The header fields, from the line break before them to the empty line."""
        end = self._data.find(b"\r\n\r\n", self._at, self._at + MOST_HEADER_BYTES)
        if end < 0:
            if len(self._data) - self._at >= MOST_HEADER_BYTES:
                raise RefusedRequest("bad-request", "the head of a part has no end", hint=HINT)
            return None, False
        self._part = Part(_fields(self._data[self._at + 2 : end]))
        self._at = end + 4
        self._state = self._content
        return None, True

    def _content(self) -> tuple[Part | None, bool]:
        part = self._part
        assert part is not None  # noqa: S101 - this state follows `_head` only
        at = self._data.find(self._delimiter, self._at)
        # Without a delimiter, the tail may be the begin of one.
        end = at if at >= 0 else max(self._at, len(self._data) - len(self._delimiter) + 1)
        self._write(part, memoryview(self._data)[self._at : end])
        if at < 0:
            self._at = end
            return None, False
        self._at = at + len(self._delimiter)
        self._part, self._state = None, self._boundary
        return part, True

    def _write(self, part: Part, data: memoryview) -> None:
        if part.size + len(data) > self._most_bytes:
            part.close()
            raise RefusedRequest("too-large", "a part is larger than allowed", hint="raise acquire.max_bytes")
        if data:
            part.write(data)


def _fields(head: bytes) -> dict[str, str]:
    """Header fields by lower-case name. What is no field is passed over: nothing of it is needed."""
    found = {}
    with suppress(UnicodeDecodeError):
        for line in head.decode("latin-1").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                found[name.strip().lower()] = value.strip()
    return found
