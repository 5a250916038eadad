"""Frames of a stored object: as they are stored, or decoded. Start reading at `Frames`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import ExplicitVRLittleEndian

from tapetum.errors import NotFound, RejectedInput
from tapetum.formats import dicom, pixels
from tapetum.formats.foreign import to_pydicom
from tapetum.model import Instance
from tapetum.ports import BlobStore

__all__ = ["Frames", "Layout", "Layouts", "opened"]

PIXEL_DATA = 0x7FE00010
MOST_LAYOUTS = 16384


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the frames of an object lie in its blob: ``count`` of ``size`` bytes each, from ``start`` on."""

    blob: str
    start: int
    size: int
    count: int

    def read(self, blobs: BlobStore, number: int) -> bytes:
        """One frame, numbered from 1, and nothing else of the blob.

        Raises
        ------
        NotFound : no such frame, or the bytes are gone.
        RejectedInput : truncated (the disk has lost some).
        """
        if not 1 <= number <= self.count:
            raise NotFound("no such frame", hint=f"there are {self.count}")
        with _file_of(blobs, self.blob) as file:
            file.seek(self.start + self.size * (number - 1))
            data = file.read(self.size)
        if len(data) != self.size:
            raise RejectedInput("truncated", "the stored object ends within the frame")
        return data


class Layouts:
    """The layouts of the objects that were asked for lately, by their UIDs. Threads may share it.

    An object under a UID never changes, so a layout never does.
    """

    def __init__(self, most: int = MOST_LAYOUTS) -> None:
        self._kept: dict[tuple[str, ...], Layout] = {}
        self._most, self._lock = most, threading.Lock()

    def get(self, uids: tuple[str, ...]) -> Layout | None:
        """What is known of an object."""
        return self._kept.get(uids)

    def put(self, uids: tuple[str, ...], layout: Layout) -> None:
        """Remember an object, and forget the one that is known for longest when there are too many."""
        with self._lock:
            if len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            self._kept[uids] = layout


class Frames:
    """The frames of one object, numbered from 1 as DICOM does.

    Raises
    ------
    NotFound : the object has no pixels, or not that frame.
    """

    def __init__(self, found: dicom.DicomObject) -> None:
        if not found.has_pixels:
            raise NotFound("the object has no pixels", hint="ask for its metadata")
        self._found = found
        self.syntax = str(found.transfer_syntax)
        self.is_compressed = found.transfer_syntax.is_encapsulated
        self.count = max(1, found.header.integer("NumberOfFrames", 1))

    def layout(self, blob: str) -> Layout | None:
        """Where the frames lie in the blob; None where they are not one after another as they are wanted."""
        bits = self._bits
        if self.is_compressed or self._found.word_bytes > 1 or bits % 8:
            return None
        return Layout(blob, self._found.start, bits // 8, self.count)

    @cached_property
    def header(self) -> Dataset:
        """The header as pydicom has it, with the file meta information of the stored object."""
        dataset = to_pydicom(self._found.header)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = (
            self._found.transfer_syntax if self.is_compressed else ExplicitVRLittleEndian
        )
        return dataset

    def stored(self, number: int) -> bytes:
        """One frame as it is stored: its compressed stream, or its bytes in little endian."""
        if not 1 <= number <= self.count:
            raise NotFound("no such frame", hint=f"there are {self.count}")
        return self._stream(number) if self.is_compressed else self._native(number)

    def native(self, number: int) -> bytes:
        """One frame in little endian without compression, colours as RGB when they were compressed."""
        stored = self.stored(number)
        if not self.is_compressed:
            return stored
        array = self._decoded(stored)
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()

    def array(self, number: int) -> NDArray[Any]:
        """Stored values of one frame: (y, x), or (y, x, 3) RGB."""
        return self._decoded(self.stored(number))

    def _decoded(self, stored: bytes) -> NDArray[Any]:
        dataset = self.header
        dataset.NumberOfFrames = 1
        value = encapsulate([stored]) if self.is_compressed else stored + b"\0" * (len(stored) & 1)
        dataset.add_new(self._found.pixel_tag, self._found.pixel_vr, value)
        return np.asarray(pixels.decode(dataset)[0])

    def _stream(self, number: int) -> bytes:
        header = self._found.header
        extended = (header.raw("ExtendedOffsetTable"), header.raw("ExtendedOffsetTableLengths"))
        self._found.file.seek(self._found.start)
        try:
            return get_frame(
                self._found.file,
                number - 1,
                number_of_frames=self.count,
                extended_offsets=extended if all(extended) else None,
            )
        except (ValueError, EOFError) as error:
            raise RejectedInput("truncated", "the frame cannot be found among the fragments") from error

    @property
    def _bits(self) -> int:
        """Of one frame that is not compressed."""
        header = self._found.header
        values = header.integer("Rows") * header.integer("Columns") * header.integer("SamplesPerPixel", 1)
        if header.text("PhotometricInterpretation") == "YBR_FULL_422":
            values = values * 2 // 3
        return values * header.integer("BitsAllocated", 8)

    def _native(self, number: int) -> bytes:
        found, bits = self._found, self._bits
        first = bits * (number - 1)
        if found.word_bytes > 1:
            whole = b"".join(found.pixel_bytes())
            return whole[first // 8 : (first + bits) // 8]
        found.file.seek(found.start + first // 8)
        if bits % 8 == 0:
            return found.file.read(bits // 8)
        # Frames of one bit a pixel follow each other without a gap (PS3.5 8.2): shift them to the begin of a byte.
        data = found.file.read((first + bits + 7) // 8 - first // 8)
        single = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first % 8 :][:bits]
        return np.packbits(single, bitorder="little").tobytes()


@contextmanager
def opened(blobs: BlobStore, instance: Instance) -> Iterator[tuple[BinaryIO, dicom.DicomObject]]:
    """The stored bytes of an object and its header.

    Raises
    ------
    NotFound : the catalogue knows it and its bytes are gone.
    """
    with _file_of(blobs, instance.blob) as file:
        yield file, dicom.read(file)


def _file_of(blobs: BlobStore, blob: str) -> BinaryIO:
    try:
        return blobs.open(blob)
    except KeyError:
        raise NotFound("the bytes of the object are missing", hint="tell the operator: `tapetum verify`") from None
