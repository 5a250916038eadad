"""Red lesions: microaneurysms and haemorrhages.

In: `Anatomy`.  Out: features ``fundus_red_...``.  A red lesion is a dark spot in green, shorter than a line of given
length in every direction, off the vessels, the disc and the foveola. Its height is its green contrast in units of the
photograph's own grain, so that haze, exposure and camera cancel out.  Start reading at `describe_red`.

Sources: Spencer et al., Comput Biomed Res 1996;29:284 (linear top-hat); Walter et al., Med Image Anal 2007;11:555
(microaneurysms by a diameter closing); counts per quadrant as in the ETDRS 4-2-1 rule, Ophthalmology 1991;98:786.
"""

from __future__ import annotations

from tapetum.describe.fundus.anatomy import Anatomy
from tapetum.describe.fundus.lesions import Kind, describe_spots
from tapetum.describe.fundus.shapes import short_structures
from tapetum.model import Feature

__all__ = ["describe_red"]

KINDS = (
    Kind("red_small", "RS", "dark spots up to 0.02 field diameters (microaneurysms, dot haemorrhages)", 13, (2.5, 4.0)),
    Kind("red_large", "RL", "dark spots up to 0.05 field diameters (blot haemorrhages)", 31, (4.0, 6.0)),
)


def describe_red(anatomy: Anatomy) -> list[Feature]:
    """Counts, areas, burden, places and peaks of dark spots, at two sizes and two contrasts each."""
    out: list[Feature] = []
    for kind in KINDS:
        heights = short_structures(anatomy.dark, kind.length) / anatomy.noise
        out += describe_spots(kind, heights, anatomy, avoid=anatomy.vessels | anatomy.foveola)
    return out
