"""The round field of view."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.describe.fundus.field import DIAMETER, find_field


def test_a_field_is_brought_to_standard_diameter_whatever_the_camera(paint) -> None:
    for diameter in (300, 600, 1000):
        field = find_field(paint(diameter=diameter).array)
        assert field is not None
        assert field.rgb.shape[:2] == pytest.approx((DIAMETER, DIAMETER), abs=3)
        assert field.coverage == pytest.approx(1, abs=0.005)


def test_a_field_cut_above_and_below_says_how_much_is_shown(paint) -> None:
    whole = paint().array
    field = find_field(whole[80:-80])
    assert field is not None
    assert field.rgb.shape[1] == pytest.approx(DIAMETER, abs=3)
    # a strip of +-250 pixels of a disc of radius 300
    assert field.coverage == pytest.approx(0.9204, abs=0.01)


def test_a_shadow_on_the_rim_does_not_hide_the_field(paint) -> None:
    dimmed = paint().array.copy()
    dimmed[480:, 380:460] = 2
    field = find_field(dimmed)
    assert field is not None
    assert field.rgb.shape[1] == pytest.approx(DIAMETER, abs=3)


def test_contrast_does_not_depend_on_exposure(paint) -> None:
    bright, dim = (find_field(paint(brightness=b).array) for b in (1.0, 0.6))
    assert bright is not None
    assert dim is not None
    difference = (bright.contrast - dim.contrast)[..., 1][bright.inside & dim.inside]
    assert np.abs(difference).mean() < 0.01


def test_uneven_light_leaves_an_even_background(paint) -> None:
    field = find_field(paint(vessels=False).array)
    assert field is not None
    # the disc and the fovea apart, contrast is grain
    assert np.median(np.abs(field.contrast[..., 1][field.inside])) < 0.03


@pytest.mark.parametrize(
    "picture",
    [
        np.full((200, 300, 3), 128, np.uint8),
        np.zeros((200, 300, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8),
        np.pad(np.full((100, 200, 3), 180, np.uint8), ((50, 50), (50, 50), (0, 0))),
        np.zeros((8, 8, 3), np.uint8),
    ],
    ids=["grey", "black", "noise", "a bright rectangle", "tiny"],
)
def test_a_picture_without_a_round_field_has_none(picture: NDArray[np.uint8]) -> None:
    assert find_field(picture) is None
