"""Texture at the scales of lesions."""

from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.fundus.anatomy import find_anatomy
from tapetum.describe.fundus.field import find_field
from tapetum.describe.fundus.texture import describe_texture
from tapetum.model import Image


def values(image: Image) -> dict[str, float]:
    field = find_field(image.array)
    assert field is not None
    return {f.name.removeprefix("fundus_"): f.value for f in describe_texture(field, find_anatomy(field))}


def test_grain_alone_is_nearly_normal(paint) -> None:
    got = values(paint(vessels=False))
    assert got["band_1_kurtosis"] == pytest.approx(3, abs=0.3)
    assert got["band_1_skewness"] == pytest.approx(0, abs=0.1)


def test_a_few_haemorrhages_make_a_tail_on_the_dark_side(paint) -> None:
    healthy, ill = values(paint()), values(paint(red=[(-0.05, 0.25, 0.008), (0.1, -0.15, 0.008), (0.38, 0.15, 0.008)]))
    assert ill["band_4_kurtosis"] > healthy["band_4_kurtosis"] + 5
    assert ill["band_4_skewness"] < healthy["band_4_skewness"] - 1


def test_a_few_exudates_make_a_tail_on_the_light_side(paint) -> None:
    healthy, ill = values(paint()), values(paint(yellow=[(-0.05, 0.25, 0.008), (0.1, -0.15, 0.008)]))
    assert ill["band_4_skewness"] > healthy["band_4_skewness"] + 1
    assert ill["blob_light_2_peak_3"] > 2 * healthy["blob_light_2_peak_3"]


def test_a_dark_dot_is_a_dark_blob_and_no_light_one(paint) -> None:
    healthy, ill = values(paint()), values(paint(red=[(-0.05, 0.25, 0.008)]))
    assert ill["blob_dark_2_peak_3"] > 1.5 * healthy["blob_dark_2_peak_3"]
    assert ill["blob_light_2_peak_3"] < 1.2 * healthy["blob_light_2_peak_3"]


def test_a_field_of_one_colour_has_no_texture_and_a_normal_tail(paint) -> None:
    even = paint(vessels=False).array.copy()
    even[even[..., 0] > 30] = (190, 100, 45)
    field = find_field(even)
    assert field is not None
    features = describe_texture(field, find_anatomy(field))
    assert np.isfinite([feature.value for feature in features]).all()
    assert {f.value for f in features if f.name.endswith("kurtosis")} == {3.0}
