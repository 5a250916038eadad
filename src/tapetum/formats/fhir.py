"""FHIR R4 as it is sent: Bundles, single resources and NDJSON exports, one resource at a time.

In: a binary file.  Out: `Entry` rows, or for what cannot be parsed its rejection, with its number in the file.  Bundles
are parsed entry by entry and NDJSON line by line, so that neither is ever in memory as a whole. What a resource says is
read in `formats.fhir_facts`.  Definitions: HL7 FHIR R4 (4.0.1), Bundle; FHIR Bulk Data Access 1.0, "ndjson".
Start reading at `resources`.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from tapetum.errors import RejectedInput

__all__ = ["MOST_CHARACTERS", "Entry", "resources"]

MOST_CHARACTERS = 32 << 20
"""Of one resource; attachments make long ones."""
CHUNK = 1 << 18
BLANK = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource with its place in the file (line, or entry of its Bundle, from 1) and its fullUrl."""

    number: int
    resource: dict[str, Any]
    full_url: str = ""


def resources(file: BinaryIO, *, name: str = "") -> Iterator[Entry | RejectedInput]:
    """Yield every resource of a file; a line or the rest of a Bundle that cannot be parsed as its rejection.

    Rejections carry their place as ``context["entry"]``, never a value. ``name`` decides for NDJSON where the first
    line is too long to tell.

    Raises
    ------
    RejectedInput : unknown-format for JSON that is not FHIR.
    """
    file.seek(0)
    first = file.readline(CHUNK).removeprefix(codecs.BOM_UTF8)
    is_long = len(first) >= CHUNK - len(codecs.BOM_UTF8)
    is_lines = name.lower().endswith((".ndjson", ".jsonl")) if is_long else _is_object(first)
    file.seek(0)
    return _lines(file) if is_lines else _document(file)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(_parsed(line.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _lines(file: BinaryIO) -> Iterator[Entry | RejectedInput]:
    number = 0
    while line := file.readline(MOST_CHARACTERS + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > MOST_CHARACTERS:
            while line and not line.endswith(b"\n"):
                line = file.readline(MOST_CHARACTERS)
            yield _bad(number, "the line is longer than any resource may be")
        elif line.strip():
            yield from _line(number, line)


def _line(number: int, line: bytes) -> Iterator[Entry | RejectedInput]:
    try:
        found = _parsed(line.decode())
    except (ValueError, RecursionError):
        yield _bad(number, "the line is no JSON")
        return
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        yield _bad(number, "the line is no FHIR resource")
    elif found["resourceType"] == "Bundle":
        rows = found.get("entry")
        yield from (_entry(number, row) for row in (rows if isinstance(rows, list) else ()))
    else:
        yield Entry(number, found)


def _document(file: BinaryIO) -> Iterator[Entry | RejectedInput]:
    """Bundles, lists of resources, or resources, one after another; usually there is one."""
    text = _Text(file)
    number = 0
    try:
        while not text.is_over():
            for row in _value(text):
                number += 1
                yield _entry(number, row)
    except (ValueError, RecursionError):
        if number == 0:
            raise RejectedInput("unreadable", "it begins as JSON and breaks") from None
        yield _bad(number + 1, "from here on the file is no JSON")


def _value(text: _Text) -> Iterator[object]:
    """The entries of a Bundle, or what stands for one: a resource by itself."""
    if text.peek() == "[":
        yield from ({"resource": found} for found in text.items())
        return
    rest: dict[str, Any] = {}
    for key in text.members():
        if key == "entry" and text.peek() == "[" and rest.get("resourceType", "Bundle") == "Bundle":
            yield from text.items()
        else:
            rest[key] = text.value()
    if not isinstance(rest.get("resourceType"), str):
        raise RejectedInput("unknown-format", "JSON that is not FHIR")
    if rest["resourceType"] != "Bundle":
        yield {"resource": rest}


def _entry(number: int, row: object) -> Entry | RejectedInput:
    found = row.get("resource") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        return _bad(number, "an entry without a resource")
    return Entry(number, found, str(row.get("fullUrl") or ""))


def _bad(number: int, message: str) -> RejectedInput:
    return RejectedInput("invalid-resource", message, entry=number)


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _parsed(text: str) -> Any:
    return DECODER.decode(text)


class _Text:
    """A JSON document as a window that moves over its file: values are parsed where they lie and forgotten."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._is_end = "", 0, False

    def peek(self) -> str:
        """The next character that is not blank. Raises ValueError at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in BLANK:
                    return self._text[self._at]
                self._at += 1
            self._more()

    def is_over(self) -> bool:
        """Whether nothing but blanks is left."""
        while not (rest := self._text[self._at :].lstrip(BLANK)):
            if self._is_end:
                return True
            self._more(may_end=True)
        self._at = len(self._text) - len(rest)
        return False

    def value(self) -> Any:
        """The value that begins here, whole. Raises ValueError where there is none, or one too long."""
        self.peek()
        while True:
            try:
                found, end = DECODER.raw_decode(self._text, self._at)
            except ValueError:
                self._more()
                continue
            if end == len(self._text) and not self._is_end:  # a number may go on in the next piece
                self._more(may_end=True)
                continue
            self._at = end
            return found

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here; the caller takes each value before it asks for the next."""
        self._take("{")
        while self.peek() != "}":
            key = self.value()
            if not isinstance(key, str):
                raise ValueError("a key is a text")
            self._take(":")
            yield key
            if self.peek() != "}":
                self._take(",")
        self._at += 1

    def items(self) -> Iterator[Any]:
        """The values of the list that begins here."""
        self._take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self._take(",")
        self._at += 1

    def _take(self, character: str) -> None:
        if self.peek() != character:
            raise ValueError("not JSON")
        self._at += 1

    def _more(self, *, may_end: bool = False) -> None:
        """Read on, as much as lies here already: a long value is then tried a few times only."""
        if self._is_end or len(self._text) - self._at > MOST_CHARACTERS:
            raise ValueError("not JSON, or too much of it")
        data = self._file.read(max(CHUNK, len(self._text) - self._at))
        self._is_end = not data
        self._text = self._text[self._at :] + self._decode.decode(data, final=self._is_end)
        self._at = 0
        if self._is_end and not may_end and not self._text:
            raise ValueError("the file ends too early")
