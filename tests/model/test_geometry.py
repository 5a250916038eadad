import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tapetum.errors import InvalidGeometry
from tapetum.model import Geometry

OBLIQUE = Geometry(
    (4, 5, 6),
    (3.0, 0.5, 0.7),
    (-10.0, 20.0, 5.0),
    ((0.0, -0.6, 0.8), (0.0, 0.8, 0.6), (1.0, 0.0, 0.0)),
    "1.2.3",
)


def test_other_frame_of_reference_is_not_the_same_space() -> None:
    assert not OBLIQUE.shares_space_with(Geometry((4, 5, 6), (3.0, 0.5, 0.7), frame_of_reference_uid="1.2.4"))


def test_unknown_frame_of_reference_equals_nothing_not_even_itself() -> None:
    unknown = Geometry((1, 1, 1), (1.0, 1.0, 1.0))
    assert not unknown.shares_space_with(unknown)


def test_same_frame_is_the_same_space() -> None:
    assert OBLIQUE.shares_space_with(Geometry((1, 1, 1), (1.0, 1.0, 1.0), frame_of_reference_uid="1.2.3"))


def test_voxel_zero_lies_at_the_origin() -> None:
    assert OBLIQUE.to_patient([0, 0, 0]).tolist() == [-10.0, 20.0, 5.0]


def test_one_step_along_x_moves_by_the_column_spacing() -> None:
    assert np.allclose(OBLIQUE.to_patient([0, 0, 1]) - OBLIQUE.to_patient([0, 0, 0]), [0.7, 0.0, 0.0])


@given(arrays(np.float64, 3, elements=st.floats(-500, 500)))
def test_patient_and_index_are_inverse(point: np.ndarray) -> None:
    assert np.allclose(OBLIQUE.to_patient(OBLIQUE.to_index(point)), point)


def test_a_shifted_grid_is_another_grid() -> None:
    a = Geometry((2, 2, 2), (1.0, 1.0, 1.0))
    assert a.same_grid(a)
    assert not a.same_grid(Geometry((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.5)))
    assert not a.same_grid(Geometry((2, 2, 3), (1.0, 1.0, 1.0)))
    assert not a.same_grid(Geometry((2, 2, 2), (1.0, 1.0, 1.01)))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, float("nan"))])
def test_impossible_spacing_is_refused(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidGeometry):
        Geometry((1, 1, 1), spacing)


def test_sheared_directions_are_refused_with_a_hint() -> None:
    with pytest.raises(InvalidGeometry) as caught:
        Geometry((1, 1, 1), (1.0, 1.0, 1.0), direction=((0.0, 0.3, 0.95), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
    assert caught.value.code == "invalid-geometry"
    assert caught.value.hint


def test_empty_grid_is_refused() -> None:
    with pytest.raises(InvalidGeometry):
        Geometry((0, 1, 1), (1.0, 1.0, 1.0))
