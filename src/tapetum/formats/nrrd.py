"""NRRD: bytes <-> voxels and their place, and the same bytes without a word in them.

In: one attached-header file, raw or gzip.  Out: an array in z, y, x order and its LPS geometry.
Definition: "Definition of NRRD File Format" (teem.sourceforge.net/nrrd/format.html).  Start reading at `read`.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Collection
from contextlib import nullcontext
from os import SEEK_CUR, SEEK_END
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import RejectedInput
from tapetum.formats.voxels import Voxels, geometry_of, gzipped, naming_damage
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
USED = frozenset(
    (
        *NUMERIC, "type", "space", "endian", "encoding", "kinds", "data file", "datafile", "space units", "line skip",
        "lineskip", "byte skip", "byteskip",
    )
)  # fmt: skip
LONGEST_LINE = 1 << 20


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
    fields, voxels = _open(file)
    array = voxels.read().reshape(voxels.shape[::-1])
    geometry, time = _geometry(fields, voxels.shape)
    if time is not None:
        array = np.moveaxis(array, array.ndim - 1 - time, 0)
    array = array.reshape(-1, *geometry.shape)
    array = array[0] if len(array) == 1 else array
    return np.ascontiguousarray(array), geometry


def clean(file: BinaryIO, out: BinaryIO, *, max_voxels: int, max_bytes: int) -> str:
    """Write the same image without free text: no comments, key/value pairs, content, labels, units or trailing bytes.

    Values, type and geometry stay as they are. Compressed data is compressed again, with no time and no name in it,
    so equal images give equal bytes. The file is read to its end once, and about a MiB of it is held.

    Parameters
    ----------
    file : as for `read`.
    out : the clean file is written there; what stands there after an error is of no use.
    max_voxels, max_bytes : what it may unfold to, see `Voxels.refuse_bomb`.

    Returns
    -------
    The digest of the voxels, see `Voxels.copy`.

    Raises
    ------
    RejectedInput : as `read`; and picture-bomb, archive-bomb.
    InvalidGeometry : as `read`.
    """
    size = file.seek(0, SEEK_END)
    fields, voxels = _open(file)
    voxels.refuse_bomb(size, max_voxels=max_voxels, max_bytes=max_bytes)
    lines = [f"{name}: {value}" for name, value in fields.items() if _says_nothing(name, value)]
    out.write("\n".join(["NRRD0005", *lines, "", ""]).encode("ascii"))
    with gzipped(out) if voxels.compressed else nullcontext(out.write) as write:
        digest = voxels.copy(write)
    _geometry(fields, voxels.shape)
    return digest


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


def _open(file: BinaryIO) -> tuple[dict[str, str], Voxels]:
    """Header fields by lower-case name, and the voxels where they begin."""
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
    shape, dtype = _sizes(fields), _dtype(fields)
    with naming_damage():
        stream = _payload(file, fields, math.prod(shape) * dtype.itemsize, compressed=encoding in GZIP)
    return fields, Voxels(stream, encoding in GZIP, shape, dtype)


def _fields(file: BinaryIO) -> dict[str, str]:
    if not file.readline(64).startswith(b"NRRD000"):
        raise RejectedInput("unreadable", "this is not NRRD")
    fields: dict[str, str] = {}
    while line := file.readline(LONGEST_LINE):
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return fields
        name, separator, value = text.partition(":")
        # "name: value" is a field, "name:=value" a key of the user's, "#" a comment.
        if separator and name.strip().lower() in USED and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    raise RejectedInput("truncated", "the header has no end")


def _payload(file: BinaryIO, fields: dict[str, str], expected: int, *, compressed: bool) -> BinaryIO:
    """A stream, not compressed any more, that stands at the first voxel."""
    for _ in range(int(fields.get("line skip", fields.get("lineskip", "0")))):
        _skip_line(file)
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    if skip < -1:
        raise ValueError("byte skip")
    if compressed:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file))
        stream.seek(max(skip, 0))
        return stream
    if skip >= 0:
        file.seek(skip, SEEK_CUR)
        return file
    after_header = file.tell()
    # The last bytes of the file are its voxels; when it was cut, words of the header would be taken for some of them.
    if file.seek(0, SEEK_END) - expected < after_header:
        raise EOFError
    file.seek(-expected, SEEK_CUR)
    return file


def _skip_line(file: BinaryIO) -> None:
    while piece := file.readline(LONGEST_LINE):
        if piece.endswith(b"\n"):
            return
    raise EOFError


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


def _geometry(fields: dict[str, str], shape: tuple[int, ...]) -> tuple[Geometry, int | None]:
    """The place of the voxels, and which axis of the file is time, if one is."""
    try:
        affine, time = _affine(fields, len(shape))
    except (ValueError, IndexError) as error:
        raise RejectedInput("unreadable", "the header's numbers cannot be read") from error
    lengths = [length for axis, length in enumerate(shape) if axis != time] + [1, 1]
    return geometry_of(affine, (lengths[2], lengths[1], lengths[0])), time


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
