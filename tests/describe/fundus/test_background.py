"""How a photograph was taken and what is healthy in it."""

from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.fundus.anatomy import find_anatomy
from tapetum.describe.fundus.background import describe_background
from tapetum.describe.fundus.field import find_field
from tapetum.model import Image


def values(image: Image) -> dict[str, float]:
    field = find_field(image.array)
    assert field is not None
    return {f.name.removeprefix("fundus_"): f.value for f in describe_background(field, find_anatomy(field))}


def test_colour_ratios_are_those_of_the_paint_and_do_not_change_with_exposure(paint) -> None:
    bright, dim = values(paint()), values(paint(brightness=0.7))
    assert bright["background_red_to_green"] == pytest.approx(1.9, rel=0.05)
    assert dim["background_red_to_green"] == pytest.approx(bright["background_red_to_green"], rel=0.03)
    assert dim["background_green"] == pytest.approx(0.7 * bright["background_green"], rel=0.05)


def test_disc_and_fovea_are_as_far_apart_as_painted(paint) -> None:
    assert values(paint())["disc_to_fovea"] == pytest.approx(np.hypot(0.02, 0.38), abs=0.03)


def test_vessels_fill_the_share_that_was_painted(paint) -> None:
    # arcades 0.95 diameters long: 2 x 0.016 and 2 x 0.008 wide, two soft pixels on each side, in a field of pi / 4
    with_vessels, without = values(paint()), values(paint(vessels=False))
    assert with_vessels["vessel_density"] == pytest.approx(0.95 * (0.048 + 16 / 600) / (np.pi / 4), abs=0.02)
    # with no vessels at all the longest streaks of grain are taken for some
    assert without["vessel_density"] < 0.75 * with_vessels["vessel_density"]


def test_haze_lowers_the_contrast_of_the_vessels(paint) -> None:
    clear = paint()
    inside = clear.array[..., 0] > 30
    hazy = np.where(inside[..., None], clear.array * 0.5 + 70, clear.array).astype(np.uint8)
    assert values(clear.then("hazy", hazy))["vessel_contrast"] < 0.7 * values(clear)["vessel_contrast"]


def test_the_fovea_is_darker_than_the_macula_around_it(paint) -> None:
    assert values(paint())["fovea_depth"] == pytest.approx(0.2, abs=0.1)
