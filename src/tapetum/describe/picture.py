"""Colour and texture of any picture, down to patches of 32 x 32 pixels.

In: an `Image` with axes ``yxc`` (uint8 RGB) or ``yx`` (any grey range).  Out: a list of `Feature`, the same names for
every picture; of a grey picture the colour parts are NaN.  A picture whose longer side exceeds 512 pixels is reduced
to 512 first, so that texture means the same in a camera's full picture and in its preview.  Start at `describe`.

Sources: colour moments, Stricker and Orengo, SPIE 1995;2420:381. CIELAB, CIE 15:2004 (sRGB, D65). Opponent colours,
van de Sande et al., IEEE TPAMI 2010;32:1582. Uniform local binary patterns, Ojala et al., IEEE TPAMI 2002;24:971.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from skimage import color, feature

from tapetum.model import Code, Feature, Image

__all__ = ["describe"]

Map = NDArray[np.float64]
Row = tuple[str, str, float, str]

SIDE = 512

PLANES = (
    ("red", "R", "red, 0..1"),
    ("green", "G", "green, 0..1"),
    ("blue", "B", "blue, 0..1"),
    ("saturation", "S", "HSV saturation, 0..1"),
    ("value", "V", "HSV value, 0..1"),
    ("lab_l", "L", "CIELAB lightness, 0..100"),
    ("lab_a", "A", "CIELAB a*, green to red"),
    ("lab_b", "Y", "CIELAB b*, blue to yellow"),
    ("red_green", "RG", "opponent colour (R - G) / sqrt 2"),
    ("yellow_blue", "YB", "opponent colour (R + G - 2 B) / sqrt 6"),
)


def describe(image: Image) -> list[Feature]:
    """Describe a picture by 63 numbers: colour moments, contrasts, entropies, local patterns, gradients, asymmetry.

    Parameters
    ----------
    image : axes ``yxc`` (uint8 RGB, at least 3 x 3 pixels) or ``yx`` (any finite numbers; its range becomes 0..1).

    Returns
    -------
    The features, ``picture_...``, in a fixed order. Colour parts of a grey picture are NaN.

    Raises
    ------
    ValueError : other axes, or a side shorter than 3 pixels.
    """
    if image.axes not in ("yxc", "yx") or min(image.array.shape[:2]) < 3:
        raise ValueError(f"a picture has axes yxc or yx and 3 x 3 pixels or more, not {image.axes} {image.array.shape}")
    rgb = _rgb(image.array) if image.axes == "yxc" else None
    grey = rgb @ np.array([0.299, 0.587, 0.114]) if rgb is not None else _grey(image.array)
    rows = [*_colours(rgb), *_texture(grey), *_asymmetry(grey)]
    return [
        Feature(f"picture_{name}", value, Code(f"PIC-{code}", "99TAPETUM", text), "bit" if "entropy" in name else "1")
        for name, code, value, text in rows
    ]


def _rgb(array: NDArray[np.uint8]) -> Map:
    """(y, x, 3) 0..1, longer side at most `SIDE`."""
    longer = max(array.shape[:2])
    if longer > SIDE:
        size = [max(3, round(side * SIDE / longer)) for side in (array.shape[1], array.shape[0])]
        array = np.asarray(Picture.fromarray(array).resize((size[0], size[1]), Picture.Resampling.BOX))
    return np.asarray(array / 255.0, np.float64)


def _grey(array: NDArray[np.generic]) -> Map:
    """(y, x) brought to 0..1 by its own range, longer side at most `SIDE`; a flat picture becomes 0."""
    values = np.asarray(array, np.float64)
    longer = max(values.shape)
    if longer > SIDE:
        size = [max(3, round(side * SIDE / longer)) for side in (values.shape[1], values.shape[0])]
        small = Picture.fromarray(values.astype(np.float32)).resize((size[0], size[1]), Picture.Resampling.BOX)
        values = np.asarray(small, np.float64)
    span = float(np.ptp(values))
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)


def _planes(rgb: Map) -> list[Map]:
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value, low = rgb.max(axis=2), rgb.min(axis=2)
    saturation = np.divide(value - low, value, out=np.zeros_like(value), where=value > 0)
    lab = color.rgb2lab(rgb)
    opponent = ((red - green) / np.sqrt(2), (red + green - 2 * blue) / np.sqrt(6))
    return [red, green, blue, saturation, value, lab[..., 0], lab[..., 1], lab[..., 2], *opponent]


def _colours(rgb: Map | None) -> list[Row]:
    """Moments and centre-to-border contrast per plane, circular hue, entropy of the 4 x 4 x 4 colour histogram."""
    planes = _planes(rgb) if rgb is not None else [np.full((3, 3), np.nan)] * len(PLANES)
    centre = _centre(planes[0].shape)
    rows: list[Row] = []
    for (name, letter, text), plane in zip(PLANES, planes, strict=True):
        mean, spread, skew = _moments(plane)
        inner = float(plane[centre].mean() - plane[~centre].mean())
        rows += [
            (f"{name}_mean", f"{letter}-M", mean, f"mean of {text}"),
            (f"{name}_sd", f"{letter}-SD", spread, f"standard deviation of {text}"),
            (f"{name}_skewness", f"{letter}-SK", skew, f"skewness of {text}"),
            (f"{name}_centre", f"{letter}-C", inner, f"mean of the central half minus mean of its surround, {text}"),
        ]
    across, along, entropy = _hue(planes[8], planes[9], rgb)
    return [
        *rows,
        ("hue_cosine", "HUE-C", along, "cosine of the mean hue angle in the opponent plane, weighted by chroma"),
        ("hue_sine", "HUE-S", across, "sine of the mean hue angle in the opponent plane, weighted by chroma"),
        ("colour_entropy", "H-C", entropy, "entropy of the 4 x 4 x 4 RGB histogram, bit"),
    ]


def _hue(red_green: Map, yellow_blue: Map, rgb: Map | None) -> tuple[float, float, float]:
    if rgb is None:
        return float("nan"), float("nan"), float("nan")
    chroma = float(np.hypot(red_green, yellow_blue).sum())
    across, along = float(yellow_blue.sum()), float(red_green.sum())
    bins = np.minimum((rgb * 4).astype(int), 3) @ np.array([16, 4, 1])
    if chroma == 0:
        return 0.0, 0.0, _entropy(np.bincount(bins.ravel(), minlength=64))
    return across / chroma, along / chroma, _entropy(np.bincount(bins.ravel(), minlength=64))


def _texture(grey: Map) -> list[Row]:
    counts, _ = np.histogram(grey, 32, (0.0, 1.0))
    slope = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1)) / 8
    rows: list[Row] = [
        ("grey_entropy", "H-G", _entropy(counts), "entropy of the 32-bin grey histogram, bit"),
        ("gradient_mean", "GR-M", float(slope.mean()), "mean gradient of grey per pixel"),
        ("gradient_energy", "GR-E", float((slope**2).mean()), "mean squared gradient of grey per pixel"),
        ("gradient_p95", "GR-95", float(np.percentile(slope, 95)), "95th percentile of the gradient of grey per pixel"),
    ]
    finer = grey
    for sigma in (1, 2, 4):
        coarser = ndimage.gaussian_filter(grey, sigma)
        rows.append((f"band_{sigma}", f"BE-{sigma}", float((finer - coarser).std()), f"contrast down to {sigma} pixel"))
        finer = coarser
    # 8 bit, so that rounding noise of the grey mixture cannot decide which neighbour is brighter
    levels = np.round(grey * 255).astype(np.uint8)
    # scikit-image gives this function no types
    patterns = feature.local_binary_pattern(levels, 8, 1, "uniform").astype(int)  # type: ignore[no-untyped-call]
    shares = np.bincount(patterns.ravel(), minlength=10) / patterns.size
    words = [*(f"uniform pattern of {ones} brighter neighbours of 8" for ones in range(9)), "non-uniform patterns"]
    rows += [(f"lbp_{i}", f"LBP-{i}", float(shares[i]), f"share of {words[i]}") for i in range(10)]
    return rows


def _asymmetry(grey: Map) -> list[Row]:
    """Mean absolute difference from the mirrored picture over twice the mean absolute deviation; 0 = symmetric."""
    scale = 2 * float(np.abs(grey - grey.mean()).mean())
    mirrored = {"left_right": grey[:, ::-1], "up_down": grey[::-1], "half_turn": grey[::-1, ::-1]}
    return [
        (f"asymmetry_{name}", f"AS-{name[0].upper()}", _ratio(float(np.abs(grey - other).mean()), scale), text)
        for (name, other), text in zip(
            mirrored.items(),
            ("difference from the left-right mirrored", "difference from the up-down mirrored", "from a half turn"),
            strict=True,
        )
    ]


def _moments(values: Map) -> tuple[float, float, float]:
    mean, spread = float(values.mean()), float(values.std())
    if np.isnan(mean) or spread < 1e-9:
        return mean, spread, spread * 0
    return mean, spread, float((((values - mean) / spread) ** 3).mean())


def _entropy(counts: NDArray[np.intp]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 1e-9 else 0.0


def _centre(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The ellipse of half the picture's sides."""
    rows, columns = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.asarray(np.hypot(rows, columns) <= 0.5, np.bool_)
