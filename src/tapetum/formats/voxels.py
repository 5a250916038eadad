"""What the single-file volume formats (NIfTI, NRRD) share: voxel bytes, and an affine as `Geometry`."""

from __future__ import annotations

from io import BufferedIOBase
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InvalidGeometry
from tapetum.model import Geometry

__all__ = ["geometry_of", "read_bytes"]

CHUNK = 1 << 24


def read_bytes(stream: BinaryIO | BufferedIOBase, wanted: int) -> bytes:
    """Read ``wanted`` bytes, or what there is: memory follows the content, not what a header promises."""
    chunks = []
    while wanted > 0 and (chunk := stream.read(min(wanted, CHUNK))):
        chunks.append(chunk)
        wanted -= len(chunk)
    return b"".join(chunks)


def geometry_of(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Geometry:
    """Take an affine apart.

    Parameters
    ----------
    affine : (4, 4), maps (x index, y index, z index, 1) to LPS millimetres.
    shape : voxels along z, y, x.

    Raises
    ------
    InvalidGeometry : an axis has no length or is not finite, or the axes are sheared.
    """
    steps = affine[:3, :3].T[::-1]  # rows: one step along z, y, x
    spacing = np.linalg.norm(steps, axis=1)
    if not np.isfinite(affine).all() or spacing.min() <= 0:
        raise InvalidGeometry("the voxels have no size or no place", hint="export the image again with its geometry")
    z, y, x = (tuple(float(value) for value in axis) for axis in steps / spacing[:, None])
    return Geometry(
        shape,
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3])),
        (_triple(z), _triple(y), _triple(x)),
    )


def _triple(values: tuple[float, ...]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third
