"""NIfTI-1 and NIfTI-2: bytes <-> voxels and their place, and the same bytes without a word in them.

In: one file, compressed by gzip or not.  Out: an array in z, y, x order and its LPS geometry (NIfTI itself is RAS).
Definition: nifti1.h and nifti2.h of the NIfTI Data Format Working Group.  Start reading at `read`.
"""

from __future__ import annotations

import gzip
from contextlib import nullcontext
from os import SEEK_END
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from tapetum.errors import RejectedInput
from tapetum.formats.voxels import Voxels, geometry_of, gzipped, naming_damage
from tapetum.model import Geometry

__all__ = ["clean", "read"]

HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
FREE_TEXT = ("descrip", "aux_file", "db_name", "data_type", "intent_name", "unused_str")
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
    header, voxels = _open(file)
    array = voxels.read().reshape(voxels.shape, order="F").T
    return np.ascontiguousarray(array), _geometry(header, voxels.shape)


def clean(file: BinaryIO, out: BinaryIO, *, max_voxels: int, max_bytes: int) -> str:
    """Write the same image without free text: none of `FREE_TEXT`, no extensions, no trailing bytes.

    Voxel bytes and all numeric fields stay as they are. What was compressed is compressed again, with no time and no
    name in it, so equal images give equal bytes. The file is read to its end once, and about a MiB of it is held.

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
    header, voxels = _open(file)
    voxels.refuse_bomb(size, max_voxels=max_voxels, max_bytes=max_bytes)
    for field in FREE_TEXT:
        if field in header.structarr.dtype.names:
            header[field] = b""
    header["vox_offset"] = len(header.binaryblock) + 4
    with gzipped(out) if voxels.compressed else nullcontext(out.write) as write:
        write(header.binaryblock + b"\0\0\0\0")
        digest = voxels.copy(write)
    _geometry(header, voxels.shape)
    return digest


def _open(file: BinaryIO) -> tuple[Any, Voxels]:
    """The header, and the voxels where they begin."""
    file.seek(0)
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
    with naming_damage(HeaderDataError, KeyError):
        header = _header(stream.read(540))
        stream.seek(max(int(header["vox_offset"]), len(header.binaryblock) + 4))
        dtype = header.get_data_dtype()
        slope, intercept = header.get_slope_inter()
    scaled = slope is not None and (slope, intercept) != (1.0, 0.0)
    return header, Voxels(stream, compressed, _shape(header, dtype), dtype, (slope, intercept) if scaled else None)


def _geometry(header: Any, shape: tuple[int, ...]) -> Geometry:
    unit = TO_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    try:
        affine = np.diag([unit, unit, unit, 1.0]) @ RAS_TO_LPS @ header.get_best_affine()
    except (ValueError, HeaderDataError) as error:
        raise RejectedInput("unreadable", "the quaternion of the qform is impossible") from error
    return geometry_of(affine, (shape[2], shape[1], shape[0]))


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


def _shape(header: Any, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """x, y, z and, if there is more than one, t."""
    shape = [int(size) for size in header.get_data_shape()]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    shape += [1] * (3 - len(shape))
    if len(shape) > 4 or dtype.kind not in "iuf":
        raise RejectedInput("unsupported", "colour, complex or more than four dimensions", dimensions=len(shape))
    return tuple(shape)
