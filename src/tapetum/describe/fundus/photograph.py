"""A whole fundus photograph as named numbers.  Start reading at `describe`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from tapetum.describe.fundus.anatomy import find_anatomy
from tapetum.describe.fundus.background import describe_background
from tapetum.describe.fundus.bright import describe_bright
from tapetum.describe.fundus.field import DIAMETER, Field, find_field
from tapetum.describe.fundus.red import describe_red
from tapetum.describe.fundus.texture import describe_texture
from tapetum.model import Feature, Image

__all__ = ["describe"]


def describe(image: Image) -> list[Feature]:
    """Describe a colour fundus photograph by what diabetic retinopathy does to it.

    Parameters
    ----------
    image : axes ``yxc``, uint8 RGB, the round field on a dark ground; any size, brought to a field of 600 pixels.

    Returns
    -------
    The features, ``fundus_...``, always the same names in the same order. A picture without a round field has
    ``fundus_field_coverage`` 0 and NaN for all others; a field without lesions has counts of 0.

    Raises
    ------
    ValueError : other axes or not uint8.
    """
    if image.axes != "yxc" or image.array.dtype != np.uint8:
        raise ValueError(f"a fundus photograph has axes yxc and uint8, not {image.axes} {image.array.dtype}")
    field = find_field(image.array)
    return _describe(field) if field is not None else list(_nothing())


def _describe(field: Field) -> list[Feature]:
    anatomy = find_anatomy(field)
    return [
        *describe_background(field, anatomy),
        *describe_red(anatomy),
        *describe_bright(field, anatomy),
        *describe_texture(field, anatomy),
    ]


@cache
def _nothing() -> tuple[Feature, ...]:
    """The same names without values, taken from an evenly grey field so that the two lists cannot differ."""
    grey = np.full((DIAMETER, DIAMETER, 3), 0.5, np.float32)
    rows, columns = np.ogrid[:DIAMETER, :DIAMETER]
    inside = np.hypot(rows - DIAMETER / 2, columns - DIAMETER / 2) < DIAMETER / 2
    features = _describe(Field(grey, inside, grey, np.zeros_like(grey), 1.0))
    return tuple(replace(f, value=0.0 if f.name == "fundus_field_coverage" else float("nan")) for f in features)
