"""Commands of DIMSE: which there are, how they are encoded, and how a message is put together from fragments.

Definitions: DICOM PS3.7 sections 9, 10 and Annex E.  Start reading at `Message`.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from tapetum.dimse.pdu import INVALID_PARAMETER, Fault

__all__ = [
    "C_CANCEL_RQ",
    "C_ECHO_RQ",
    "C_FIND_RQ",
    "C_GET_RQ",
    "C_MOVE_RQ",
    "C_STORE_RQ",
    "C_STORE_RSP",
    "NO_DATA",
    "N_ACTION_RQ",
    "N_EVENT_REPORT_RQ",
    "N_EVENT_REPORT_RSP",
    "RESPONSE",
    "Command",
    "Message",
    "Spool",
    "decode_command",
    "encode_command",
]

C_STORE_RQ, C_STORE_RSP, C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ = 0x0001, 0x8001, 0x0010, 0x0020, 0x0021, 0x0030
N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP, N_ACTION_RQ, C_CANCEL_RQ = 0x0100, 0x8100, 0x0130, 0x0FFF
RESPONSE = 0x8000
NO_DATA = 0x0101

Command = Mapping[str, int | str]
"""A command set: keyword -> value."""

ELEMENTS = {
    0x0002: ("AffectedSOPClassUID", "UI"),
    0x0003: ("RequestedSOPClassUID", "UI"),
    0x0100: ("CommandField", "US"),
    0x0110: ("MessageID", "US"),
    0x0120: ("MessageIDBeingRespondedTo", "US"),
    0x0600: ("MoveDestination", "AE"),
    0x0700: ("Priority", "US"),
    0x0800: ("CommandDataSetType", "US"),
    0x0900: ("Status", "US"),
    0x0902: ("ErrorComment", "LO"),
    0x1000: ("AffectedSOPInstanceUID", "UI"),
    0x1001: ("RequestedSOPInstanceUID", "UI"),
    0x1002: ("EventTypeID", "US"),
    0x1008: ("ActionTypeID", "US"),
    0x1020: ("NumberOfRemainingSuboperations", "US"),
    0x1021: ("NumberOfCompletedSuboperations", "US"),
    0x1022: ("NumberOfFailedSuboperations", "US"),
    0x1023: ("NumberOfWarningSuboperations", "US"),
    0x1030: ("MoveOriginatorApplicationEntityTitle", "AE"),
    0x1031: ("MoveOriginatorMessageID", "US"),
}
TAGS = {keyword: (tag, vr) for tag, (keyword, vr) in ELEMENTS.items()}
PLACE = {keyword: place for place, keyword in enumerate(TAGS)}
ELEMENT_HEAD = struct.Struct("<HHL")
MEMORY_BYTES = 8 << 20


class Spool:
    """What a data set is collected in: memory up to 8 MiB, then a file without a name.

    It takes at most ``most`` bytes, and what the disk cannot take is not kept; `lost` tells. The rest is let go by, so
    that the sender can be answered.
    """

    def __init__(self, head: bytes = b"", *, most: int) -> None:
        self._file: BinaryIO = io.BytesIO()
        self._on_disk = False
        self._most = most
        self.size, self.lost = 0, False
        self.write(head)

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        self.size += len(data)
        if self.lost or self.size > self._most:
            self.lost = True
            return
        try:
            if not self._on_disk and self.size > MEMORY_BYTES:
                self._move_to_disk()
            self._file.write(data)
        except OSError:
            self.lost = True

    def open(self) -> BinaryIO:
        """The content from its start, as often as wanted, one at a time; each is closed by whoever asked."""
        if not self._on_disk and isinstance(self._file, io.BytesIO):
            return io.BytesIO(self._file.getvalue())  # shares the bytes
        self._file.flush()
        again = os.fdopen(os.dup(self._file.fileno()), "rb")
        again.seek(0)
        return again

    def close(self) -> None:
        """Let the memory or the file go."""
        self._file.close()

    def _move_to_disk(self) -> None:
        disk = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        with self._file as memory:
            memory.seek(0)
            disk.write(memory.read())
        self._file, self._on_disk = disk, True


@dataclass(frozen=True, slots=True)
class Message:
    """A command and, when it has one, its data set, as they came over one presentation context."""

    context_id: int
    command: Command
    data: Spool | None = None

    @property
    def kind(self) -> int:
        """The Command Field."""
        return self.number("CommandField")

    @property
    def message_id(self) -> int:
        """By which the requestor recognises the answer."""
        return self.number("MessageID")

    def number(self, keyword: str) -> int:
        """A number of the command, 0 when it is not there."""
        return int(self.command.get(keyword, 0))

    def text(self, keyword: str) -> str:
        """A text of the command, empty when it is not there."""
        return str(self.command.get(keyword, ""))

    def close(self) -> None:
        """Let its data set go."""
        if self.data is not None:
            self.data.close()


def encode_command(command: Command) -> bytes:
    """A command set in Implicit VR Little Endian with its group length (PS3.7 6.3.1)."""
    out = bytearray()
    for keyword in sorted(command, key=PLACE.__getitem__):
        tag, vr = TAGS[keyword]
        value = command[keyword]
        data = struct.pack("<H", value) if vr == "US" else str(value).encode("ascii", "replace")
        if len(data) % 2:
            data += b"\0" if vr == "UI" else b" "
        out += ELEMENT_HEAD.pack(0, tag, len(data)) + data
    return ELEMENT_HEAD.pack(0, 0, 4) + struct.pack("<L", len(out)) + bytes(out)


def decode_command(data: bytes) -> dict[str, int | str]:
    """The command set in these bytes; elements that we do not use are passed over.

    Raises
    ------
    Fault : cut short, of another group, or without Command Field and Command Data Set Type.
    """
    found: dict[str, int | str] = {}
    at = 0
    while at < len(data):
        if len(data) - at < ELEMENT_HEAD.size:
            raise Fault("a command set that is cut short", reason=INVALID_PARAMETER)
        group, tag, length = ELEMENT_HEAD.unpack_from(data, at)
        value = data[at + 8 : at + 8 + length]
        if group or len(value) < length:
            raise Fault("a command set that is cut short or no command", reason=INVALID_PARAMETER)
        at += 8 + length
        keyword, vr = ELEMENTS.get(tag, ("", ""))
        if vr == "US" and length == 2:
            found[keyword] = int.from_bytes(value, "little")
        elif vr not in ("", "US"):
            found[keyword] = value.decode("ascii", "replace").strip(" \0")
    if "CommandField" not in found or "CommandDataSetType" not in found:
        raise Fault("a command set without its field", reason=INVALID_PARAMETER)
    return found
