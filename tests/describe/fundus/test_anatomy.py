"""Vessels, optic disc and fovea of a painted eye whose landmarks are known."""

from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.fundus.anatomy import find_anatomy
from tapetum.describe.fundus.field import DIAMETER, find_field
from tapetum.model import Image


def anatomy(image: Image):
    field = find_field(image.array)
    assert field is not None
    return find_anatomy(field)


def test_disc_and_fovea_are_where_they_were_painted(paint) -> None:
    found = anatomy(paint())
    middle = DIAMETER / 2
    assert found.disc == pytest.approx((middle, middle - 0.36 * DIAMETER), abs=0.03 * DIAMETER)
    assert found.fovea == pytest.approx((middle + 0.02 * DIAMETER, middle + 0.02 * DIAMETER), abs=0.03 * DIAMETER)


def test_the_other_eye_is_found_by_the_same_rules(paint) -> None:
    image = paint()
    found = anatomy(image.then("mirrored", np.ascontiguousarray(image.array[:, ::-1])))
    assert found.disc[1] == pytest.approx(0.86 * DIAMETER, abs=0.03 * DIAMETER)


def test_an_exudate_plaque_in_the_macula_is_not_the_disc(paint) -> None:
    found = anatomy(paint(yellow=[(0.05, 0.1, 0.05)]))
    assert found.disc[1] == pytest.approx(0.14 * DIAMETER, abs=0.03 * DIAMETER)


def test_arcades_are_vessels_and_the_retina_between_them_is_not(paint) -> None:
    found = anatomy(paint())
    upper = found.vessels[: DIAMETER // 2 - 40, DIAMETER // 2]
    assert upper.any()
    assert not found.vessels[DIAMETER // 2 - 60 : DIAMETER // 2 + 60, DIAMETER // 2].any()


def test_an_eye_without_vessels_or_light_still_has_an_anatomy(paint) -> None:
    found = anatomy(paint(vessels=False, brightness=0.15))
    assert np.isfinite([*found.disc, *found.fovea, found.noise, found.vessel_contrast]).all()


def test_the_macula_lies_in_the_retina_around_the_fovea(paint) -> None:
    found = anatomy(paint())
    row, column = (round(v) for v in found.fovea)
    assert found.macula[row, column]
    assert not found.retina[round(found.disc[0]), round(found.disc[1])]
