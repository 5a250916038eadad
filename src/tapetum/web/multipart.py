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
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046 5.1.1
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
        self._chunks: list[bytes] = []
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
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
        self._chunks = [b"".join(self._chunks)]
        return BytesIO(self._chunks[0])

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
        self._rest = b"\r\n"
        self._part: Part | None = None
        self._state = self._preamble
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """Yield the parts that end within the next chunk of the body; the caller closes them.

        Raises
        ------
        RefusedRequest : bad-request (the body is not multipart), too-large (one part).
        """
        self._rest = self._rest + data if self._rest else data
        going_on = True
        while going_on and not self._ended:
            whole, going_on = self._state()
            if whole is not None:
                yield whole

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

    def _preamble(self) -> tuple[Part | None, bool]:
        at = self._rest.find(self._delimiter)
        if at < 0:
            self._rest = self._rest[-len(self._delimiter) :]
            return None, False
        self._rest = self._rest[at + len(self._delimiter) :]
        self._state = self._boundary
        return None, True

    def _boundary(self) -> tuple[Part | None, bool]:
        """Behind a delimiter: the end of its line, or the two hyphens that close the body."""
        if self._rest.startswith(b"--"):
            self._ended, self._rest = True, b""
            return None, False
        end = self._rest.find(b"\r\n")
        if end < 0 and len(self._rest) <= LONGEST_PADDING:
            return None, False
        if end < 0 or self._rest[:end].strip(b" \t"):
            raise RefusedRequest("bad-request", "the line of a boundary holds something else", hint=HINT)
        self._rest = self._rest[end:]
        self._state = self._head
        return None, True

    def _head(self) -> tuple[Part | None, bool]:
        """The header fields, from the line break before them to the empty line."""
        end = self._rest.find(b"\r\n\r\n", 0, MOST_HEADER_BYTES)
        if end < 0:
            if len(self._rest) >= MOST_HEADER_BYTES:
                raise RefusedRequest("bad-request", "the head of a part has no end", hint=HINT)
            return None, False
        self._part = Part(_fields(self._rest[2:end]))
        self._rest = self._rest[end + 4 :]
        self._state = self._content
        return None, True

    def _content(self) -> tuple[Part | None, bool]:
        part = self._part
        assert part is not None  # noqa: S101 - this state follows `_head` only
        at = self._rest.find(self._delimiter)
        if at < 0:
            # The tail may be the begin of a delimiter.
            keep = min(len(self._delimiter) - 1, len(self._rest))
            cut = len(self._rest) - keep
            self._write(part, self._rest[:cut])
            self._rest = self._rest[cut:]
            return None, False
        self._write(part, self._rest[:at])
        self._rest = self._rest[at + len(self._delimiter) :]
        self._part, self._state = None, self._boundary
        return part, True

    def _write(self, part: Part, data: bytes) -> None:
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
