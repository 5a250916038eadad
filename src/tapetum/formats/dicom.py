"""A DICOM object on its way in: the header as a tree of elements, the pixels as a span of the file.

Pixels are never decoded or held here: `read` notes where the pixel element lies and checks that it is whole and in
the encoding that the header names; `write` puts a (de-identified) header in front of the same pixel bytes.
Definitions: DICOM PS3.5 (encodings, Annex A.4 encapsulation), PS3.10 (file meta information).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from blake3 import blake3
from pydicom.uid import UID, ExplicitVRLittleEndian

from tapetum.errors import RejectedInput
from tapetum.formats import foreign
from tapetum.formats.codec_words import words_in
from tapetum.formats.elements import UNDEFINED, Header, text_element
from tapetum.formats.header import PIXEL_TAGS, Odd, walk
from tapetum.formats.uids import uid_of

__all__ = ["IMPLEMENTATION_CLASS_UID", "DicomObject", "Held", "head_of", "read", "write"]

IMPLEMENTATION_CLASS_UID = "2.25.163120774012803741836414523456402391170"
CHUNK = 1 << 20
ITEM_HEAD_BYTES = 8
MAGIC_BYTES = 6
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
IDENTITY = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")
PIXEL_VRS = {0x7FE00008: "OF", 0x7FE00009: "OD", 0x7FE00010: "OW"}

# The first bytes of a frame in each family of compressed transfer syntaxes (ISO 10918, 14495, 15444, 18181).
JPEG, JPEG_2000 = (b"\xff\xd8",), (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")
CODEC_MAGIC = {
    "1.2.840.10008.1.2.4.5": JPEG,
    "1.2.840.10008.1.2.4.6": JPEG,
    "1.2.840.10008.1.2.4.7": JPEG,
    "1.2.840.10008.1.2.4.8": JPEG,
    "1.2.840.10008.1.2.4.9": JPEG_2000,
    "1.2.840.10008.1.2.4.20": JPEG_2000,
    "1.2.840.10008.1.2.4.11": (b"\xff\x0a", b"\0\0\0\x0cJX"),
}


class Held(io.BytesIO):
    """A small file in memory, never written to, whose bytes are looked at without being copied."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


@dataclass(frozen=True, slots=True)
class DicomObject:
    """One object: ``header`` without pixel element, whose value is ``file[start:stop]`` (equal when there is none).

    ``transfer_syntax`` is the one in which it came; `stored_syntax` the one in which `write` writes it.
    ``pixel_vr`` is the value representation of the pixel element, ``word_bytes`` the size of the words that `write`
    must turn around because they came in big endian (1: none).
    """

    header: Header
    transfer_syntax: UID
    file: BinaryIO
    start: int
    stop: int
    pixel_tag: int = 0
    pixel_vr: str = ""
    word_bytes: int = 1

    @property
    def has_pixels(self) -> bool:
        """Whether there is a pixel element with a value."""
        return self.stop > self.start

    @property
    def stored_syntax(self) -> UID:
        """Explicit VR Little Endian for what is not compressed."""
        return self.transfer_syntax if self.transfer_syntax.is_encapsulated else ExplicitVRLittleEndian

    def pixel_bytes(self) -> Iterator[bytes | memoryview]:
        """The value of the pixel element in little endian, in chunks of at most 1 MiB (whole where it is held)."""
        if isinstance(self.file, Held):
            yield foreign.turned(memoryview(self.file.data)[self.start : self.stop], self.word_bytes)
            return
        self.file.seek(self.start)
        left = self.stop - self.start
        while left > 0:
            chunk = self.file.read(min(CHUNK, left))
            if not chunk:
                raise RejectedInput("truncated")
            left -= len(chunk)
            yield foreign.turned(chunk, self.word_bytes)

    def words(self) -> Iterator[bytes]:
        """What codecs and people wrote into the compressed frames: see `words_in`."""
        at = self.start
        while self.transfer_syntax.is_encapsulated and at < self.stop - ITEM_HEAD_BYTES:
            self.file.seek(at)
            _, _, length = struct.unpack("<HHI", self.file.read(ITEM_HEAD_BYTES))
            at += ITEM_HEAD_BYTES + length
            yield from words_in(self.file, at - length, at)

    def pixel_digest(self) -> str:
        """BLAKE3 hex of the pixels: equal for the same pixels in the same (or any uncompressed) encoding."""
        digest = blake3()
        for chunk in self.pixel_bytes():
            digest.update(chunk)
        return digest.hexdigest()


def read(file: BinaryIO) -> DicomObject:
    """Parse the header and find the pixel element of a DICOM file, with or without preamble.

    Parameters
    ----------
    file : seekable, at any position; stays open, it is read again by `DicomObject.pixel_bytes` and `write`.

    Raises
    ------
    RejectedInput : unreadable, missing-attribute, truncated, wrong-transfer-syntax, missing-pixel-data, unsupported,
        archive-bomb.
    """
    try:
        meta, header, at = walk(file)
        source = foreign.Foreign(meta, header, _syntax(meta.raw("TransferSyntaxUID")), file, at)
    except Odd:
        source = foreign.read(file)
    if source.meta.text("MediaStorageSOPClassUID") == MEDIA_DIRECTORY:
        raise RejectedInput("unsupported", "a DICOMDIR is a table of contents, not an object")
    for keyword in IDENTITY:
        if not source.header.text(keyword):
            raise RejectedInput("missing-attribute", attribute=keyword)
    found = _with_pixels(source)
    if not found.pixel_tag and source.header.has("Rows"):
        raise RejectedInput("missing-pixel-data", "an image without pixel data")
    return found


