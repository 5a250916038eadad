"""NRRD: bytes <-> voxels and their place, and the same bytes without a word in them.

In: one attached-header file, raw or gzip.  Out: an array in z, y, x order and its LPS geometry.
Definition: "Definition of NRRD File Format" (teem.sourceforge.net/nrrd/format.html).  Start reading at `read`.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Collection
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import RejectedInput
from tapetum.formats.voxels import geometry_of, read_bytes
from tapetum.model import Geometry

__all__ = ["clean", "read"]

TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
DTYPE = {name: code for code, names in TYPES.items() for name in names.split(", ")}
SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}
NUMBERS = re.compile(r"[-+0-9.,()\s]|e[-+]?\d|nan|none|inf")
KINDS = ("domain", "space", "time", "list", "none", "???")
NUMERIC = ("dimension", "space dimension", "sizes", "spacings", "space directions", "space origin")
GZIP = ("gzip", "gz")
LONGEST_HEADER = 1 << 20


def read(file: BinaryIO) -> tuple[NDArray[Any], Geometry]:
    """Read one image.

    Parameters
    ----------
    file : a seekable binary file with header and data in one, read from its beginning.

    Returns
    -------
    array : (z, y, x) or (t, z, y, x) in the stored type.
    geometry : LPS, millimetres. A file that names no space is taken as LPS, as ITK does. The frame of reference is
        unknown, as NRRD has none.

    Raises
    ------
    RejectedInput : truncated, unreadable, unsupported (detached data, other encodings, vectors), not-finite.
    InvalidGeometry : voxels that are sheared or have no size.
    """
    fields, pixels = _parse(file)
    array = np.frombuffer(pixels, _dtype(fields)).reshape(_sizes(fields)[::-1])
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RejectedInput("not-finite", voxels=int((~np.isfinite(array)).sum()))
    try:
        affine, time = _affine(fields, array.ndim)
    except (ValueError, IndexError) as error:
        raise RejectedInput("unreadable", "the header's numbers cannot be read") from error
    if time is not None:
        array = np.moveaxis(array, array.ndim - 1 - time, 0)
        array = array[0] if array.shape[0] == 1 else array
    if array.ndim == 2:
        array = array[None]
    return np.ascontiguousarray(array), geometry_of(affine, (array.shape[-3], array.shape[-2], array.shape[-1]))


def clean(data: bytes) -> bytes:
    """The same image without free text: no comments, key/value pairs, content, labels, units or trailing bytes.

    Values, type and geometry stay as they are. Compressed data is compressed again, with no time and no name in it,
    so equal images give equal bytes.

    Raises
    ------
    RejectedInput : truncated, unreadable, unsupported.
    """
    fields, pixels = _parse(BytesIO(data))
    _dtype(fields)
    lines = [f"{name}: {value}" for name, value in fields.items() if _says_nothing(name, value)]
    payload = gzip.compress(pixels, mtime=0) if fields["encoding"].lower() in GZIP else pixels
    return "\n".join(["NRRD0005", *lines, "", ""]).encode("ascii") + payload


def _says_nothing(name: str, value: str) -> bool:
    """Whether a field is one that places or types voxels, and its value is a number or a word of the format's own."""
    if name in NUMERIC:
        return not NUMBERS.sub("", value)
    words: dict[str, Collection[str]] = {
        "type": DTYPE,
        "space": SPACES,
        "endian": ("little", "big"),
        "encoding": ("raw", *GZIP),
    }
    if name == "kinds":
        return all(word in KINDS for word in value.lower().split())
    return value.lower() in words.get(name, ())


def _parse(file: BinaryIO) -> tuple[dict[str, str], bytes]:
    """Header fields by lower-case name, and exactly the voxel bytes that the header promises, not compressed."""
    file.seek(0)
    fields = _fields(file)
    for needed in ("type", "dimension", "sizes", "encoding"):
        if needed not in fields:
            raise RejectedInput("unreadable", "the header lacks a field", field=needed)
    if "data file" in fields or "datafile" in fields:
        raise RejectedInput("unsupported", "the data lie in another file; write header and data in one")
    if set(fields.get("space units", "").replace('"', " ").split()) - {"mm"}:
        raise RejectedInput("unsupported", "a space that is not measured in millimetres")
    encoding = fields["encoding"].lower()
    if encoding not in {"raw", *GZIP}:
        raise RejectedInput("unsupported", "an encoding other than raw and gzip")
    wanted = math.prod(_sizes(fields)) * np.dtype(_dtype(fields)).itemsize
    try:
        pixels = _payload(file, fields, wanted, compressed=encoding in GZIP)
    except EOFError as error:
        raise RejectedInput("truncated") from error
    except (OSError, zlib.error, ValueError, OverflowError) as error:
        raise RejectedInput("unreadable", kind=type(error).__name__) from error
    if len(pixels) < wanted:
        raise RejectedInput("truncated", bytes=len(pixels), expected=wanted)
    return fields, pixels


