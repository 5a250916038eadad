"""Volumes that were built once: OME-Zarr folders, addressed by the digest of what made them.

In: an `Image` with a place in the patient.  Out: the same image, without its objects being decoded again.  Format:
OME-NGFF 0.5 (https://ngff.openmicroscopy.org/0.5/) on Zarr 3, so that other tools open it: axes with units, one scale
level, more of them when it is large.  What NGFF has no word for (LPS affine, quantity and unit, seconds, b-values,
lineage) stands in the attribute ``tapetum``.  Start reading at `Volumes`.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from tapetum.model import Geometry, Image, Notice, Quantity

__all__ = ["Volumes", "write_zarr"]

LAYOUT = "1"  # of these folders; another one makes every volume anew
CHUNK = {"t": 1, "z": 32, "y": 256, "x": 256}
LARGE = 512  # voxels along an axis: more get coarser levels beside them
NGFF_AXES: dict[str, dict[str, str]] = {
    "t": {"name": "t", "type": "time", "unit": "second"},
    **{name: {"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"},
}


class Volumes:
    """Volumes in one folder, by key.

    A volume is written beside its place and renamed into it, so that a reader sees a whole one or none; chunks carry
    a checksum, and a damaged volume is as good as none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def key(method: str, blobs: Sequence[str]) -> str:
        """The digest of what makes a volume: the method with its version, and the blobs it is made of, in any order."""
        return sha256("\n".join([LAYOUT, method, *sorted(blobs)]).encode()).hexdigest()

    def put(self, key: str, image: Image) -> None:
        """Keep an image with the axes zyx or tzyx and a geometry; others are left, they cost little to make again."""
        if not holds(image) or self.path(key).exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=self._folder, prefix=".new-"))
        try:
            write_zarr(image, part / "volume")
            with suppress(OSError):  # another process was quicker: it wrote the same
                self.path(key).parent.mkdir(exist_ok=True)
                (part / "volume").rename(self.path(key))
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def get(self, key: str) -> Image | None:
        """The image of a key; None when it is not there, or not whole any more (then it is removed)."""
        place = self.path(key)
        if not place.exists():
            return None
        try:
            return read_zarr(place)
        except (ValueError, KeyError, TypeError, OSError, RuntimeError):
            shutil.rmtree(place, ignore_errors=True)
            return None

    def path(self, key: str) -> Path:
        """Where the volume of a key lies or would lie; any OME-Zarr viewer opens it."""
        return self._folder / key[:2] / f"{key[2:]}.ome.zarr"


def holds(image: Image) -> bool:
    """Whether an image is a volume with a place in the patient."""
    return image.axes in ("zyx", "tzyx") and image.geometry is not None


def write_zarr(image: Image, folder: Path) -> None:
    """Write a volume as OME-Zarr, a time point at a time.

    Parameters
    ----------
    image : axes zyx or tzyx, with a geometry. Whole numbers that fit 16 bits are stored as such, which loses nothing.
    folder : must not exist.

    Raises
    ------
    ValueError : other axes, or no geometry.
    """
    if not holds(image):
        raise ValueError(f"a volume of the axes {image.axes!r} without a place is not kept as OME-Zarr")
    assert image.geometry is not None  # noqa: S101 - for the type checker: `holds` asked
    kind = image.exact_dtype
    with _quiet():
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        level, spacing, levels = image.array, image.geometry.spacing_mm, []
        for number in range(_level_count(image.array.shape)):
            if number:
                level, spacing = _halved(level, spacing)
            chunks = tuple(min(CHUNK[axis], length) for axis, length in zip(image.axes, level.shape, strict=True))
            array = group.create_array(
                str(number),
                shape=level.shape,
                dtype=kind if not number else np.dtype(np.float32),
                chunks=chunks,
                dimension_names=tuple(image.axes),
                compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec()],
            )
            for block in _blocks(level.shape, chunks):
                array[block] = level[block].astype(array.dtype)
            levels.append(_level(image, number, spacing))
        group.attrs.update({"ome": _ome(image, levels), "tapetum": _facts(image)})


