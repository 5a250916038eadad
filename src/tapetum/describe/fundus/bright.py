"""Bright lesions: hard exudates and cotton-wool spots.

In: `Field` and `Anatomy`.  Out: features ``fundus_bright_...`` and ``fundus_yellow_...``.  A bright lesion is a light
spot in green, shorter than a line of given length in every direction, off the disc. Exudates are yellow as well: light
in green more than in blue, which sets them apart from reflections of the camera.  Start reading at `describe_bright`.

Sources: Walter et al., IEEE Trans Med Imaging 2002;21:1236 (exudates by local contrast after removal of the disc);
Sanchez et al., Med Image Anal 2012;16:50 (bright lesions against drusen and reflections by contrast and colour).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tapetum.describe.fundus.anatomy import Anatomy
from tapetum.describe.fundus.field import Field
from tapetum.describe.fundus.lesions import Kind, describe_peaks, describe_spots
from tapetum.describe.fundus.shapes import short_structures
from tapetum.model import Feature

__all__ = ["describe_bright"]

KINDS = (
    Kind("bright_small", "BS", "light spots up to 0.03 field diameters (hard exudates)", 19, (5.0, 8.0)),
    Kind("bright_large", "BL", "light spots up to 0.1 field diameters (cotton wool, plaques)", 61, (5.0, 8.0)),
)
YELLOW = Kind("yellow", "YE", "light spots up to 0.03 field diameters, no more than their yellowness", 19, ())


def describe_bright(field: Field, anatomy: Anatomy) -> list[Feature]:
    """Counts, areas, burden, places and peaks of light spots, at two sizes and two contrasts each; peaks of yellow."""
    maps = {kind: short_structures(anatomy.light, kind.length) / anatomy.noise for kind in KINDS}
    out: list[Feature] = []
    for kind, heights in maps.items():
        out += describe_spots(kind, heights, anatomy)
    blue = ndimage.gaussian_filter(field.contrast[..., 2], 1.5)
    yellowness = np.maximum(anatomy.light - blue, 0) / anatomy.noise
    return out + describe_peaks(YELLOW, np.minimum(maps[KINDS[0]], yellowness), anatomy)
