"""What scanners say in private attributes only -> the standard attributes that mean the same.

In: a header.  Out: the same with Diffusion b-value (0018,9087), Diffusion Gradient Orientation (0018,9089) and, for a
Siemens mosaic, Slice Location Vector (0018,2005): where each of its slices lies along the normal (row x column), in mm.
These are plain numbers, so they pass de-identification, which no private attribute does.  Start at `add_standard`.
Sources: the DICOM conformance statements of Siemens (MR header 0019, CSA header), GE (0019, 0043) and Philips (2001,
2005); the layout of the CSA header is that which nibabel documents.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tapetum.errors import RejectedInput
from tapetum.formats.damage import parsing
from tapetum.formats.elements import Element, Header, tag_of
from tapetum.formats.foreign import to_pydicom

__all__ = ["add_standard", "standard_elements"]

SIEMENS, SIEMENS_CSA = (0x0019, "SIEMENS MR HEADER"), (0x0029, "SIEMENS CSA HEADER")
GE_ACQUISITION, GE_PARAMETERS = (0x0019, "GEMS_ACQU_01"), (0x0043, "GEMS_PARM_01")
PHILIPS, PHILIPS_MR = (0x2001, "Philips Imaging DD 001"), (0x2005, "Philips MR Imaging DD 001")
GE_ENCODES = 1_000_000_000  # GE adds this to a b-value to say that it is one of several
CSA_TAG = struct.Struct("<64si4siii")
MOST_CSA_ITEMS = 10_000

PRIVATE_GROUPS = frozenset({0x0019, 0x0029, 0x0043, 0x2001, 0x2005})
ADDED = ("DiffusionBValue", "DiffusionGradientOrientation", "SliceLocationVector")
ASKED = {
    tag_of(keyword)
    for keyword in (
        *ADDED, "ImageType", "ImageOrientationPatient", "SpacingBetweenSlices", "SliceThickness",
        "InPlanePhaseEncodingDirection",
    )
}  # fmt: skip

Block = tuple[int, str]
Numbers = NDArray[np.float64]


def add_standard(header: Dataset) -> None:
    """Add the standard attributes that private ones stand for, in place. What is there already stays."""
    if not any(tag.is_private for tag in header.keys()):  # noqa: SIM118 - iterating a data set parses every element
        return
    csa = _csa(header)
    found = _diffusion(header, csa)
    if "MOSAIC" in (header.get("ImageType") or ()):
        found["SliceLocationVector"] = _slices(header, csa)
    for keyword, value in found.items():
        if value is not None and keyword not in header:
            setattr(header, keyword, value)


def standard_elements(header: Header) -> dict[int, Element]:
    """The elements that `add_standard` would add to a header on its way through the door; most have none.

    Private attributes that cannot be read say nothing: they are no reason to refuse an object.
    """
    if not any(tag >> 16 in PRIVATE_GROUPS for tag in header):
        return {}
    part = Header(header.encodings)
    part.update({tag: one for tag, one in header.items() if tag >> 16 in PRIVATE_GROUPS or tag in ASKED})
    with suppress(RejectedInput), parsing("the private attributes"):
        dataset = to_pydicom(part)
        add_standard(dataset)
        added = [dataset[keyword] for keyword in ADDED if keyword in dataset and tag_of(keyword) not in part]
        return {int(element.tag): (element.VR, _raw(element.VR, element.value)) for element in added}
    return {}


def _raw(vr: str, value: Any) -> bytes:
    numbers = [float(one) for one in np.atleast_1d(value)]
    if vr == "DS":
        return "\\".join(f"{one:g}" for one in numbers).encode("ascii")
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _diffusion(header: Dataset, csa: dict[str, Numbers]) -> dict[str, Any]:
    for read in (_siemens, _philips, _ge):
        value, direction = read(header, csa)
        if value is not None and np.isfinite(value):
            vector = None if direction is None or len(direction) != 3 else [float(one) for one in direction]
            return {"DiffusionBValue": float(value), "DiffusionGradientOrientation": vector}
    return {}


def _siemens(header: Dataset, csa: dict[str, Numbers]) -> tuple[float | None, Numbers | None]:
    value = _private(header, SIEMENS, 0x0C, "text")
    direction = _private(header, SIEMENS, 0x0E, "d")
    value = csa.get("B_value") if value is None else value
    direction = csa.get("DiffusionGradientDirection") if direction is None else direction
    return (None, None) if value is None or not len(value) else (float(value[0]), direction)


def _philips(header: Dataset, _csa: dict[str, Numbers]) -> tuple[float | None, Numbers | None]:
    value = _private(header, PHILIPS, 0x03, "f")
    parts = [_private(header, PHILIPS_MR, element, "f") for element in (0xB0, 0xB1, 0xB2)]
    if value is None:
        return None, None
    known = [float(part[0]) for part in parts if part is not None and len(part)]
    return float(value[0]), np.array(known) if len(known) == 3 else None


def _ge(header: Dataset, _csa: dict[str, Numbers]) -> tuple[float | None, Numbers | None]:
    value = _private(header, GE_PARAMETERS, 0x39, "text")
    if value is None or not len(value):
        return None, None
    parts = [_private(header, GE_ACQUISITION, element, "text") for element in (0xBB, 0xBC, 0xBD)]
    known = [float(part[0]) for part in parts if part is not None and len(part)]
    return float(value[0] % GE_ENCODES), _ge_direction(header, known)


def _ge_direction(header: Dataset, parts: list[float]) -> Numbers | None:
    """GE counts along frequency, phase and slice encoding; LPS needs the image's axes."""
    orientation = header.get("ImageOrientationPatient")
    phase = str(header.get("InPlanePhaseEncodingDirection") or "")
    if len(parts) != 3 or orientation is None or phase not in ("ROW", "COL"):
        return None
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    frequency, along, through = parts
    in_plane = (-frequency, -along) if phase == "COL" else (-along, frequency)  # signs as dcm2niix has them
    return np.asarray(in_plane[0] * row + in_plane[1] * column + through * np.cross(row, column), np.float64)


