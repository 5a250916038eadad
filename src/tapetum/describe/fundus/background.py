"""How the photograph was taken and what the healthy eye in it looks like: colour, light, haze, grain, vessels.

In: `Field` and `Anatomy`.  Out: features ``fundus_field_coverage``, ``fundus_background_...``, ``fundus_vessel_...``,
``fundus_disc_...``, ``fundus_fovea_...``.  Start reading at `describe_background`.
"""

from __future__ import annotations

import numpy as np

from tapetum.describe.fundus.anatomy import Anatomy
from tapetum.describe.fundus.field import DIAMETER, Field
from tapetum.describe.fundus.terms import term
from tapetum.model import Feature

__all__ = ["describe_background"]


def describe_background(field: Field, anatomy: Anatomy) -> list[Feature]:
    """Twelve numbers that a model may need to weigh the lesions: a hazy photograph shows fewer.

    Source: image quality by colour, light and sharpness of vessels, Fleming et al., IOVS 2006;47:1120.
    """
    colours = field.background[field.inside]
    red, green, blue = (float(v) for v in colours.mean(axis=0))
    vessels = anatomy.vessels & field.inside
    apart = float(np.hypot(anatomy.disc[0] - anatomy.fovea[0], anatomy.disc[1] - anatomy.fovea[1])) / DIAMETER
    return [
        term("field_coverage", field.coverage, "FC", "share of the round field that the picture shows"),
        term("background_red", red, "CR", "mean red of the background, 0..1"),
        term("background_green", green, "CG", "mean green of the background, 0..1"),
        term("background_red_to_green", red / green, "CRG", "mean red over mean green of the background"),
        term("background_blue_to_green", blue / green, "CBG", "mean blue over mean green of the background"),
        term("background_unevenness", float(colours[:, 1].std()) / green, "CU", "variation of the green background"),
        term("background_grain", anatomy.noise, "NG", "robust standard deviation of the finest green contrast"),
        term("vessel_contrast", anatomy.vessel_contrast, "VC", "97th percentile of the contrast of long dark lines"),
        term("vessel_density", vessels.sum() / field.inside.sum(), "VD", "share of the field in vessels"),
        term("disc_score", anatomy.disc_score, "DS", "light and vessels of the optic disc, standard deviations"),
        term("fovea_depth", _depth(field, anatomy), "FD", "darkness of the fovea against the macula around it"),
        term("disc_to_fovea", apart, "DF", "distance from disc to fovea in field diameters"),
    ]


def _depth(field: Field, anatomy: Anatomy) -> float:
    """1 - green within 0.04 field diameters of the fovea over green of the macula, vessels left out."""
    rows, columns = np.ogrid[: field.inside.shape[0], : field.inside.shape[1]]
    near = np.hypot(rows - anatomy.fovea[0], columns - anatomy.fovea[1]) < 0.04 * DIAMETER
    green = field.rgb[..., 1]
    around = float(np.median(green[anatomy.macula & ~near & ~anatomy.vessels]))
    return 1 - float(np.median(green[near & field.inside])) / max(around, 5 / 255)
