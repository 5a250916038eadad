"""From a DICOM file's first bytes to a `Header`: a plain walk over Explicit or Implicit VR Little Endian.

Whatever is odd (big endian, deflated, unknown value representations, no file meta information) raises `Odd`, and then
`tapetum.formats.dicom` has pydicom read it. Bulk is never loaded: the walk stops at the pixel element.
Definitions: DICOM PS3.5 7.1 and 7.5, PS3.10 7.1.  Start reading at `walk`.
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tapetum.errors import RejectedInput
from tapetum.formats.elements import LONG_VRS, NUMBER_BYTES, TEXT_VRS, UNDEFINED, Header
from tapetum.formats.uids import uid_of

__all__ = ["PIXEL_TAGS", "Odd", "Walked", "walk", "walk_bytes"]

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
SEQUENCE_END, ITEM, ITEM_ENDS = 0xFFFEE0DD, 0xFFFEE000, frozenset({0xFFFEE00D})
DELIMITER_GROUP, META_GROUP = 0xFFFE, b"\x02\0"
PIXEL_REPRESENTATION = 0x00280103
HEAD, IMPLICIT_HEAD, LENGTH = (struct.Struct(code) for code in ("<HH2sH", "<HHI", "<I"))
HEAD_BYTES = 8
SHORT_CODES = {vr.encode(): vr for vr in (TEXT_VRS | NUMBER_BYTES.keys()) - LONG_VRS}
LONG_CODES = {vr.encode(): vr for vr in LONG_VRS}
# What an encoding without value representations means by those of the dictionary that are a choice (PS3.5 A.1).
CHOICES = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "OB/OW": "OW"}
FIRST_BYTES, GROWTH, MAX_BYTES = 1 << 16, 8, 1 << 27
MAX_DEPTH = 40
NO_ENDS: frozenset[int] = frozenset()
SIGN_DECIDES = "US or SS"
FIRST_CREATOR, PRIVATE_FROM = 0x10, 0x100  # PS3.5 7.8.1


class Odd(Exception):
    """Not an encoding that is walked here; pydicom may know better."""


class Short(Exception):
    """The bytes end within an element."""


class Walked(NamedTuple):
    """File meta information, header, and where in the file the pixel element begins (or the file ends)."""

    meta: Header
    header: Header
    start: int


def walk(file: BinaryIO) -> Walked:
    """Walk the header of a file with preamble, reading no more than is needed (64 KiB at first).

    Raises
    ------
    Odd : pydicom shall read it.
    RejectedInput : truncated; archive-bomb (a header of more than 128 MiB).
    """
    size = file.seek(0, io.SEEK_END)
    most = FIRST_BYTES
    while True:
        file.seek(0)
        data = file.read(min(most, size))
        try:
            return _walk_file(data, is_whole=size <= most)
        except Short as error:
            if size <= most:
                raise RejectedInput("truncated", "the file ends within its header") from error
        if most >= MAX_BYTES:
            raise RejectedInput("archive-bomb", "the header is larger than allowed")
        most *= GROWTH


def walk_bytes(data: bytes, *, implicit: bool = False) -> Header:
    """Walk a bare data set until its pixel element or its end. Raises Odd, also where it ends too early."""
    try:
        return _Walk(data, implicit=implicit, is_whole=True).top(0)[0]
    except Short as error:
        raise Odd from error


def _walk_file(data: bytes, *, is_whole: bool) -> Walked:
    if data[128:134] != b"DICM\x02\0":
        raise Odd
    plain = _Walk(data, implicit=False, is_whole=is_whole)
    meta, at = Header(), 132
    while data[at : at + 2] == META_GROUP:
        if at + HEAD_BYTES > len(data):
            raise Short
        tag, vr, length, value_at = plain.head(at, meta)
        if vr == "SQ" or length == UNDEFINED:
            raise Odd
        at = value_at + length
        meta[tag] = vr, data[value_at:at]
    implicit = _is_implicit(meta.raw(0x00020010).rstrip(b"\0 "))
    if implicit and data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper():
        raise Odd  # a value representation stands where a length should
    header, at = _Walk(data, implicit=implicit, is_whole=is_whole).top(at)
    return Walked(meta, header, at)


class _Walk:
    """One pass over the bytes of one data set."""

    __slots__ = ("_data", "_end", "_is_whole", "_signed", "head")

    def __init__(self, data: bytes, *, implicit: bool, is_whole: bool) -> None:
        self._data, self._end, self._is_whole = data, len(data), is_whole
        self._signed = False
        self.head = self._implicit_head if implicit else self._explicit_head

    def top(self, at: int) -> tuple[Header, int]:
        """The data set at an offset, and where its pixel element begins or it ends."""
        header = Header()
        at = self._fill(header, at, self._end, PIXEL_TAGS, 0)
        left = self._data[at : at + HEAD_BYTES]
        if len(left) < HEAD_BYTES and (not self._is_whole or any(left)):
            raise Short
        return header, at

    def _fill(self, header: Header, at: int, stop: int, ends: frozenset[int], depth: int) -> int:
        """Read elements until ``stop`` or one of ``ends``; returns where that stands."""
        data, end, read_head = self._data, self._end, self.head
        last = stop - HEAD_BYTES
        while at <= last:
            tag, vr, length, value_at = read_head(at, header)
            if tag in ends:
                return at
            if vr == "SQ":
                items, at = self._items(header, value_at, length, depth)
                header[tag] = vr, items
                continue
            at = value_at + length
            if at > end:
                if length == UNDEFINED:
                    raise Odd
                raise Short
            if vr in NUMBER_BYTES and length % NUMBER_BYTES[vr]:
                raise Odd
            if tag & 0xFFFF:  # group lengths are made anew by whoever wants them, which is nobody (PS3.5 7.2)
                header[tag] = vr, data[value_at:at]
            if tag == PIXEL_REPRESENTATION:
                self._signed = data[value_at:at] == b"\x01\0"
        return at

    def _items(self, parent: Header, at: int, length: int, depth: int) -> tuple[tuple[Header, ...], int]:
        """The items of a sequence, and where it ends."""
        if depth > MAX_DEPTH:
            raise RejectedInput("unreadable", "sequences are nested deeper than anybody means")
        stop = self._end if length == UNDEFINED else at + length
        if stop > self._end:
            raise Short
        inherited, signed = parent.encodings, self._signed
        items: list[Header] = []
        while at < stop or length == UNDEFINED:
            tag, size = self._delimiter(at)
            if tag == SEQUENCE_END and length == UNDEFINED:
                return tuple(items), at + HEAD_BYTES
            if tag != ITEM:
                raise Odd
            items.append(Header(inherited))
            at = self._item(items[-1], at + HEAD_BYTES, size, stop, depth + 1)
            self._signed = signed
        if at != stop:
            raise Odd
        return tuple(items), at

    def _item(self, item: Header, at: int, length: int, stop: int, depth: int) -> int:
        """Fill one item that lies before ``stop``; returns where it ends."""
        if length == UNDEFINED:
            at = self._fill(item, at, stop, ITEM_ENDS, depth)
            if self._delimiter(at)[0] not in ITEM_ENDS:
                raise Odd
            return at + HEAD_BYTES
        if at + length > self._end:
            raise Short
        if self._fill(item, at, at + length, NO_ENDS, depth) != at + length:
            raise Odd
        return at + length

    def _delimiter(self, at: int) -> tuple[int, int]:
        if at + HEAD_BYTES > self._end:
            raise Short
        group, element, size = IMPLICIT_HEAD.unpack_from(self._data, at)
        return group << 16 | element, size

    def _explicit_head(self, at: int, header: Header) -> tuple[int, str, int, int]:
        """Tag, value representation, length and where the value begins."""
        group, element, code, length = HEAD.unpack_from(self._data, at)
        tag = group << 16 | element
        vr = SHORT_CODES.get(code)
        if vr is not None:
            return tag, vr, length, at + 8
        if tag in ITEM_ENDS:
            return tag, "", 0, at
        vr = LONG_CODES.get(code)
        if vr is None:
            raise Odd
        if at + 12 > self._end:
            raise Short
        (length,) = LENGTH.unpack_from(self._data, at + 8)
        return tag, vr if vr != "UN" else _told_vr(tag, length, header), length, at + 12

    def _implicit_head(self, at: int, header: Header) -> tuple[int, str, int, int]:
        """The same where the value representation stands in the dictionary (PS3.6) only."""
        group, element, length = IMPLICIT_HEAD.unpack_from(self._data, at)
        tag = group << 16 | element
        if tag in ITEM_ENDS:
            return tag, "", 0, at
        vr = _private_vr(tag, header) if group & 1 else _dictionary_vr(tag)
        if vr == SIGN_DECIDES:
            vr = "SS" if self._signed else "US"
        if length == UNDEFINED and vr == "UN":
            vr = "SQ"  # nothing else has no length where values have no representation
        return tag, vr, length, at + 8


@lru_cache(maxsize=256)
def _is_implicit(syntax: bytes) -> bool:
    """Whether a transfer syntax has no value representations. Raises Odd for one that is not walked here."""
    if syntax == ImplicitVRLittleEndian.encode():
        return True
    named = uid_of(syntax.decode("latin-1"))
    if named == ExplicitVRLittleEndian or (named.is_transfer_syntax and not named.is_private and named.is_encapsulated):
        return False
    raise Odd


@lru_cache(maxsize=16384)
def _dictionary_vr(tag: int) -> str:
    """The value representation of the standard; "UN" for what it does not know."""
    if tag >> 16 == DELIMITER_GROUP:
        raise Odd
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UL" if not tag & 0xFFFF else "UN"
    return vr if vr == SIGN_DECIDES else CHOICES.get(vr, vr)


def _told_vr(tag: int, length: int, header: Header) -> str:
    """What an element that was once sent as unknown really is (PS3.5 6.2.2), if its length allows it."""
    vr = _private_vr(tag, header) if tag >> 16 & 1 else _dictionary_vr(tag)
    if vr == "SQ":
        raise Odd  # its items have no value representations
    return "UN" if vr == SIGN_DECIDES or length % NUMBER_BYTES.get(vr, 1) else vr


def _private_vr(tag: int, header: Header) -> str:
    """The value representation of a private element, by its creator (PS3.5 7.8.1); "UN" for what nobody knows."""
    element = tag & 0xFFFF
    if element < PRIVATE_FROM:
        return "LO" if element >= FIRST_CREATOR else "UN"
    creator = header.raw(tag & 0xFFFF0000 | element >> 8)
    return _listed_vr(tag, creator) if creator else "UN"


@lru_cache(maxsize=16384)
def _listed_vr(tag: int, creator: bytes) -> str:
    """What pydicom's list of private elements says."""
    try:
        vr = private_dictionary_VR(tag, creator.decode("latin-1").rstrip("\0 "))
    except KeyError:
        return "UN"
    return CHOICES.get(vr, vr)
