"""Quality without a reference: how sharp, noisy, contrasted and complete an image is.

In: an `Image`.  Out: features whose names begin with ``quality_``.  Grey values are first scaled so that the 1st and
99th percentile become 0 and 1, which makes images of different ranges comparable.  Volumes are judged on at most 12
slices, evenly spread, and averaged.  Start reading at `quality`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tapetum.model import Code, Feature, Image
from tapetum.standardise.greyrange import normalise

__all__ = ["quality"]

Grey = NDArray[np.float64]
MOST_SLICES = 12
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
LIT = 0.06  # of full brightness: darker pixels of a fundus photograph lie outside its field
IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
SMALLEST = 3
COARSE = 128  # pixels along the longer side on which illumination is judged


def quality(image: Image) -> list[Feature]:
    """Measure the quality of an image.

    ==========================  ======================================================================================
    ``quality_saturation``      part of all values that are the highest one there is (clipping)
    ``quality_sharpness``       variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)
    ``quality_tenengrad``       mean squared Sobel gradient (Krotkov, Int J Comput Vis 1988)
    ``quality_noise``           standard deviation of noise (Immerkær, Comput Vis Image Underst 1996)
    ``quality_contrast``        root mean square contrast (Peli, J Opt Soc Am A 1990)
    ``quality_entropy``         Shannon entropy of 256 grey levels, in bits
    ``quality_focus_entropy``   entropy focus criterion, 0 sharp to 1 blurred (Atkinson et al., IEEE TMI 1997, with
                                MRIQC's normalisation); MR only
    ``quality_field_coverage``  part of a photograph that is lit (brighter than 6 % of full brightness); colour only
    ``quality_illumination``    evenness of light in that field: 1 minus the coefficient of variation of the brightness
                                blurred over a tenth of the picture; colour only
    ==========================  ======================================================================================

    Parameters
    ----------
    image : any axes.

    Returns
    -------
    All nine, always; NaN where one does not exist for this image or the image is smaller than 3 x 3 pixels.
    """
    planes = _planes(image)
    values = {f"quality_{name}": _mean(measure, planes) for name, measure in MEASURES.items()}
    values["quality_saturation"] = float(np.mean(image.array == image.array.max()))
    if image.modality != "MR":
        values["quality_focus_entropy"] = np.nan
    values |= _field(image)
    return [Feature(name, value, Code(name, "99TAPETUM", MEANINGS[name])) for name, value in values.items()]


MEANINGS = {
    "quality_sharpness": "Variance of the Laplacian",
    "quality_tenengrad": "Mean squared Sobel gradient",
    "quality_noise": "Noise standard deviation",
    "quality_contrast": "Root mean square contrast",
    "quality_entropy": "Grey level entropy",
    "quality_focus_entropy": "Entropy focus criterion",
    "quality_saturation": "Part of values at the highest one",
    "quality_field_coverage": "Part of the picture that is lit",
    "quality_illumination": "Evenness of illumination",
}


def _planes(image: Image) -> list[Grey]:
    """Grey (y, x) planes between 0 and 1."""
    colour = image.axes.endswith("c")
    planes = image.array.reshape(-1, *image.array.shape[-3 if colour else -2 :])
    chosen = planes[np.unique(np.linspace(0, len(planes) - 1, min(len(planes), MOST_SLICES)).astype(int))]
    grey = chosen.astype(np.float64) @ LUMA if colour else chosen
    return list(normalise(grey).astype(np.float64))


def _mean(measure: Callable[[Grey], float], planes: list[Grey]) -> float:
    if min(planes[0].shape) < SMALLEST:
        return float("nan")
    values = np.array([measure(plane) for plane in planes])
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _sharpness(plane: Grey) -> float:
    return float(ndimage.laplace(plane).var())


def _tenengrad(plane: Grey) -> float:
    return float(np.mean(ndimage.sobel(plane, 0) ** 2 + ndimage.sobel(plane, 1) ** 2))


def _noise(plane: Grey) -> float:
    response = ndimage.convolve(plane, IMMERKAER)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(response).mean())


def _entropy(plane: Grey) -> float:
    counts = np.histogram(plane, 256, (0.0, 1.0))[0]
    share = counts[counts > 0] / plane.size
    return float(-np.sum(share * np.log2(share)))


def _focus_entropy(plane: Grey) -> float:
    length = np.sqrt(np.sum(plane**2))
    if length == 0:
        return float("nan")
    share = plane[plane > 0] / length
    highest = np.sqrt(plane.size) * np.log(np.sqrt(plane.size))
    return float(-np.sum(share * np.log(share)) / highest)


MEASURES: dict[str, Callable[[Grey], float]] = {
    "sharpness": _sharpness,
    "tenengrad": _tenengrad,
    "noise": _noise,
    "contrast": lambda plane: float(plane.std()),
    "entropy": _entropy,
    "focus_entropy": _focus_entropy,
}


def _field(image: Image) -> dict[str, float]:
    values = {"quality_field_coverage": float("nan"), "quality_illumination": float("nan")}
    if image.axes != "yxc":
        return values
    brightness = image.array.astype(np.float64) @ LUMA / 255.0
    values["quality_field_coverage"] = float((brightness > LIT).mean())
    # Light changes slowly, so every n-th pixel tells as much as all of them, far faster.
    step = -(-max(brightness.shape) // COARSE)
    brightness = brightness[::step, ::step]
    lit = brightness > LIT
    if lit.any():
        blur = max(brightness.shape) / 10
        # Divided by the blurred field, so that the dark surround does not darken the rim.
        field = ndimage.gaussian_filter(lit.astype(np.float64), blur).clip(1e-6)
        light = ndimage.gaussian_filter(brightness * lit, blur) / field
        values["quality_illumination"] = float(1.0 - light[lit].std() / light[lit].mean())
    return values
