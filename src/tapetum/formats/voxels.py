"""What the single-file volume formats (NIfTI, NRRD) share: their voxel bytes, and an affine as `Geometry`.

Voxels are read whole to compute with (`Voxels.read`), or pass a MiB at a time on their way into the archive
(`Voxels.copy`), so that taking in a volume costs the same memory whatever its size.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.model import Geometry

__all__ = ["MAX_RATIO", "Voxels", "geometry_of", "gzipped", "naming_damage", "read_bytes"]

CHUNK = 1 << 24
BLOCK = 1 << 20  # a multiple of the width of every number

MAX_RATIO = 200
"""How many voxels a byte of a file may stand for, beyond the allowed number. The most that deflate reaches is 1032
bytes a byte, for a volume of one value; a scan reaches 2 to 10."""


@dataclass(frozen=True, slots=True)
class Voxels:
    """The voxels of an opened file.

    ``stream`` stands at the first of them and is not compressed any more; ``compressed`` says that it was. ``shape`` is
    in the order of the file, fastest axis first, and ``dtype`` the stored type, byte order included. ``scale`` is slope
    and intercept, or None when the stored numbers are the values.
    """

    stream: BinaryIO
    compressed: bool
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: tuple[float, float] | None = None

    def refuse_bomb(self, file_bytes: int, *, max_voxels: int, max_bytes: int) -> None:
        """Judge what the header promises, before anything unfolds.

        Parameters
        ----------
        file_bytes : size of the file as it lies.
        max_voxels : allowed in any case; beyond it `MAX_RATIO` voxels a byte of the file, so that a genuine time series
            of 10^9 voxels passes and a small file that promises as many does not.
        max_bytes : the most that the voxels may take when they are unfolded.

        Raises
        ------
        RejectedInput : picture-bomb, archive-bomb.
        """
        voxels = math.prod(self.shape)
        if voxels > (allowed := max(max_voxels, MAX_RATIO * file_bytes)):
            raise RejectedInput("picture-bomb", voxels=voxels, allowed=allowed)
        if voxels * self.dtype.itemsize > max_bytes:
            raise RejectedInput("archive-bomb", bytes=voxels * self.dtype.itemsize, max_bytes=max_bytes)

    def read(self) -> NDArray[Any]:
        """All values, flat, in the order of the file: the stored type, or float64 where they are scaled.

        Raises
        ------
        RejectedInput : truncated, unreadable, not-finite.
        """
        values = self._values(b"".join(self._blocks()))
        _refuse_not_finite(_not_finite(values))
        return values

    def copy(self, write: Callable[[bytes], object]) -> str:
        """Pass the stored bytes on, a block at a time, and return the digest of the values.

        The digest is the sha256 hex of the shape (axes of length one left out) and the values as little-endian float64
        in the order of the file. So it is the same for one image in NIfTI and NRRD, compressed or not, in another
        byte order or a wider type, and when it is scaled to the same values; a NRRD whose time comes first differs.

        Raises
        ------
        RejectedInput : truncated, unreadable, not-finite. What was written until then is of no use.
        """
        digest = hashlib.sha256(repr([length for length in self.shape if length > 1]).encode())
        bad = 0
        for block in self._blocks():
            write(block)
            values = self._values(block)
            bad += _not_finite(values)
            with np.errstate(over="ignore"):  # a quadruple that is too large for a double
                wide = np.add(values, 0.0, dtype=np.float64)  # and -0 becomes 0
            digest.update(wide.astype("<f8", copy=False).data)
        _refuse_not_finite(bad)
        return digest.hexdigest()

    def _values(self, block: bytes) -> NDArray[Any]:
        stored = np.frombuffer(block, self.dtype)
        if self.scale is None:
            return stored
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found and refused
            return stored * np.float64(self.scale[0]) + np.float64(self.scale[1])

    def _blocks(self) -> Iterator[bytes]:
        """Exactly the bytes that the shape promises; a compressed stream is then read on to its end."""
        expected = left = math.prod(self.shape) * self.dtype.itemsize
        while left > 0:
            with naming_damage():
                block = read_bytes(self.stream, min(left, BLOCK))
            left -= len(block)
            if left > 0 and len(block) < BLOCK:
                raise RejectedInput("truncated", bytes=expected - left, expected=expected)
            yield block
        with naming_damage():
            # Reading on to the end makes gzip compare its checksum; what stands there is not kept.
            while self.stream.read(BLOCK) if self.compressed else b"":
                continue


@contextmanager
def naming_damage(*more: type[Exception]) -> Iterator[None]:
    """Within it, whatever reading damaged bytes raises, or one of ``more``, becomes ``truncated`` or ``unreadable``.

    Raises
    ------
    RejectedInput : truncated, unreadable.
    """
    damage: tuple[type[Exception], ...] = (OSError, zlib.error, ValueError, OverflowError, *more)
    try:
        yield
    except EOFError as error:
        raise RejectedInput("truncated") from error
    except damage as error:
        raise RejectedInput("unreadable", kind=type(error).__name__) from error


@contextmanager
def gzipped(out: BinaryIO) -> Iterator[Callable[[bytes], object]]:
    """Give a function that writes into a gzip with no name and no time, of the bytes that zlib gives at its best."""
    packer = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    yield lambda data: out.write(packer.compress(data))
    out.write(packer.flush())


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


def _not_finite(values: NDArray[Any]) -> int:
    return int(values.size - np.isfinite(values).sum()) if values.dtype.kind == "f" else 0


def _refuse_not_finite(voxels: int) -> None:
    if voxels:
        raise RejectedInput("not-finite", voxels=voxels)
