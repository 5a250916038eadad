"""NIfTI-1 and NIfTI-2: bytes <-> voxels and their place, and the same bytes without a word in them.

In: one file, compressed by gzip or not.  Out: an array in z, y, x order and its LPS geometry (NIfTI itself is RAS).
Definition: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.  Start reading at `read`.
"""

from __future__ import annotations

import gzip
import math
import zlib
from io import BytesIO
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from tapetum.errors import RejectedInput
from tapetum.formats.voxels import geometry_of, read_bytes
from tapetum.model import Geometry

__all__ = ["clean", "read"]

HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
FREE_TEXT = ("descrip", "aux_file", "db_name", "data_type", "intent_name")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
TO_MM = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON


def read(file: BinaryIO) -> tuple[NDArray[Any], Geometry]:
    """Read one image.

    Parameters
    ----------
    file : a seekable binary file of a single-file NIfTI (``.nii``, ``.nii.gz``), read from its beginning.

    Returns
    -------
    array : (z, y, x) or (t, z, y, x); the stored type, or float64 where the header scales the values.
    geometry : LPS, millimetres, from the sform, else the qform, else the voxel sizes alone. The frame of reference is
        unknown, as NIfTI has none.

    Raises
    ------
    RejectedInput : truncated, unreadable, unsupported (colour, complex, five dimensions), not-finite.
    InvalidGeometry : voxels that are sheared or have no size.
    """
    header, _, pixels = _parse(file)
    shape = _shape(header)
    array = np.frombuffer(pixels, header.get_data_dtype()).reshape(shape, order="F")
    slope, intercept = header.get_slope_inter()
    if slope is not None and (slope, intercept or 0.0) != (1.0, 0.0):
        array = array * np.float64(slope) + np.float64(intercept or 0.0)
    array = array.T
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RejectedInput("not-finite", voxels=int((~np.isfinite(array)).sum()))
    unit = TO_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    try:
        affine = np.diag([unit, unit, unit, 1.0]) @ RAS_TO_LPS @ header.get_best_affine()
    except (ValueError, nib.spatialimages.HeaderDataError) as error:
        raise RejectedInput("unreadable", "the quaternion of the qform is impossible") from error
    return np.ascontiguousarray(array), geometry_of(affine, (array.shape[-3], array.shape[-2], array.shape[-1]))


def clean(data: bytes) -> bytes:
    """The same image without free text: descrip, aux_file, db_name, data_type, intent_name, extensions, trailing bytes.

    Voxel bytes and all numeric fields stay as they are. What was compressed is compressed again, with no time and no
    name in it, so equal images give equal bytes.

    Raises
    ------
    RejectedInput : truncated, unreadable, unsupported.
    """
    header, compressed, pixels = _parse(BytesIO(data))
    _shape(header)
    for field in FREE_TEXT:
        if field in header.structarr.dtype.names:
            header[field] = b""
    header["vox_offset"] = len(header.binaryblock) + 4
    whole = header.binaryblock + b"\0\0\0\0" + pixels
    return gzip.compress(whole, mtime=0) if compressed else whole


def _parse(file: BinaryIO) -> tuple[Any, bool, bytes]:
    """Header, whether it was compressed, and exactly the voxel bytes that the header promises."""
    file.seek(0)
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file) if compressed else file
    try:
        header = _header(stream.read(540))
        stream.seek(max(int(header["vox_offset"]), len(header.binaryblock) + 4))
        wanted = _bytes(header)
        pixels = read_bytes(stream, wanted)
        # Reading on to the end makes gzip compare its checksum; what stands there is not kept.
        while stream.read(1 << 20) if compressed else b"":
            continue
    except EOFError as error:
        raise RejectedInput("truncated") from error
    except (OSError, zlib.error, nib.spatialimages.HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise RejectedInput("unreadable", kind=type(error).__name__) from error
    if len(pixels) < wanted:
        raise RejectedInput("truncated", bytes=len(pixels), expected=wanted)
    return header, compressed, pixels


def _header(block: bytes) -> Any:
    if len(block) < 348:
        raise EOFError
    sizes = (int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big"))
    size = next((size for size in sizes if size in HEADERS), None)
    if size is None:
        raise ValueError("not NIfTI")
    if len(block) < size:
        raise EOFError
    header: Any = HEADERS[size](binaryblock=block[:size], check=False)  # type: ignore[no-untyped-call]
    if header["magic"].item()[:2] != b"n+":
        raise RejectedInput("unsupported", "a NIfTI pair of two files; convert it to a single file")
    if min(header.get_data_shape(), default=0) < 1:
        raise ValueError("no voxels")
    return header


def _bytes(header: Any) -> int:
    return math.prod(int(size) for size in header.get_data_shape()) * int(header.get_data_dtype().itemsize)


def _shape(header: Any) -> tuple[int, ...]:
    """x, y, z and, if there is more than one, t."""
    shape = [int(size) for size in header.get_data_shape()]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    shape += [1] * (3 - len(shape))
    if len(shape) > 4 or header.get_data_dtype().kind not in "iuf":
        raise RejectedInput("unsupported", "colour, complex or more than four dimensions", dimensions=len(shape))
    return tuple(shape)
