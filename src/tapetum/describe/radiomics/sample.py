"""An image and a region -> the voxels that are described: cropped, resampled, re-segmented, discretised.

In: an `Image` and a `Region` or None.  Out: a `Sample`.  Start reading at `sample`.
Definitions: IBSI reference manual, chapter 2 (interpolation VTM2 with aligned grid centres, re-segmentation IFBP,
discretisation 4R0B).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tapetum.describe.radiomics.settings import RadiomicsSettings
from tapetum.describe.radiomics.spatial import PEAK_RADIUS_MM
from tapetum.errors import InvalidGeometry
from tapetum.model import Image, Region

__all__ = ["MAXIMUM_LEVELS", "Sample", "discretise", "sample"]

MAXIMUM_LEVELS = 4096
"""More grey levels than this are a mistake in the bin size: matrices grow with their square."""

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The voxels that are described.

    ``values`` (z, y, x) float64 are the intensities in the bounding box of the region and a margin around it,
    ``inside`` the morphological mask, ``measured`` the intensity mask (after re-segmentation), on the same grid.
    """

    values: NDArray[np.float64]
    inside: NDArray[np.bool_]
    measured: NDArray[np.bool_]
    spacing_mm: Spacing

    def tight(self) -> Sample:
        """Without the margin. A copy of nothing: the arrays are views."""
        box = _bounding_box(self.inside, margin=(0, 0, 0))
        return replace(self, values=self.values[box], inside=self.inside[box], measured=self.measured[box])


def sample(image: Image, region: Region | None, settings: RadiomicsSettings) -> Sample | None:
    """The voxels of ``region`` (None: of the whole image), or None when there are none.

    Raises
    ------
    InvalidGeometry : the region lies on another grid, or resampling is asked for and the spacing is unknown.
    ValueError : the image has axes other than zyx, yx or yxc.
    """
    array, spacing = _volume(image)
    if region is None:
        mask, spacing = np.ones(array.shape, np.bool_), spacing or (1.0, 1.0, 1.0)
    else:
        _require_same_grid(image, array.shape, region)
        mask, spacing = region.array, region.geometry.spacing_mm
    if not mask.any():
        return None
    # Local peaks look at voxels around the region too.
    reach_mm = PEAK_RADIUS_MM if "loc" in settings.families else 0.0
    if settings.resample_mm is None:
        box = _bounding_box(mask, margin=[int(np.ceil(reach_mm / step)) for step in spacing])
        values, inside = array[box].astype(np.float64), mask[box]
    elif image.geometry is None and region is None:
        raise InvalidGeometry("the spacing is unknown", hint="describe pictures without resample_mm")
    else:
        values, inside, spacing = _resampled(array, mask, spacing, settings, reach_mm)
    if not inside.any():
        return None
    return Sample(values, inside, _resegmented(values, inside, settings), spacing)


def discretise(found: Sample, settings: RadiomicsSettings) -> tuple[NDArray[np.int32], int]:
    """Grey levels (z, y, x) of 1 to n in the intensity mask and 0 outside, and n.

    Raises
    ------
    ValueError : there are more than `MAXIMUM_LEVELS`.
    """
    values = found.values[found.measured]
    low, high = values.min(), values.max()
    if settings.bin_size is not None:
        start = settings.range[0] if settings.range is not None and np.isfinite(settings.range[0]) else low
        level = np.floor((values - start) / settings.bin_size) + 1
    elif high > low:
        level = np.minimum(np.floor(settings.bins * (values - low) / (high - low)) + 1, settings.bins)
    else:
        level = np.ones(values.size)
    n_levels = int(level.max())
    if n_levels > MAXIMUM_LEVELS:
        raise ValueError(f"{n_levels} grey levels are too many: choose wider bins or fewer")
    levels = np.zeros(found.values.shape, np.int32)
    levels[found.measured] = level
    return levels, n_levels


def _volume(image: Image) -> tuple[NDArray[np.generic], Spacing | None]:
    """The image as (z, y, x) and its spacing if known; colour as luma of ITU-R BT.601, as in PS3.3 C.7.6.3.1.2."""
    spacing = image.geometry.spacing_mm if image.geometry is not None else None
    if image.axes == "zyx":
        return image.array, spacing
    if image.axes == "yx":
        return image.array[None], spacing
    if image.axes == "yxc":
        return (image.array[..., :3] @ np.array([0.299, 0.587, 0.114]))[None], spacing
    raise ValueError(f"radiomics describes volumes and pictures, not {image.axes!r}")


def _require_same_grid(image: Image, shape: tuple[int, ...], region: Region) -> None:
    same = shape == region.array.shape and (image.geometry is None or image.geometry.same_grid(region.geometry))
    if not same:
        raise InvalidGeometry(
            "the region lies on another grid than the image", hint="resample it", image=shape, region=region.array.shape
        )


def _bounding_box(mask: NDArray[np.bool_], *, margin: Sequence[int]) -> tuple[slice, ...]:
    """Slices around the mask, widened by ``margin`` voxels as far as the array reaches."""
    box = []
    for axis, extra in enumerate(margin):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(max(int(occupied[0]) - extra, 0), int(occupied[-1]) + 1 + extra))
    return tuple(box)


def _resegmented(
    values: NDArray[np.float64], inside: NDArray[np.bool_], settings: RadiomicsSettings
) -> NDArray[np.bool_]:
    measured = inside & np.isfinite(values)
    if settings.range is not None:
        measured &= (values >= settings.range[0]) & (values <= settings.range[1])
    if settings.outlier_sigma is not None and measured.any():
        # Of the range-limited voxels: the manual applies outlier filtering to the region as re-segmented so far.
        mean, width = values[measured].mean(), settings.outlier_sigma * values[measured].std()
        measured &= np.abs(values - mean) <= width
    return measured


def _resampled(
    array: NDArray[np.generic],
    mask: NDArray[np.bool_],
    spacing: Spacing,
    settings: RadiomicsSettings,
    reach_mm: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Spacing]:
    """Image and mask on the new spacing, grid centres aligned; only the part around the mask is computed."""
    wanted = [new or old for new, old in zip(settings.resample_mm or spacing, spacing, strict=True)]
    order = {"linear": 1, "cubic": 3}[settings.interpolation]
    # A cubic spline depends on voxels further away, by a factor of .27 less with each.
    around = {1: 1, 3: 16}[order]
    margin = [int(np.ceil((reach_mm + new) / old)) + around for new, old in zip(wanted, spacing, strict=True)]
    box = _bounding_box(mask, margin=margin)
    axes = []
    for part, n, old, new in zip(box, array.shape, spacing, wanted, strict=True):
        # Less than a billionth of a voxel is rounding (3 voxels of 0.1 mm are 0.30000000000000004 mm), not a voxel.
        n_new = int(np.ceil(n * old / new - 1e-9))
        at = (n - 1) / 2 + (np.arange(n_new) - (n_new - 1) / 2) * new / old - part.start
        axes.append(at[(at >= -0.5) & (at <= part.stop - part.start - 0.5)])
    grid = np.meshgrid(*axes, indexing="ij")
    values = map_coordinates(array[box].astype(np.float64), grid, order=order, mode="nearest")
    inside = map_coordinates(mask[box].astype(np.float32), grid, order=1, mode="nearest") >= 0.5
    values = np.rint(values) if settings.round_intensities else values
    return values, inside, (wanted[0], wanted[1], wanted[2])