def _slices(header: Dataset, csa: dict[str, Numbers]) -> list[float] | None:
    """Millimetres along row x column of each slice of a mosaic, counted from the first."""
    count = _private(header, SIEMENS, 0x0A, "H")
    count = csa.get("NumberOfImagesInMosaic") if count is None else count
    spacing = header.get("SpacingBetweenSlices") or header.get("SliceThickness")
    orientation = header.get("ImageOrientationPatient")
    if count is None or not len(count) or count[0] < 1 or not spacing or orientation is None:
        return None
    normal = csa.get("SliceNormalVector")
    across = np.cross(np.array(orientation[:3], float), np.array(orientation[3:], float))
    sign = -1.0 if normal is not None and len(normal) == 3 and across @ normal < 0 else 1.0
    return [round(sign * at * float(spacing), 6) for at in range(int(count[0]))]  # VR DS holds 16 characters


def _private(header: Dataset, block: Block, element: int, kind: str) -> Numbers | None:
    """The numbers of a private element: ``kind`` is ``text`` or the struct letter that its bytes hold."""
    try:
        value = header.private_block(*block)[element].value
    except KeyError:
        return None
    if isinstance(value, bytes) and kind != "text":
        width = struct.calcsize(kind)
        return np.frombuffer(value[: len(value) // width * width], np.dtype(kind).newbyteorder("<")).astype(np.float64)
    parts = value.decode("ascii", "replace").strip(" \0").split("\\") if isinstance(value, bytes) else value
    try:
        return np.atleast_1d(np.array(parts, np.float64))
    except (TypeError, ValueError):
        return None


def _csa(header: Dataset) -> dict[str, Numbers]:
    """The numbers of the CSA image header by name; empty when there is none or it is damaged."""
    try:
        data = bytes(header.private_block(*SIEMENS_CSA)[0x10].value)
        return dict(_csa_entries(data))
    except (KeyError, TypeError, struct.error, ValueError):
        return {}


def _csa_entries(data: bytes) -> Iterator[tuple[str, Numbers]]:
    """Name, then items of four lengths and their text, padded to four bytes. In the old layout, which does not begin
    with SV10, the first length counts, less the number of items of the first tag.
    """
    new = data[:4] == b"SV10"
    at = 16 if new else 8
    (tags,) = struct.unpack_from("<I", data, at - 8)
    surplus = 0 if new else CSA_TAG.unpack_from(data, at)[4]
    for _ in range(min(tags, MOST_CSA_ITEMS)):
        name, count, _, _, items, _ = CSA_TAG.unpack_from(data, at)
        at += CSA_TAG.size
        texts = []
        for _ in range(min(items, MOST_CSA_ITEMS)):
            lengths = struct.unpack_from("<4i", data, at)
            size = max(lengths[1] if new else lengths[0] - surplus, 0)
            at += 16
            texts.append(data[at : at + size].split(b"\0")[0].strip())
            at += (size + 3) // 4 * 4
        wanted = [text for text in texts[: count or None] if text]
        try:
            yield name.split(b"\0")[0].decode("ascii"), np.array([float(text) for text in wanted])
        except ValueError:
            continue  # words, which nobody asks for
