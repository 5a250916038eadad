"""Spots: compact pieces off the vessels."""

from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.fundus.lesions import find_spots

ROWS, COLUMNS = np.mgrid[:60, :60]
EVERYWHERE = np.ones((60, 60), np.bool_)


def dot(y: int, x: int, radius: float, height: float = 1.0) -> np.ndarray:
    return (height * (np.hypot(ROWS - y, COLUMNS - x) <= radius)).astype(np.float32)


def test_each_dot_is_one_spot_with_its_place_area_and_height() -> None:
    spots = find_spots(dot(15, 20, 3) + dot(40, 44, 5, 0.7), above=0.5, inside=EVERYWHERE)
    assert sorted(spots.area.tolist()) == [29, 81]
    assert spots.y.tolist() == pytest.approx([15, 40])
    assert spots.x.tolist() == pytest.approx([20, 44])
    assert spots.height.tolist() == pytest.approx([1.0, 0.7])


def test_a_faint_dot_is_left_out() -> None:
    assert len(find_spots(dot(15, 20, 3, 0.4), above=0.5, inside=EVERYWHERE).area) == 0


def test_a_dot_on_a_vessel_is_left_out() -> None:
    assert len(find_spots(dot(15, 20, 3), above=0.5, inside=EVERYWHERE, avoid=dot(15, 20, 6) > 0).area) == 0


def test_a_dot_outside_is_left_out() -> None:
    assert len(find_spots(dot(15, 20, 3), above=0.5, inside=ROWS > 30).area) == 0


def test_a_streak_and_a_single_pixel_are_no_spots() -> None:
    streak = ((np.abs(ROWS - 30) <= 1) & (np.abs(COLUMNS - 30) <= 12)).astype(np.float32)
    assert len(find_spots(streak + dot(10, 10, 0.5), above=0.5, inside=EVERYWHERE).area) == 0


def test_a_region_tells_which_spots_it_holds() -> None:
    spots = find_spots(dot(15, 20, 3) + dot(40, 44, 5), above=0.5, inside=EVERYWHERE)
    assert spots.within(ROWS < 30).tolist() == [True, False]
