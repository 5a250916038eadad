"""Blobs and lines."""

from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.fundus.shapes import hessian, line_opening, peaks, short_structures

SIZE = 81


def drawing(*, line: bool = False, dot: bool = False) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    out = np.zeros((SIZE, SIZE), np.float32)
    if line:
        out[np.abs(rows - columns) <= 3] = 1
    if dot:
        out[np.hypot(rows - 20, columns - 60) <= 4] = 1
    return out


def test_an_opening_by_lines_keeps_the_vessel_and_removes_the_dot() -> None:
    opened = line_opening(drawing(line=True, dot=True), 31)
    assert opened[40, 40] == 1
    assert opened[20, 60] == 0


def test_short_structures_are_the_dot_without_the_vessel() -> None:
    short = short_structures(drawing(line=True, dot=True), 31)
    assert short[20, 60] == 1
    assert short[40, 40] == 0
    assert (short >= 0).all()


def test_peaks_are_listed_greatest_first_and_only_inside() -> None:
    heights = np.zeros((30, 30), np.float32)
    heights[5, 5], heights[20, 20], heights[6, 6], heights[2, 25] = 1.0, 2.0, 0.5, 9.0
    inside = np.ones((30, 30), np.bool_)
    inside[:4] = False
    assert peaks(heights, inside, 3).tolist() == pytest.approx([2.0, 1.0])


@pytest.mark.parametrize("length", [13, 19, 31, 61])
@pytest.mark.parametrize("turn", [0, 1])
def test_a_line_passes_when_it_is_as_long_as_asked_and_not_when_a_pixel_shorter(length: int, turn: int) -> None:
    for drawn, passes in ((length, True), (length - 1, False)):
        field = np.zeros((121, 121), np.float32)
        field[60, 20 : 20 + drawn] = 1
        opened = line_opening(np.rot90(field, turn).copy(), length)
        assert opened.max() == float(passes)
        assert opened.sum() == (drawn if passes else 0)


def test_curvature_tells_a_line_from_a_dot() -> None:
    ridge, blob = hessian(drawing(line=True), 3.0)
    assert ridge[40, 40] > 0.2
    assert blob[40, 40] < 0.05 * ridge[40, 40]
    ridge, blob = hessian(drawing(dot=True), 3.0)
    assert blob[20, 60] == pytest.approx(ridge[20, 60], rel=0.05)


def test_curvature_of_a_gaussian_dot_is_greatest_at_its_own_scale() -> None:
    # Lindeberg 1998: t times the second derivative of a dot of variance t0 after smoothing by t is greatest at t = t0
    rows, columns = np.mgrid[:SIZE, :SIZE]
    dot = np.exp(-((rows - 40) ** 2 + (columns - 40) ** 2) / (2 * 4.0**2)).astype(np.float32)
    at = {sigma: float(hessian(dot, sigma)[1][40, 40]) for sigma in (2.0, 4.0, 8.0)}
    assert at[4.0] == max(at.values())
    assert at[4.0] == pytest.approx(0.25, rel=0.05)