def read_zarr(folder: Path) -> Image:
    """Read what `write_zarr` wrote.

    Raises
    ------
    ValueError, KeyError, TypeError, OSError, RuntimeError : it is not whole.
    """
    with _quiet():
        group = zarr.open_group(folder, mode="r", zarr_format=3)
        facts: Any = group.attrs["tapetum"]
        array = group["0"]
        if not isinstance(array, zarr.Array):
            raise KeyError("0")
        values = np.empty(array.shape, np.dtype(facts["dtype"]))
        for block in _blocks(array.shape, array.chunks):
            values[block] = array[block]
    place = facts["geometry"]
    return Image(
        values,
        facts["axes"],
        Quantity(**facts["quantity"]),
        Geometry(
            tuple(place["shape"]),
            tuple(place["spacing_mm"]),
            tuple(place["origin_mm"]),
            tuple(tuple(axis) for axis in place["direction"]),  # type: ignore[arg-type] # three by what was written
            place["frame_of_reference_uid"],
        ),
        facts["modality"],
        facts["series_instance_uid"],
        tuple(facts["instances"]),
        tuple(facts["steps"]),
        tuple(Notice(**notice) for notice in facts["notices"]),
        tuple(facts["times_s"]),
        tuple(float("nan") if value is None else value for value in facts["b_values"]),
        tuple((x, y, z) for x, y, z in facts["b_vectors"]),
    )


def _level_count(shape: tuple[int, ...]) -> int:
    levels, longest = 1, max(shape[-2:])
    while longest > LARGE:
        levels, longest = levels + 1, longest // 2
    return levels


def _halved(
    array: NDArray[Any], spacing: tuple[float, float, float]
) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """Means of 2 x 2 pixels in the plane; slices are thick already."""
    y, x = array.shape[-2] // 2, array.shape[-1] // 2
    cut = array[..., : 2 * y, : 2 * x].astype(np.float32, copy=False)
    mean = (cut[..., ::2, ::2] + cut[..., 1::2, ::2] + cut[..., ::2, 1::2] + cut[..., 1::2, 1::2]) / 4
    return mean, (spacing[0], 2 * spacing[1], 2 * spacing[2])


def _blocks(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Whole chunks along the first two axes, so that little is held twice."""
    lead = min(2, len(shape) - 2)
    starts = (range(0, length, step) for length, step in zip(shape[:lead], chunks[:lead], strict=True))
    for corner in product(*starts):
        yield tuple(slice(at, at + step) for at, step in zip(corner, chunks[:lead], strict=True))


def _level(image: Image, number: int, spacing: tuple[float, float, float]) -> dict[str, Any]:
    """Scale and translation of one level: the middle of its first voxel in the grid of the finest."""
    assert image.geometry is not None  # noqa: S101 - for the type checker
    steps = np.diff(image.times_s)
    time = [float(np.median(steps)) if len(steps) else 1.0] if image.axes == "tzyx" else []
    first = [(wide - fine) / 2 for wide, fine in zip(spacing, image.geometry.spacing_mm, strict=True)]
    return {
        "path": str(number),
        "coordinateTransformations": [
            {"type": "scale", "scale": [*time, *spacing]},
            {"type": "translation", "translation": [*[0.0 for _ in time], *first]},
        ],
    }


def _ome(image: Image, levels: list[dict[str, Any]]) -> dict[str, Any]:
    axes = [NGFF_AXES[axis] for axis in image.axes]
    whole = {"name": "volume", "axes": axes, "datasets": levels, "type": "mean"}
    return {"version": "0.5", "multiscales": [whole]}


def _facts(image: Image) -> dict[str, Any]:
    """What NGFF does not know; floats of JSON keep every bit, but NaN has no word there."""
    assert image.geometry is not None  # noqa: S101 - for the type checker
    place = image.geometry
    affine = np.eye(4)
    affine[:3, :3] = (np.array(place.direction) * np.array(place.spacing_mm)[:, None]).T
    affine[:3, 3] = place.origin_mm
    return {
        "layout": LAYOUT,
        "axes": image.axes,
        "dtype": str(image.array.dtype),
        "quantity": asdict(image.quantity),
        "geometry": asdict(place),
        "affine_zyx_to_lps_mm": affine.tolist(),
        "modality": image.modality,
        "series_instance_uid": image.series_instance_uid,
        "instances": list(image.instances),
        "steps": list(image.steps),
        "notices": [asdict(notice) for notice in image.notices],
        "times_s": list(image.times_s),
        "b_values": [None if np.isnan(value) else value for value in image.b_values],
        "b_vectors": [list(vector) for vector in image.b_vectors],
    }


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr announces what may change in its codecs
        yield
