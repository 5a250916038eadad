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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tapetum.errors import RejectedInput

__all__ = ["IMPLEMENTATION_CLASS_UID", "DicomObject", "read", "write"]

IMPLEMENTATION_CLASS_UID = UID("2.25.163120774012803741836414523456402391170")
UNDEFINED = 0xFFFFFFFF
CHUNK = 1 << 20
MAX_INFLATED = 1 << 30

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
    RejectedInput : unreadable, missing-attribute, truncated, wrong-transfer-syntax, missing-pixel-data.
    """
    dataset, file = _parse(file)
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
    header.file_meta = meta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break a VR's rules were so at their source
        pydicom.dcmwrite(out, header, enforce_file_format=True)
    for chunk in source.pixel_bytes():
        out.write(chunk)


def _parse(file: BinaryIO) -> tuple[Dataset, BinaryIO]:
    """The header, and the file positioned at the pixel element (another file when it had to be inflated)."""
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are judged later, one by one
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            if dataset.get("file_meta", {}).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                file = _inflated(file)
                dataset = pydicom.dcmread(file, stop_before_pixels=True)
            list(dataset.iterall())  # pydicom converts values late; a broken one shall be known now
    except EOFError as error:
        raise RejectedInput("truncated") from error
    # pydicom raises whatever its converters meet in damaged bytes; each of these means the same to us.
    except (
        InvalidDicomError,
        AttributeError,
        KeyError,
        ValueError,
        TypeError,
        OSError,
        struct.error,
        NotImplementedError,
        IndexError,
        LookupError,
        OverflowError,
        RecursionError,
    ) as error:
        raise RejectedInput("unreadable", f"not parseable as DICOM: {type(error).__name__}") from error
    if not dataset:
        raise RejectedInput("truncated", "a DICOM file without a data set")
    return dataset, file


def _inflated(file: BinaryIO) -> BinaryIO:
    """The same object as Explicit VR Little Endian, in memory: deflated objects have no addressable pixel span."""
    file.seek(0)
    if file.seek(0, io.SEEK_END) > MAX_INFLATED // 4:
        raise RejectedInput("archive-bomb", "a deflated object of this size is not inflated")
    file.seek(0)
    whole = pydicom.dcmread(file)
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    pydicom.dcmwrite(out, whole, enforce_file_format=True)
    out.seek(0)
    return out


def _transfer_syntax(dataset: Dataset) -> UID:
    """The encoding that the data set really has: the header's word counts unless the VRs prove it wrong."""
    implicit, little = dataset.original_encoding
    named = UID(str(dataset.get("file_meta", {}).get("TransferSyntaxUID", "")))
    if named.is_transfer_syntax and not named.is_private:
        if named.is_implicit_VR == implicit and named.is_little_endian == little:
            return named
        if named.is_compressed:
            raise RejectedInput("wrong-transfer-syntax", transfer_syntax=named)
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _pixel_end(file: BinaryIO, start: int, syntax: UID, dataset: Dataset) -> int:
    """Where the pixel element ends; ``start`` when there is none. Leaves the file anywhere."""
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
    if length < (pixels * bits + 7) // 8:
        raise RejectedInput("truncated", "fewer pixel bytes than rows and columns ask for")
    return stop


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
        if fragment == 1 and magic:
            first = file.read(min(12, length))
            if not first.startswith(magic):
                raise RejectedInput("wrong-transfer-syntax", transfer_syntax=syntax)
            length -= len(first)
        file.seek(length, io.SEEK_CUR)
        fragment += 1
