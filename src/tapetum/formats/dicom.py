"""A DICOM object on its way in: the header as a data set, the pixels as a span of the file.

Pixels are never decoded or held here: `read` notes where the pixel element lies and checks that it is whole and in
the encoding that the header names; `write` puts a (de-identified) header in front of the same pixel bytes.
Definitions: DICOM PS3.5 (encodings, Annex A.4 encapsulation), PS3.10 (file meta information).
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tapetum.errors import RejectedInput
from tapetum.formats.codec_words import words_in

__all__ = ["IMPLEMENTATION_CLASS_UID", "DicomObject", "read", "write"]

IMPLEMENTATION_CLASS_UID = UID("2.25.163120774012803741836414523456402391170")
UNDEFINED = 0xFFFFFFFF
CHUNK = 1 << 20
MAX_INFLATED = 1 << 28
ELEMENT_HEAD_BYTES, ITEM_HEAD_BYTES = 12, 8
MAGIC_BYTES = 6
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
# File meta information that names Explicit VR Little Endian and nothing else (PS3.10 7.1).
PLAIN_META = (
    b"\x02\0\0\0UL\x04\0" + struct.pack("<I", 28) + b"\x02\0\x10\0UI\x14\0" + ExplicitVRLittleEndian.encode() + b"\0"
)

# The first bytes of a frame in each family of compressed transfer syntaxes (ISO 10918, 14495, 15444).
JPEG, JPEG_2000 = (b"\xff\xd8",), (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")
CODEC_MAGIC = {
    "1.2.840.10008.1.2.4.5": JPEG,
    "1.2.840.10008.1.2.4.6": JPEG,
    "1.2.840.10008.1.2.4.7": JPEG,
    "1.2.840.10008.1.2.4.8": JPEG,
    "1.2.840.10008.1.2.4.9": JPEG_2000,
    "1.2.840.10008.1.2.4.20": JPEG_2000,
}


@dataclass(frozen=True, slots=True)
class DicomObject:
    """One object: ``header`` without pixel element; the pixel element is ``file[start:stop]`` (equal when none)."""

    header: Dataset
    transfer_syntax: UID
    file: BinaryIO
    start: int
    stop: int

    @property
    def has_pixels(self) -> bool:
        """Whether there is a pixel element."""
        return self.stop > self.start

    def pixel_bytes(self) -> Iterator[bytes]:
        """The pixel element, tag and length included, in chunks of at most 1 MiB."""
        self.file.seek(self.start)
        left = self.stop - self.start
        while left > 0:
            chunk = self.file.read(min(CHUNK, left))
            if not chunk:
                raise RejectedInput("truncated")
            left -= len(chunk)
            yield chunk

    def words(self) -> Iterator[bytes]:
        """What codecs and people wrote into the compressed frames: see `words_in`."""
        at = self.start + ELEMENT_HEAD_BYTES
        while self.transfer_syntax.is_encapsulated and at < self.stop - ITEM_HEAD_BYTES:
            self.file.seek(at)
            _, _, length = struct.unpack("<HHI", self.file.read(ITEM_HEAD_BYTES))
            at += ITEM_HEAD_BYTES + length
            yield from words_in(self.file, at - length, at)

    def pixel_digest(self) -> str:
        """sha256 hex of the pixel element: equal for the same pixels in the same encoding."""
        digest = hashlib.sha256()
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
    with warnings.catch_warnings():
        # pydicom's warnings quote values; odd ones are judged here, one by one, and never printed.
        warnings.simplefilter("ignore")
        return _read(file)


def _read(file: BinaryIO) -> DicomObject:
    dataset, file = _parse(file)
    if dataset.get("file_meta", {}).get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY:
        raise RejectedInput("unsupported", "a DICOMDIR is a table of contents, not an object")
    for keyword in ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not dataset.get(keyword):
            raise RejectedInput("missing-attribute", attribute=keyword)
    start = file.tell()
    syntax = _transfer_syntax(dataset)
    stop = _pixel_end(file, start, syntax, dataset)
    if stop == start and dataset.get("Rows") is not None:
        raise RejectedInput("missing-pixel-data", "an image without pixel data")
    return DicomObject(dataset, syntax, file, start, stop)


def write(header: Dataset, source: DicomObject, out: BinaryIO) -> None:
    """Write ``header`` (without pixel element) and the pixel element of ``source`` as a DICOM file.

    The preamble is zero, the file meta information is made anew and nothing that follows the pixel element (padding,
    signatures) is copied. The same input gives the same bytes.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = source.transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    header.file_meta, header.preamble = meta, bytes(128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break a VR's rules were so at their source
        pydicom.dcmwrite(out, header, enforce_file_format=True)
    for chunk in source.pixel_bytes():
        out.write(chunk)


def _parse(file: BinaryIO) -> tuple[Dataset, BinaryIO]:
    """The header, and the file positioned at the pixel element (another file when it had to be inflated)."""
    file.seek(0)
    try:
        file = _inflated(file)
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        _refuse_a_cut_element(dataset)
        for part in (dataset.get("file_meta", Dataset()), dataset):
            list(part.iterall())  # pydicom converts values late; a broken one shall be known now
    except EOFError as error:
        raise RejectedInput("truncated") from error
    # pydicom raises whatever its converters meet in damaged bytes; each of these means the same to us.
    except (
        InvalidDicomError,
        BytesLengthException,
        AttributeError,
        ValueError,
        TypeError,
        OSError,
        struct.error,
        zlib.error,
        RuntimeError,  # NotImplementedError and RecursionError, too
        LookupError,
        ArithmeticError,
        AssertionError,
    ) as error:
        raise RejectedInput("unreadable", f"not parseable as DICOM: {type(error).__name__}") from error
    if not dataset:
        raise RejectedInput("truncated", "a DICOM file without a data set")
    return dataset, file


def _refuse_a_cut_element(dataset: Dataset) -> None:
    """pydicom ends silently where the file ends; an element whose value is shorter than its length was cut."""
    last = dataset.get_item(max(dataset.keys())) if dataset else None
    if isinstance(last, RawDataElement) and last.length != UNDEFINED and len(last.value or b"") < last.length:
        raise RejectedInput("truncated", "the file ends within its header")


def _inflated(file: BinaryIO) -> BinaryIO:
    """The same file, or what a deflated one unfolds to, within bounds: it has no addressable pixel span."""
    file.seek(0)
    head = file.read(2048)
    end = _meta_end(head)
    if DeflatedExplicitVRLittleEndian.encode() not in head[:end]:
        file.seek(0)
        return file
    out = io.BytesIO(bytes(128) + b"DICM" + PLAIN_META)
    out.seek(0, io.SEEK_END)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # PS3.5 A.5: a raw deflate stream without header
    file.seek(end)
    while not inflate.eof and (chunk := inflate.unconsumed_tail or file.read(CHUNK)):
        out.write(inflate.decompress(chunk, CHUNK))
        if out.tell() > MAX_INFLATED:
            raise RejectedInput("archive-bomb", "a deflated object unfolds to more bytes than allowed")
    if not inflate.eof:
        raise RejectedInput("truncated", "the deflated data set has no end")
    out.seek(0)
    return out


def _meta_end(head: bytes) -> int:
    """Where the file meta information ends, as its group length (0002,0000) says; 0 when there is none."""
    if head[128:140] != b"DICM\x02\0\0\0UL\x04\0":
        return 0
    return 144 + int(struct.unpack_from("<I", head, 140)[0])


def _transfer_syntax(dataset: Dataset) -> UID:
    """The encoding that the data set really has: the header's word counts unless the VRs prove it wrong."""
    implicit, little = dataset.original_encoding
    named = UID(str(dataset.get("file_meta", {}).get("TransferSyntaxUID", "")))
    if named.is_private and named.is_valid:
        raise RejectedInput("unsupported", "a private transfer syntax; ask the sender for a standard one")
    if named.is_transfer_syntax:
        if named.is_implicit_VR == implicit and named.is_little_endian == little:
            return named
        if named.is_compressed:
            raise RejectedInput("wrong-transfer-syntax", transfer_syntax=named)
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _pixel_end(file: BinaryIO, start: int, syntax: UID, dataset: Dataset) -> int:
    """Where the pixel element ends; ``start`` when there is none."""
    order = "<" if syntax.is_little_endian else ">"
    tag = file.read(4)
    if len(tag) < 4 or struct.unpack(f"{order}HH", tag) not in ((0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)):
        return start
    if not syntax.is_implicit_VR:
        vr = file.read(4)[:2]
        if vr not in (b"OB", b"OW", b"OF", b"OD", b"UN"):
            raise RejectedInput("wrong-transfer-syntax", "the pixel element has no valid VR")
    raw = file.read(4)
    if len(raw) < 4:
        raise RejectedInput("truncated")
    length = struct.unpack(f"{order}I", raw)[0]
    encapsulated = length == UNDEFINED
    if encapsulated != syntax.is_encapsulated:
        raise RejectedInput("wrong-transfer-syntax", transfer_syntax=syntax)
    return _encapsulated_end(file, syntax) if encapsulated else _native_end(file, length, dataset)


def _native_end(file: BinaryIO, length: int, dataset: Dataset) -> int:
    stop = file.tell() + length
    if file.seek(0, io.SEEK_END) < stop:
        raise RejectedInput("truncated", "the pixel data ends too early")
    bits = int(dataset.get("BitsAllocated") or 0) * int(dataset.get("SamplesPerPixel") or 1)
    frames = int(dataset.get("NumberOfFrames") or 1)
    pixels = int(dataset.get("Rows") or 0) * int(dataset.get("Columns") or 0) * frames
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
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
