"""Single data elements, quickly: the few that are looked at on the way in, and the answers of C-FIND on the way out.

pydicom reads and writes whole data sets elsewhere; here one object must not cost more than some microseconds.
Definitions: DICOM PS3.5 section 7, PS3.10 section 7.1.  Start reading at `element` and `peek`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from tapetum.errors import RejectedInput
from tapetum.formats.dicom import IMPLEMENTATION_CLASS_UID

__all__ = ["HEAD_BYTES", "element", "file_head", "item_sequence", "peek", "read_meta", "tag_of"]

HEAD_BYTES = 4096
"""Of a file: enough for its meta information."""
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
NUMBERS = {"US": "<H", "SS": "<h", "UL": "<L", "SL": "<l", "FL": "<f", "FD": "<d", "UV": "<Q", "SV": "<q"}
SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX = (0x0008, 0x0016), (0x0008, 0x0018), (0x0002, 0x0010)


@lru_cache(maxsize=4096)
def _known(keyword: str) -> tuple[int, str]:
    """Tag and VR of a keyword; ambiguous VRs as the first they may be."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no DICOM keyword")
    return tag, dictionary_VR(tag)[:2]


def tag_of(keyword: str) -> int:
    """The tag of a keyword, by which elements are sorted."""
    return _known(keyword)[0]


def element(keyword: str, value: Any, *, implicit: bool) -> bytes:
    """One element in little endian, texts in UTF-8.

    Parameters
    ----------
    value : text or number, or a tuple of them; None and "" make an empty element. Sequences are always empty.
    """
    tag, vr = _known(keyword)
    data = b"" if vr == "SQ" or value is None else _value(vr, value)
    return _packed(tag, vr, data, implicit=implicit)


def item_sequence(keyword: str, items: list[bytes], *, implicit: bool) -> bytes:
    """A sequence of items whose elements are encoded already, all with their lengths."""
    tag, vr = _known(keyword)
    data = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return _packed(tag, vr, data, implicit=implicit)


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str) -> bytes:
    """Preamble and file meta information of an object that came over the wire (PS3.10 7.1).

    Nothing in it depends on who sent it, so that the same object gives the same file.
    """
    body = b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"
    for number, uid in (
        (0x0002, sop_class_uid), (0x0003, sop_instance_uid), (0x0010, transfer_syntax),
        (0x0012, IMPLEMENTATION_CLASS_UID),
    ):  # fmt: skip
        body += _packed(0x00020000 | number, "UI", _text("UI", uid), implicit=False)
    return bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0" + struct.pack("<L", len(body)) + body


def peek(start: bytes, transfer_syntax: str) -> tuple[str, str]:
    """SOP Class UID and SOP Instance UID that a data set begins with; empty where they are not found.

    Parameters
    ----------
    start : the first bytes of a data set that is not deflated, some hundred.
    """
    found = dict.fromkeys((SOP_CLASS, SOP_INSTANCE), "")
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    for tag, value in _walk(start, order=order, implicit=transfer_syntax == ImplicitVRLittleEndian):
        if tag > SOP_INSTANCE:
            break
        if tag in found:
            found[tag] = value.decode("ascii", "replace").strip(" \0")
    return found[SOP_CLASS], found[SOP_INSTANCE]


def read_meta(start: bytes) -> tuple[str, int]:
    """Transfer syntax of a DICOM file and where its data set begins.

    Raises
    ------
    RejectedInput : unreadable, when it has no file meta information with its length.
    """
    if start[128:140] != b"DICM\x02\0\0\0UL\x04\0":
        raise RejectedInput("unreadable", "no file meta information")
    end = 144 + int.from_bytes(start[140:144], "little")
    for tag, value in _walk(start[144:end], order="<", implicit=False):
        if tag == TRANSFER_SYNTAX:
            return value.decode("ascii", "replace").strip(" \0"), end
    raise RejectedInput("unreadable", "no transfer syntax")


def _walk(data: bytes, *, order: str, implicit: bool) -> Iterator[tuple[tuple[int, int], bytes]]:
    """The elements of defined length, to the first that is not, or is cut."""
    at = 0
    while at + 12 <= len(data):
        group, number = struct.unpack_from(f"{order}HH", data, at)
        if implicit:
            (length,) = struct.unpack_from(f"{order}L", data, at + 4)
            at += 8
        elif data[at + 4 : at + 6].decode("latin-1") in LONG_VRS:
            (length,) = struct.unpack_from(f"{order}L", data, at + 8)
            at += 12
        else:
            (length,) = struct.unpack_from(f"{order}H", data, at + 6)
            at += 8
        if at + length > len(data):
            return
        yield (group, number), data[at : at + length]
        at += length


def _packed(tag: int, vr: str, data: bytes, *, implicit: bool) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<L", len(data)) + data
    if vr in LONG_VRS:
        return head + vr.encode() + struct.pack("<HL", 0, len(data)) + data
    data = data[:0xFFFE]
    return head + vr.encode() + struct.pack("<H", len(data)) + data


def _value(vr: str, value: Any) -> bytes:
    values = value if isinstance(value, tuple | list) else (value,)
    if vr in NUMBERS:
        whole = vr not in ("FL", "FD")
        numbers = [one for each in values for one in str(each).split("\\") if one != ""]
        return b"".join(struct.pack(NUMBERS[vr], int(one) if whole else float(one)) for one in numbers)
    return _text(vr, "\\".join(map(str, values)))


def _text(vr: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return data + (b"\0" if vr == "UI" else b" ") if len(data) % 2 else data
