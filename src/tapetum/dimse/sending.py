"""Objects out: a stored one as a C-STORE over an association, in its own encoding or in one that the peer takes.

Start reading at `Sender`.  Definitions: PS3.7 9.1.1, PS3.4 B.2; PS3.5 for what changes with the encoding.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tapetum.dimse.association import Association, Context
from tapetum.dimse.classes import PLAIN
from tapetum.dimse.elements import HEAD_BYTES, read_meta
from tapetum.dimse.messages import C_CANCEL_RQ, C_STORE_RQ, C_STORE_RSP
from tapetum.dimse.pdu import UNEXPECTED_PDU, Fault
from tapetum.dimse.wire import Gone
from tapetum.errors import RejectedInput
from tapetum.formats.damage import parsing
from tapetum.formats.pixels import decode
from tapetum.formats.uids import uid_of
from tapetum.model import Instance
from tapetum.ports import BlobStore

__all__ = ["Held", "Sender", "held", "transcoded"]

WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OV": 8, "OD": 8}


@dataclass(frozen=True, slots=True)
class Held:
    """What is needed to send a stored object."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    blob: str


def held(instances: Iterable[Instance], blobs: BlobStore) -> list[Held]:
    """Those of the instances that are DICOM objects, as they can be sent."""
    found = []
    for one in instances:
        if one.format != "dicom":
            continue
        syntax = str(one.attributes.get("TransferSyntaxUID", "")) or _syntax_of(blobs, one.blob)
        found.append(Held(str(one.attributes.get("SOPClassUID", "")), one.sop_instance_uid, syntax, one.blob))
    return found


class Sender:
    """Sends stored objects over one association.

    Parameters
    ----------
    origin : title and Message ID of the C-MOVE on whose behalf it sends, if any.
    cancellable : the Message ID of an operation of the peer that it may cancel over this association.
    """

    def __init__(
        self,
        association: Association,
        blobs: BlobStore,
        *,
        origin: tuple[str, int] | None = None,
        cancellable: int = 0,
    ) -> None:
        self._association, self._blobs = association, blobs
        self._origin, self.cancellable = origin, cancellable
        self._contexts: dict[str, list[Context]] = {}
        for context in association.contexts.values():
            if context.we_send:
                self._contexts.setdefault(context.abstract_syntax, []).append(context)
        self.cancelled = False

    def send(self, one: Held) -> int:
        """Send an object and wait for the answer; its status.

        Raises
        ------
        RejectedInput : the peer accepted no encoding that it can be brought into, or it cannot be read.
        Fault, Gone : the association is over.
        """
        context = self._context(one)
        try:
            with self._blobs.open(one.blob) as file:
                data = _data_set(file, one.transfer_syntax, context.transfer_syntax)
                message_id = self._association.next_id()
                command: dict[str, int | str] = {
                    "AffectedSOPClassUID": one.sop_class_uid,
                    "CommandField": C_STORE_RQ,
                    "MessageID": message_id,
                    "Priority": 0,
                    "AffectedSOPInstanceUID": one.sop_instance_uid,
                }
                if self._origin:
                    title, origin_id = self._origin
                    command |= {
                        "MoveOriginatorApplicationEntityTitle": title,
                        "MoveOriginatorMessageID": origin_id,
                    }
                self._association.stream(context.context_id, command, data)
        except KeyError as error:
            raise RejectedInput("unreadable", "the bytes of an object are not where they should be") from error
        return self._answer(message_id)

    def _context(self, one: Held) -> Context:
        contexts = {context.transfer_syntax: context for context in self._contexts.get(one.sop_class_uid, ())}
        for syntax in (one.transfer_syntax, *PLAIN):
            if syntax in contexts:
                return contexts[syntax]
        raise RejectedInput("unsupported", "the peer takes no encoding that we can make of it")

    def _answer(self, message_id: int) -> int:
        while (message := self._association.receive()) is not None:
            message.close()
            about = message.number("MessageIDBeingRespondedTo")
            if message.kind == C_STORE_RSP and about == message_id:
                return message.number("Status")
            if message.kind != C_CANCEL_RQ or not self.cancellable:
                raise Fault("no answer to what was sent", reason=UNEXPECTED_PDU)
            self.cancelled = self.cancelled or about == self.cancellable
        raise Gone("the peer released in the middle of an operation")


def transcoded(file: BinaryIO, transfer_syntax: str) -> bytes:
    """The data set of a stored object in another, plain little endian, encoding.

    Compressed pixels are decoded (colour becomes RGB), big endian words are turned around; the rest stays.

    Raises
    ------
    RejectedInput : it cannot be read or decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        with parsing("a stored object"):
            file.seek(0)
            dataset = pydicom.dcmread(file, force=True)
            syntax = uid_of(str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", PLAIN[1])))
        if "SOPInstanceUID" not in dataset:
            raise RejectedInput("unreadable", "a stored object is not what it was")
        if syntax.is_encapsulated:
            _put_native(dataset)
        with parsing("a stored object"):
            if not syntax.is_little_endian:
                _turn_around(dataset)
            out = DicomBytesIO()
            out.is_implicit_VR, out.is_little_endian = transfer_syntax == PLAIN[1], True
            write_dataset(out, dataset)
            return bytes(out.getvalue())


def _data_set(file: BinaryIO, stored: str, wanted: str) -> BinaryIO:
    """The data set in the encoding that the peer accepted, without preamble and file meta information."""
    if stored != wanted:
        return io.BytesIO(transcoded(file, wanted))
    try:
        _, start = read_meta(file.read(HEAD_BYTES))
    except RejectedInput:
        if wanted not in PLAIN:
            raise
        return io.BytesIO(transcoded(file, wanted))  # kept as it came, without file meta information
    file.seek(start)
    return file


def _syntax_of(blobs: BlobStore, blob: str) -> str:
    try:
        with blobs.open(blob) as file:
            return read_meta(file.read(HEAD_BYTES))[0]
    except (KeyError, RejectedInput):
        return PLAIN[1]


def _put_native(dataset: Dataset) -> None:
    """Replace compressed pixels by decoded ones and say what they are now (PS3.3 C.7.6.3)."""
    array = decode(dataset)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    bits = 8 * array.dtype.itemsize
    if array.ndim == 4:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = bits
    dataset.BitsStored = min(int(dataset.get("BitsStored") or bits), bits)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    dataset["PixelData"].is_undefined_length = False
    for keyword in [name for name in dataset.dir("PaletteColorLookupTable") if array.ndim == 4]:
        del dataset[keyword]


def _turn_around(dataset: Dataset) -> None:
    """Big endian words to little endian; numbers pydicom has converted already."""
    for item in dataset.iterall():
        size = WORD_BYTES.get(item.VR, 1)
        if size > 1 and isinstance(item.value, bytes):
            item.value = np.frombuffer(item.value, f">u{size}").astype(f"<u{size}").tobytes()
