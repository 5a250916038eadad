"""Texture of the retina at the scales of lesions, vessels and the vessels' healthy pattern left out.

In: `Field` and `Anatomy`.  Out: features ``fundus_blob_...`` and ``fundus_band_...``.  Blobs are measured by the
smaller curvature, which a vessel does not have; bands by the shape of their histogram, where a few lesions make heavy
tails long before they change the mean.  Start reading at `describe_texture`.

Sources: Hessian eigenvalues, Frangi et al., MICCAI 1998, LNCS 1496:130; band-pass (amplitude) statistics for
retinopathy, Agurto et al., IEEE Trans Med Imaging 2010;29:502.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tapetum.describe.fundus.anatomy import Anatomy
from tapetum.describe.fundus.field import Field
from tapetum.describe.fundus.shapes import hessian, peaks
from tapetum.describe.fundus.terms import term
from tapetum.model import Feature

__all__ = ["describe_texture"]

SCALES = (1.5, 3.0, 6.0)
"""Pixels of the standard field: blobs of 0.007, 0.014 and 0.028 field diameters."""

BANDS = (1, 2, 4, 8)


def describe_texture(field: Field, anatomy: Anatomy) -> list[Feature]:
    """Strongest dark and light blobs at three scales; spread, skewness and kurtosis of green in four bands."""
    where = anatomy.retina & ~anatomy.vessels
    out: list[Feature] = []
    for word, letter, values in (("dark", "D", anatomy.dark), ("light", "L", anatomy.light)):
        for step, scale in enumerate(SCALES, start=1):
            _, blob = hessian(values, scale)
            top = np.concatenate([peaks(blob / np.float32(anatomy.noise), where, 3)[:40], np.zeros(40)])
            for first, last in ((1, 3), (4, 12), (13, 40)):
                text = f"mean curvature of the {first}. to {last}. strongest {word} blob at {scale} pixels"
                value = top[first - 1 : last].mean()
                out.append(term(f"blob_{word}_{step}_peak_{last}", value, f"B{letter}{step}-P{last}", text))
    finer = field.contrast[..., 1]
    for sigma in BANDS:
        coarser = ndimage.gaussian_filter(field.contrast[..., 1], sigma)
        spread, skewness, kurtosis = _moments((finer - coarser)[where])
        text = f"of green contrast between {sigma // 2} and {sigma} pixels"
        out += [
            term(f"band_{sigma}_sd", spread, f"G{sigma}-SD", f"standard deviation {text}"),
            term(f"band_{sigma}_skewness", skewness, f"G{sigma}-SK", f"skewness {text}"),
            term(f"band_{sigma}_kurtosis", kurtosis, f"G{sigma}-KU", f"kurtosis {text}; 3 when normal"),
        ]
        finer = coarser
    return out


def _moments(values: NDArray[np.float32]) -> tuple[float, float, float]:
    """Standard deviation, skewness, kurtosis; a flat band is normal with none."""
    centred = values.astype(np.float64) - values.mean(dtype=np.float64)
    spread = float(np.sqrt((centred**2).mean()))
    if spread < 1e-9:
        return 0.0, 0.0, 3.0
    scaled = centred / spread
    return spread, float((scaled**3).mean()), float((scaled**4).mean())
