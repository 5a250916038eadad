"""Blobs and lines."""

from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.fundus.shapes import line_opening, peaks, short_structures

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
