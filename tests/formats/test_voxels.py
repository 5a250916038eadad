from io import BytesIO

import numpy as np
import pytest

from tapetum.errors import InvalidGeometry
from tapetum.formats.voxels import geometry_of, read_bytes


def test_columns_of_the_affine_are_the_steps_of_x_y_and_z() -> None:
    geometry = geometry_of(np.array([[0, -2, 0, 1], [3, 0, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]], float), (5, 6, 7))
    assert geometry.spacing_mm == (4, 2, 3)
    assert geometry.direction == ((0, 0, 1), (-1, 0, 0), (0, 1, 0))
    assert geometry.origin_mm == (1, 2, 3)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_axis_without_length_is_refused(value: float) -> None:
    with pytest.raises(InvalidGeometry):
        geometry_of(np.diag([1.0, value, 1.0, 1.0]), (2, 2, 2))


def test_sheared_axes_are_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    with pytest.raises(InvalidGeometry):
        geometry_of(affine, (2, 2, 2))


def test_header_that_promises_exabytes_costs_no_memory() -> None:
    assert read_bytes(BytesIO(b"abc"), 1 << 60) == b"abc"


def test_no_more_is_read_than_was_wanted() -> None:
    assert read_bytes(BytesIO(b"abc"), 2) == b"ab"
