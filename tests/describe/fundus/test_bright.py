"""Bright lesions of a painted eye."""

from __future__ import annotations

import pytest

from tapetum.describe.fundus.anatomy import find_anatomy
from tapetum.describe.fundus.bright import describe_bright
from tapetum.describe.fundus.field import find_field
from tapetum.model import Image

EXUDATES = [(0.06, 0.12, 0.008), (0.1, 0.1, 0.008), (-0.1, 0.05, 0.008)]


def values(image: Image) -> dict[str, float]:
    field = find_field(image.array)
    assert field is not None
    return {
        feature.name.removeprefix("fundus_"): feature.value for feature in describe_bright(field, find_anatomy(field))
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_exudate_is_counted_once_and_the_disc_never(paint, count: int) -> None:
    got = values(paint(yellow=EXUDATES[:count]))
    assert got["bright_small_clear_count"] == count
    assert got["bright_large_clear_count"] == count


def test_exudates_in_the_macula_are_told_from_those_elsewhere(paint) -> None:
    got = values(paint(yellow=[(0.06, 0.1, 0.008), (0.4, 0.1, 0.008)]))
    assert got["bright_small_clear_count"] == 2
    assert got["bright_small_clear_macula"] == 1


def test_white_reflections_are_bright_but_not_yellow(paint) -> None:
    image = paint(yellow=EXUDATES)
    white = image.array.copy()
    exudate = (white[..., 0] > 220) & (white[..., 2] < 100)
    white[exudate, 2] = 220
    yellow, grey = values(image), values(image.then("whitened", white))
    assert grey["bright_small_peak_1"] == pytest.approx(yellow["bright_small_peak_1"], rel=0.1)
    assert grey["yellow_peak_1"] < 0.5 * yellow["yellow_peak_1"]


def test_a_healthy_disc_is_no_exudate(paint) -> None:
    got = values(paint())
    assert got["bright_small_faint_count"] == got["bright_large_faint_count"] == 0


def test_a_cotton_wool_spot_is_large_and_not_small(paint) -> None:
    got = values(paint(yellow=[(0.1, 0.15, 0.025)]))
    assert got["bright_large_clear_count"] == 1
    assert got["bright_small_clear_count"] == 0
