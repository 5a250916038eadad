"""The IBSI-1 digital phantom and its reference values.

Source: IBSI reference manual (arXiv:1612.07003v11), section 5.1 for the voxels, chapter 3 for the values and tolerances
in `ibsi1_digital_phantom.csv` (columns 2d, 2.5d, 3d: the aggregations SUJT/8QNN, ZW7Z/62GR, IAZD/KOBO; with -avg by
direction: BTW3, JJUI, ITBB).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tapetum.model import Geometry, Image, Quantity, Region

VALUES = """
1 4 4 1 1  1 4 6 1 1  4 1 6 4 1  4 4 6 4 1
1 4 4 1 1  1 1 6 1 1  1 1 3 1 1  4 4 6 1 1
1 4 4 1 1  1 1 1 1 1  1 1 9 1 1  1 1 6 1 1
1 4 4 1 1  1 1 1 1 1  1 1 1 1 1  1 1 6 1 1
"""
INSIDE = """
1 1 1 1 1  1 1 1 1 1  1 1 1 1 1  1 1 1 1 1
1 1 1 1 1  1 1 1 1 1  0 1 1 1 1  1 1 1 1 1
1 1 1 0 0  1 1 1 1 1  1 1 0 1 1  1 1 1 1 1
1 1 1 0 0  1 1 1 1 1  1 1 1 1 1  1 1 1 1 1
"""
GRID = Geometry((4, 4, 5), (2.0, 2.0, 2.0))


@pytest.fixture(scope="session")
def phantom() -> tuple[Image, Region]:
    values = np.array(VALUES.split(), np.float32).reshape(4, 4, 5)
    inside = np.array(INSIDE.split()).reshape(4, 4, 5) == "1"
    return Image(values, "zyx", Quantity("phantom", "1"), GRID), Region(inside, GRID, "ROI")


@pytest.fixture(scope="session")
def reference() -> list[dict[str, str]]:
    with (Path(__file__).parent / "ibsi1_digital_phantom.csv").open(newline="") as rows:
        return list(csv.DictReader(rows))
