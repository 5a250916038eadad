"""How intensities are prepared and which families are made. Start reading at `RadiomicsSettings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAMILIES", "RadiomicsSettings"]

FAMILIES = (
    "stat", "ih", "ivh", "morph", "loc", "spatial", "glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm",
)  # fmt: skip
"""Every family, in the order in which features come out."""


@dataclass(frozen=True, slots=True)
class RadiomicsSettings:
    """Image processing of the IBSI reference manual, in its order: resample, re-segment, discretise, aggregate.

    Parameters
    ----------
    bins : number of grey levels, fixed bin number (K15C). The default for images of arbitrary grey range.
    bin_size : width of a grey level in the image's unit, fixed bin size (Q3RU); where given it replaces ``bins``.
        Levels start at the lower bound of ``range``, without one at the smallest intensity of the region.
    range : voxels outside this closed interval of intensities leave the intensity mask (re-segmentation, USB3).
    outlier_sigma : voxels further from the mean than this many standard deviations leave it too (7ACA).
    resample_mm : spacing along z, y, x onto which image and mask are interpolated first; None along an axis keeps it.
    interpolation : of the image; the mask is always interpolated linearly and cut at 0.5.
    round_intensities : round to whole numbers after interpolation, as IBSI asks for CT.
    aggregation : ``3d`` one matrix of the volume (IAZD, KOBO), ``2.5d`` one matrix of all slices (ZW7Z, 62GR),
        ``2d`` the mean over slices (SUJT, 8QNN); ``auto`` is 3d for images of several slices, else 2d.
    merge_directions : False gives each direction a co-occurrence and a run length matrix of its own and takes the mean
        of their features (ITBB, JJUI, BTW3).
    ivh_bin_size : step of the intensity-volume histogram in the image's unit; None cuts the range into 1000.
    families : which of `FAMILIES` are made. ``morph``, ``loc`` and ``spatial`` describe a region and are left out of
        images without one. ``loc`` and ``spatial`` are slow on large regions and only made when asked for.

    Raises
    ------
    ValueError : a value that no image could be described with.
    """

    bins: int = 32
    bin_size: float | None = None
    range: tuple[float, float] | None = None
    outlier_sigma: float | None = None
    resample_mm: tuple[float | None, float | None, float | None] | None = None
    interpolation: Literal["linear", "cubic"] = "linear"
    round_intensities: bool = False
    aggregation: Literal["auto", "2d", "2.5d", "3d"] = "auto"
    merge_directions: bool = True
    ivh_bin_size: float | None = None
    families: tuple[str, ...] = (
        "stat", "ih", "ivh", "morph", "glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm",
    )  # fmt: skip

    def __post_init__(self) -> None:
        positive = [self.bins, self.bin_size, self.outlier_sigma, self.ivh_bin_size, *(self.resample_mm or ())]
        if any(value is not None and not value > 0 for value in positive):
            raise ValueError("bins, bin sizes, sigmas and spacings are positive")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"the range {self.range} is empty")
        if unknown := set(self.families) - set(FAMILIES):
            raise ValueError(f"unknown families {sorted(unknown)}: choose from {FAMILIES}")
        if self.interpolation not in ("linear", "cubic") or self.aggregation not in ("auto", "2d", "2.5d", "3d"):
            raise ValueError("interpolation is linear or cubic, aggregation auto, 2d, 2.5d or 3d")
