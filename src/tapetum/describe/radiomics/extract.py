"""An image and a region -> features. Start reading at `describe`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tapetum.describe.radiomics import intensity, morphology, spatial, texture
from tapetum.describe.radiomics.sample import Sample, discretise, sample
from tapetum.describe.radiomics.settings import FAMILIES, RadiomicsSettings
from tapetum.describe.radiomics.terms import TERMS, unit_of
from tapetum.model import Feature, Image, Region

__all__ = ["describe"]

DEFAULT = RadiomicsSettings()
OF_A_REGION = ("morph", "loc", "spatial")


def describe(image: Image, region: Region | None = None, *, settings: RadiomicsSettings = DEFAULT) -> list[Feature]:
    """Measure a region of an image, or the whole image, with the features of the IBSI reference manual.

    Parameters
    ----------
    image : with axes zyx, yx (one slice) or yxc (one slice of luma). Not modified.
    region : mask on the grid of the image, for yx and yxc of shape (1, y, x). None describes the whole image, without
        the families that only a region has (morphology, local intensity, spatial autocorrelation).
    settings : image processing and families.

    Returns
    -------
    One `Feature` for each term of the families asked for, always the same names in the same order. A value that does
    not exist (an empty region, the correlation of a flat one) is NaN.

    Raises
    ------
    InvalidGeometry : the region lies on another grid, or resampling is asked for and the spacing is unknown.
    ValueError : other axes, or bins so narrow that they are too many.

    Source: Zwanenburg et al., Image biomarker standardisation initiative, reference manual, arXiv:1612.07003v11.

    >>> from tapetum.model import Quantity
    >>> slope = Image(np.arange(64.0).reshape(8, 8), "yx", Quantity("grey value", "1"))
    >>> mean = describe(slope)[0]
    >>> mean.name, mean.code.value, mean.value
    ('stat_mean', 'Q4LE', 31.5)
    """
    families = [f for f in FAMILIES if f in settings.families and (region is not None or f not in OF_A_REGION)]
    found = sample(image, region, settings)
    if settings.aggregation == "auto":
        # By the image, not the region: a lesion on one slice is measured like the larger ones of its cohort.
        volume = image.axes == "zyx" and image.array.shape[0] > 1
        settings = replace(settings, aggregation="3d" if volume else "2d")
    with np.errstate(all="ignore"):
        values = {} if found is None else _values(found, families, settings)
    features = []
    for family in families:
        terms = TERMS[family]
        for term, value in zip(terms, values.get(family, [np.nan] * len(terms)), strict=True):
            finite = value if np.isfinite(value) else np.nan
            features.append(Feature(term.name, float(finite), term.code, unit_of(term, image.quantity.unit)))
    return features


def _values(wide: Sample, families: list[str], settings: RadiomicsSettings) -> dict[str, list[float]]:
    """Values by family; a family that the region has nothing for is missing."""
    found = wide.tight()
    values: dict[str, list[float]] = {}
    if "morph" in families:
        values["morph"] = morphology.morphology(
            found.inside, found.spacing_mm, values=found.values, measured=found.measured
        )
    if not found.measured.any():
        return values
    intensities = found.values[found.measured]
    if "stat" in families:
        values["stat"] = intensity.statistics(intensities)
    if "ivh" in families:
        values["ivh"] = intensity.volume_histogram(intensities, bin_size=settings.ivh_bin_size)
    if "loc" in families:
        values["loc"] = spatial.local_peaks(wide.values, wide.measured, wide.spacing_mm)
    if "spatial" in families:
        values["spatial"] = spatial.autocorrelation(found.values, found.measured, found.spacing_mm)
    return values | _discretised(found, families, settings)


def _discretised(found: Sample, families: list[str], settings: RadiomicsSettings) -> dict[str, list[float]]:
    wanted = tuple(family for family in families if family in texture.MATRICES)
    if not wanted and "ih" not in families:
        return {}
    levels, n_levels = discretise(found, settings)
    values = {"ih": intensity.histogram(levels[found.measured], n_levels)} if "ih" in families else {}
    return values | texture.textures(
        levels,
        found.inside,
        n_levels,
        aggregation=settings.aggregation,
        merge_directions=settings.merge_directions,
        families=wanted,
    )
