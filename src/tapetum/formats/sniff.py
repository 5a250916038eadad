"""What a file is, judged by its first bytes and never by its name. Start at `sniff`."""

from __future__ import annotations

import struct

__all__ = ["HEAD_BYTES", "sniff"]

HEAD_BYTES = 512
"""How many leading bytes `sniff` wants to see."""

MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"II*\0", "picture"),
    (b"MM\0*", "picture"),
    (b"II+\0", "picture"),
    (b"NRRD", "nrrd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"PAR1", "parquet"),
)
BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)


def sniff(head: bytes, *, name: str = "") -> str:
    """Return dicom, nifti, nrrd, picture, zip, tar, gzip, parquet, table, fhir or ``""`` when it is none of them.

    ``gzip`` is decided by what is inside (a tar or a NIfTI). ``name`` is used for texts only, which have no magic
    number: one that ends in .csv or .tsv is a table. JSON is FHIR when its beginning or its name says so.
    """
    structured = {
        "dicom": head[128:132] == b"DICM" or _looks_like_bare_dicom(head),
        **{kind: True for magic, kind in MAGIC if head.startswith(magic)},
        "tar": head[257:262] == b"ustar" or head[:3] == b"BZh" or head[:6] == b"\xfd7zXZ\0",
        "nifti": head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2"),
    }
    if head[:2] == b"BM" and len(head) > 26 and struct.unpack_from("<I", head, 14)[0] in BMP_HEADER_BYTES:
        structured["picture"] = True
    found = next((kind for kind, yes in structured.items() if yes), "")
    if found or b"\0" in head:
        return found
    if name.lower().endswith((".csv", ".tsv")):
        return "table"
    return "fhir" if _looks_like_fhir(head, name.lower()) else ""


def _looks_like_fhir(head: bytes, name: str) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_named = name.endswith((".ndjson", ".json", ".jsonl"))
    return text[:1] in (b"{", b"[") and (is_named or b'"resourceType"' in text)


def _looks_like_bare_dicom(head: bytes) -> bool:
    """A data set without preamble: begins with a group 0002 or 0008 element of plausible length (PS3.10 7.1)."""
    if len(head) < 16:
        return False
    group, element = struct.unpack_from("<HH", head)
    if group not in (0x0002, 0x0008) or element > 0x0070:
        return False
    if head[4:6] in (b"UL", b"UI", b"CS", b"DA", b"OB", b"SH", b"LO", b"TM", b"PN"):
        return True
    return bool(struct.unpack_from("<I", head, 4)[0] <= 64)
