"""DICOM in an encoding that is seldom met: read by pydicom, handed on as Explicit VR Little Endian.

Big endian, deflated, without file meta information, with elements that contradict their own encoding.
Start reading at `read`.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import BinaryIO, NamedTuple

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tapetum.errors import RejectedInput
from tapetum.formats.elements import UNDEFINED, Header
from tapetum.formats.header import Odd, walk_bytes
from tapetum.formats.uids import uid_of

__all__ = ["Foreign", "from_pydicom", "read", "to_pydicom", "turned", "word_bytes"]

CHUNK = 1 << 20
MAX_INFLATED = 1 << 28
# File meta information that names Explicit VR Little Endian and nothing else (PS3.10 7.1).
PLAIN_META = (
    b"\x02\0\0\0UL\x04\0" + struct.pack("<I", 28) + b"\x02\0\x10\0UI\x14\0" + ExplicitVRLittleEndian.encode() + b"\0"
)
# pydicom raises whatever its converters meet in damaged bytes; each of these means the same to us.
DAMAGE = (
    InvalidDicomError, BytesLengthException, AttributeError, ValueError, TypeError, OSError, struct.error, zlib.error,
    RuntimeError,  # NotImplementedError and RecursionError, too
    LookupError, ArithmeticError, AssertionError, Odd,
)  # fmt: skip
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


class Foreign(NamedTuple):
    """Meta information, header, the encoding of the pixels in ``file``, and where their element begins there.

    ``file`` is another one than came where that had to be unfolded; ``came_deflated`` says so.
    """

    meta: Header
    header: Header
    syntax: UID
    file: BinaryIO
    start: int
    came_deflated: bool = False

    @property
    def arrived(self) -> UID:
        """The transfer syntax in which the object came."""
        return DeflatedExplicitVRLittleEndian if self.came_deflated else self.syntax


def read(file: BinaryIO) -> Foreign:
    """Read a header with pydicom.

    Raises
    ------
    RejectedInput : unreadable, truncated, wrong-transfer-syntax, unsupported, archive-bomb.
    """
    with warnings.catch_warnings():
        # pydicom's warnings quote values; odd ones are judged here, one by one, and never printed.
        warnings.simplefilter("ignore")
        dataset, whole = _parse(file)
        start = whole.tell()
        syntax = _transfer_syntax(dataset)
        try:
            meta = from_pydicom(dataset.get("file_meta", Dataset()))
            header = from_pydicom(dataset)
        except DAMAGE as error:
            raise _unreadable(error) from error
    if not syntax.is_little_endian:
        _turn(header)
    return Foreign(meta, header, syntax, whole, start, came_deflated=whole is not file)


def from_pydicom(dataset: Dataset) -> Header:
    """A pydicom data set as a header; its pixel element is left out."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    list(dataset.iterall())  # pydicom converts values late, and unknown ones to what they are
    write_dataset(out, dataset)
    return walk_bytes(out.getvalue())


def to_pydicom(header: Header) -> Dataset:
    """A header as a pydicom data set."""
    return pydicom.dcmread(io.BytesIO(bytes(128) + b"DICM" + PLAIN_META + header.encoded()))


def turned(data: bytes | memoryview, size: int) -> bytes | memoryview:
    """Words of some bytes each with the order of their bytes reversed; a rest of less than a word stays."""
    if size == 1:
        return data
    whole = len(data) - len(data) % size
    return np.frombuffer(data, f"u{size}", whole // size).byteswap().tobytes() + data[whole:]


def word_bytes(vr: str, header: Header) -> int:
    """How many bytes a word of a pixel element has."""
    return max(2, header.integer("BitsAllocated") // 8) if vr == "OW" else WORD_BYTES.get(vr, 1)


def _turn(header: Header) -> None:
    """Turn the words around that pydicom leaves in big endian."""
    for data_set in header.data_sets():
        for tag, (vr, value) in data_set.items():
            if isinstance(value, bytes) and vr in WORD_BYTES:
                data_set[tag] = vr, bytes(turned(value, WORD_BYTES[vr]))


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
    except DAMAGE as error:
        raise _unreadable(error) from error
    if not dataset:
        raise RejectedInput("truncated", "a DICOM file without a data set")
    return dataset, file


def _unreadable(error: BaseException) -> RejectedInput:
    return RejectedInput("unreadable", f"not parseable as DICOM: {type(error).__name__}")


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
    named = uid_of(str(dataset.get("file_meta", {}).get("TransferSyntaxUID", "")))
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