def head_of(header: Header, source: DicomObject) -> bytes:
    """What stands before the pixels in a file that `write` writes: preamble, meta information, header, pixel tag."""
    meta = Header()
    meta[0x00020001] = "OB", b"\0\1"
    meta[0x00020002] = "UI", header.raw("SOPClassUID")
    meta[0x00020003] = "UI", header.raw("SOPInstanceUID")
    meta[0x00020010] = text_element("UI", source.stored_syntax)
    meta[0x00020012] = text_element("UI", IMPLEMENTATION_CLASS_UID)
    group = meta.encoded()
    parts = [bytes(128), b"DICM\2\0\0\0UL\4\0", len(group).to_bytes(4, "little"), group, header.encoded()]
    if source.pixel_tag:
        length = UNDEFINED if source.stored_syntax.is_encapsulated else source.stop - source.start
        halves = (source.pixel_tag >> 16, source.pixel_tag & 0xFFFF)
        parts.append(struct.pack("<HH2sHI", *halves, source.pixel_vr.encode(), 0, length))
    return b"".join(parts)


def write(header: Header, source: DicomObject, out: BinaryIO) -> None:
    """Write ``header`` and the pixel element of ``source`` as a DICOM file in `DicomObject.stored_syntax`.

    The preamble is zero, the file meta information is made anew and nothing that follows the pixel element (padding,
    signatures) is copied. The same input gives the same bytes.
    """
    out.write(head_of(header, source))
    for chunk in source.pixel_bytes():
        out.write(chunk)


@lru_cache(maxsize=256)
def _syntax(raw: bytes) -> UID:
    return uid_of(raw.decode("latin-1").rstrip("\0 "))


def _with_pixels(source: foreign.Foreign) -> DicomObject:
    """The object with its pixel element, if there is one, found and checked."""
    file, at, syntax = source.file, source.start, source.syntax
    order = "<" if syntax.is_little_endian else ">"
    file.seek(at)
    raw = file.read(12)
    group, element = struct.unpack_from(f"{order}HH", raw) if len(raw) >= 4 else (0, 0)
    tag = group << 16 | element
    if tag not in PIXEL_TAGS:
        return DicomObject(source.header, source.arrived, file, at, at)
    vr = PIXEL_VRS[tag] if syntax.is_implicit_VR else raw[4:6].decode("latin-1")
    if vr not in ("OB", "OW", "OF", "OD", "UN"):
        raise RejectedInput("wrong-transfer-syntax", "the pixel element has no valid VR")
    offset = 4 if syntax.is_implicit_VR else 8
    if len(raw) < offset + 4:
        raise RejectedInput("truncated")
    (length,) = struct.unpack_from(f"{order}I", raw, offset)
    encapsulated = length == UNDEFINED
    if encapsulated != syntax.is_encapsulated:
        raise RejectedInput("wrong-transfer-syntax", transfer_syntax=syntax)
    start = file.seek(at + offset + 4)
    try:
        stop = _encapsulated_end(file, syntax) if encapsulated else _native_end(file, length, source.header)
    except (ValueError, OverflowError) as error:
        raise RejectedInput("unreadable", "the size of the image is not a number") from error
    words = foreign.word_bytes(vr, source.header) if order == ">" else 1
    return DicomObject(source.header, source.arrived, file, start, stop, tag, vr, words)


def _native_end(file: BinaryIO, length: int, header: Header) -> int:
    stop = file.tell() + length
    if file.seek(0, io.SEEK_END) < stop:
        raise RejectedInput("truncated", "the pixel data ends too early")
    bits = header.integer("BitsAllocated") * header.integer("SamplesPerPixel", 1)
    pixels = header.integer("Rows") * header.integer("Columns") * (header.integer("NumberOfFrames") or 1)
    if header.text("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    if length == 0 and pixels:
        raise RejectedInput("missing-pixel-data", "the pixel element is empty")
    wanted = (pixels * bits + 7) // 8
    if length < wanted:
        raise RejectedInput("truncated", "fewer pixel bytes than rows and columns ask for")
    if pixels and length > wanted and not _is_blank(file, stop - length + wanted, stop):
        raise RejectedInput("unreadable", "more pixel bytes than rows and columns ask for")
    return stop


def _is_blank(file: BinaryIO, start: int, stop: int) -> bool:
    """Whether what follows the last pixel is padding; anything else could be words, which are never copied."""
    file.seek(start)
    return not any(any(file.read(min(CHUNK, stop - at))) for at in range(start, stop, CHUNK))


def _encapsulated_end(file: BinaryIO, syntax: UID) -> int:
    """Walk the fragments to the sequence delimiter; the first fragment must begin as its codec demands."""
    magic = next((magic for prefix, magic in CODEC_MAGIC.items() if syntax.startswith(prefix)), ())
    fragment = 0
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise RejectedInput("truncated", "the encapsulated pixel data has no end")
        group, element, length = struct.unpack("<HHI", head)
        if (group, element) == (0xFFFE, 0xE0DD):
            if fragment < 2:
                raise RejectedInput("missing-pixel-data", "encapsulated pixel data without a fragment")
            return file.tell()
        if (group, element) != (0xFFFE, 0xE000):
            raise RejectedInput("truncated", "a fragment is cut short or damaged")
        if fragment == 1:
            first = file.read(min(MAGIC_BYTES, length))
            if magic and not first.startswith(magic):
                raise RejectedInput("wrong-transfer-syntax", transfer_syntax=syntax)
            length -= len(first)
        file.seek(length, io.SEEK_CUR)
        fragment += 1