def _fields(file: BinaryIO) -> dict[str, str]:
    if not file.readline(64).startswith(b"NRRD000"):
        raise RejectedInput("unreadable", "this is not NRRD")
    fields: dict[str, str] = {}
    while line := file.readline(LONGEST_HEADER):
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return fields
        name, separator, value = text.partition(":")
        # "name: value" is a field, "name:=value" a key of the user's, "#" a comment.
        if separator and not text.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    raise RejectedInput("truncated", "the header has no end")


def _payload(file: BinaryIO, fields: dict[str, str], wanted: int, *, compressed: bool) -> bytes:
    for _ in range(int(fields.get("line skip", fields.get("lineskip", "0")))):
        file.readline()
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    if compressed:
        with gzip.GzipFile(fileobj=file) as stream:
            read_bytes(stream, max(skip, 0))
            pixels = read_bytes(stream, wanted)
            while stream.read(1 << 20):  # to the end, so that gzip compares its checksum
                continue
            return pixels
    if skip == -1:
        file.seek(-wanted, 2)
    else:
        file.seek(skip, 1)
    return read_bytes(file, wanted)


def _dtype(fields: dict[str, str]) -> np.dtype[Any]:
    code = DTYPE.get(fields["type"].lower())
    if code is None:
        raise RejectedInput("unsupported", "voxels that are not plain numbers")
    if code[1] == "1":
        return np.dtype(code)
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "little").lower())
    if order is None:
        raise RejectedInput("unreadable", "the byte order is neither little nor big")
    return np.dtype(order + code)


def _sizes(fields: dict[str, str]) -> tuple[int, ...]:
    try:
        sizes, dimensions = tuple(int(size) for size in fields["sizes"].split()), int(fields["dimension"])
    except ValueError as error:
        raise RejectedInput("unreadable", "the sizes are not numbers") from error
    if not 2 <= len(sizes) <= 4 or min(sizes) < 1 or len(sizes) != dimensions:
        raise RejectedInput("unsupported", "an image of other than two to four dimensions", dimensions=len(sizes))
    return sizes


def _affine(fields: dict[str, str], dimensions: int) -> tuple[NDArray[np.float64], int | None]:
    """The affine of x, y, z indices to LPS millimetres, and which axis of the file is time, if one is."""
    affine, kinds = np.eye(4), fields.get("kinds", "").lower().split()
    directions = _vectors(fields.get("space directions", ""))
    if not directions:
        sizes = fields.get("spacings", "").split() or ["1"] * dimensions
        lengths = [1.0 if size.lower() == "nan" else float(size) for size in sizes]
        directions = [np.eye(3)[axis] * lengths[axis] for axis in range(min(dimensions, 3))]
        directions += [None] * (dimensions - len(directions))
    times = [axis for axis, vector in enumerate(directions) if vector is None]
    spatial = [vector for vector in directions if vector is not None]
    if len(times) > 1 or len(spatial) > 3 or (times and kinds and kinds[times[0]] not in KINDS):
        raise RejectedInput("unsupported", "voxels that are vectors or colours")
    for axis, vector in enumerate(spatial):
        affine[: len(vector), axis] = vector
    origin = _vectors(fields.get("space origin", ""))
    if origin and origin[0] is not None:
        affine[: len(origin[0]), 3] = origin[0]
    signs = SPACES.get(fields.get("space", "lps").lower())
    if signs is None:
        raise RejectedInput("unsupported", "a space that is not of a patient")
    return np.diag([*signs, 1.0]) @ affine, times[0] if times else None


def _vectors(text: str) -> list[NDArray[np.float64] | None]:
    """``none (1,0,0) (0,1,0)`` as vectors."""
    words = text.replace(", ", ",").split()
    return [
        None if word == "none" else np.array([float(part) for part in word.strip("()").split(",")]) for word in words
    ]
