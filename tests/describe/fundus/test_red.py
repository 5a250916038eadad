"""Red lesions of a painted eye."""

from __future__ import annotations

import pytest

from tapetum.describe.fundus.anatomy import find_anatomy
from tapetum.describe.fundus.field import find_field
from tapetum.describe.fundus.red import describe_red
from tapetum.model import Image

HAEMORRHAGES = [(0.38, 0.15, 0.012), (-0.05, 0.25, 0.012), (0.1, -0.15, 0.012)]


def values(image: Image) -> dict[str, float]:
    field = find_field(image.array)
    assert field is not None
    return {feature.name.removeprefix("fundus_"): feature.value for feature in describe_red(find_anatomy(field))}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_haemorrhage_is_counted_once(paint, count: int) -> None:
    assert values(paint(red=HAEMORRHAGES[:count]))["red_large_clear_count"] == count


def test_haemorrhages_in_three_quadrants_are_three_quadrants(paint) -> None:
    assert values(paint(red=HAEMORRHAGES))["red_large_clear_quadrants"] == 3


def test_vessels_do_not_count_as_haemorrhages(paint) -> None:
    with_vessels, without = (values(paint(vessels=v, red=HAEMORRHAGES)) for v in (True, False))
    assert with_vessels["red_large_clear_count"] == without["red_large_clear_count"] == 3


def test_a_larger_haemorrhage_has_more_area_and_burden(paint) -> None:
    small, large = (values(paint(red=[(0.38, 0.15, radius)])) for radius in (0.008, 0.016))
    for name in ("area", "burden", "largest"):
        assert large[f"red_large_clear_{name}"] > 1.5 * small[f"red_large_clear_{name}"]


def test_the_dark_pit_of_the_fovea_is_no_haemorrhage(paint) -> None:
    got = values(paint())
    assert got["red_large_faint_count"] == got["red_small_clear_count"] == 0


def test_a_microaneurysm_is_a_small_spot_and_a_blot_is_a_large_one(paint) -> None:
    dot, blot = values(paint(red=[(0.1, -0.15, 0.005)])), values(paint(red=[(0.1, -0.15, 0.018)]))
    assert dot["red_small_clear_count"] == 1
    assert blot["red_small_clear_count"] == 0
    assert blot["red_large_clear_count"] == 1


def test_the_strongest_peak_belongs_to_the_only_haemorrhage(paint) -> None:
    healthy, ill = values(paint()), values(paint(red=HAEMORRHAGES[2:]))
    assert ill["red_large_peak_1"] > 3 * healthy["red_large_peak_1"]
    assert ill["red_large_peak_40"] < 1.3 * healthy["red_large_peak_40"]
