from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapetum.errors import InvalidGeometry
from tapetum.standardise.stack import Plane, Stack, arrange, fill

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def planes(heights: list[float], **changes: object) -> list[Plane]:
    shared = {"orientation": AXIAL, "spacing_mm": (0.7, 0.8), "shape": (6, 5), "frame_of_reference_uid": "1.2"}
    return [
        Plane(at, 0, (-3.0, -4.0, height), **{**shared, "number": at + 1, **changes})
        for at, height in enumerate(heights)
    ]


def codes(stack: Stack) -> set[str]:
    return {notice.code for notice in stack.notices}


def order(stack: Stack) -> list[int]:
    return [plane.source for plane in stack.planes[0]]


def test_slices_are_sorted_by_their_place_and_not_by_their_number() -> None:
    stack = arrange(planes([5.0, -5.0, 0.0]))
    assert order(stack) == [1, 2, 0]
    assert stack.geometry.origin_mm == (-3, -4, -5)
    assert stack.geometry.spacing_mm == (5, 0.7, 0.8)
    assert not stack.notices


@given(st.permutations(range(7)))
def test_order_of_arrival_does_not_matter(arrival: list[int]) -> None:
    stack = arrange(planes([2.5 * at for at in arrival]))
    assert [plane.position[2] for plane in stack.planes[0]] == [2.5 * at for at in range(7)]


def test_slices_run_along_the_normal_of_row_and_column() -> None:
    # Coronal: rows run to the left, columns to the feet, so the normal runs to the back.
    coronal = [
        Plane(at, 0, (0.0, y, 0.0), (1, 0, 0, 0, 0, -1), (1, 1), (4, 4)) for at, y in enumerate([0.0, -2.0, -4.0])
    ]
    stack = arrange(coronal)
    assert order(stack) == [2, 1, 0]
    assert np.allclose(stack.geometry.direction, ((0, 1, 0), (0, 0, -1), (1, 0, 0)))


def test_thickness_never_becomes_the_spacing() -> None:
    stack = arrange(planes([0, 3, 6], thickness_mm=5.0))
    assert stack.geometry.spacing_mm[0] == 3
    assert codes(stack) == {"spacing-disagrees"}


def test_spacing_between_slices_that_agrees_silences_the_thickness() -> None:
    assert not arrange(planes([0, 3, 6], thickness_mm=5.0, between_mm=3.0)).notices


def test_rounded_positions_are_even() -> None:
    stack = arrange(planes([0, 0.667, 1.333, 2.0]))
    assert not stack.notices
    assert stack.geometry.spacing_mm[0] == pytest.approx(2 / 3)


def test_missing_slice_is_noticed_and_filled_between_its_neighbours() -> None:
    stack = arrange(planes([0, 2, 6, 8]))
    assert codes(stack) == {"missing-slice"}
    assert "1 slice(s) missing after slice 2" in stack.notices[0].message
    assert stack.geometry.shape[0] == 5
    slices = np.array([0, 2, 6, 8], np.float32)[:, None, None] * np.ones((1, 6, 5), np.float32)
    assert fill(stack, slices)[:, 0, 0].tolist() == [0, 2, 4, 6, 8]


def test_uneven_slices_are_noticed_and_resampled_to_the_typical_spacing() -> None:
    heights = [0.0, 2.0, 4.0, 5.0, 7.0, 9.0]
    stack = arrange(planes(heights))
    assert codes(stack) == {"uneven-spacing"}
    assert stack.geometry.spacing_mm[0] == 2
    # A ramp along z stays a ramp: each voxel has the value of the place where it lies.
    ramp = np.array(heights, np.float32)[:, None, None] * np.ones((1, 6, 5), np.float32)
    assert np.allclose(fill(stack, ramp)[:, 0, 0], [0, 2, 4, 6, 8])


def test_slices_scattered_too_far_make_no_volume() -> None:
    with pytest.raises(InvalidGeometry):
        arrange(planes([0, 1, 2, 500]))


def test_slice_that_came_twice_is_noticed_and_the_first_kept() -> None:
    stack = arrange(planes([0, 2, 2, 4]))
    assert codes(stack) == {"duplicate-slice"}
    assert order(stack) == [0, 1, 3]


def test_localiser_among_the_slices_is_noticed_and_left_out() -> None:
    localiser = Plane(9, 0, (0, 0, 0), (0, 1, 0, 0, 0, -1), (0.7, 0.8), (6, 5), "1.2")
    stack = arrange([localiser, *planes([0, 2, 4])])
    assert codes(stack) == {"mixed-orientation"}
    assert order(stack) == [0, 1, 2]


def test_slice_of_another_size_is_noticed_and_left_out() -> None:
    odd = replace(planes([6.0])[0], source=9, shape=(12, 10))
    stack = arrange([odd, *planes([0, 2, 4])])
    assert codes(stack) == {"mixed-shape"}


def test_slice_of_another_frame_of_reference_is_noticed_and_left_out() -> None:
    odd = replace(planes([6.0])[0], source=9, frame_of_reference_uid="1.3")
    assert codes(arrange([odd, *planes([0, 2, 4])])) == {"mixed-frame"}


@pytest.mark.parametrize(
    ("header", "depth"), [({"thickness_mm": 4.0}, 4), ({"thickness_mm": 4.0, "between_mm": 5.0}, 5), ({}, 1)]
)
def test_single_slice_says_where_its_depth_comes_from(header: dict[str, float], depth: float) -> None:
    stack = arrange(planes([0.0], **header))
    assert codes(stack) == {"single-slice"}
    assert stack.geometry.spacing_mm[0] == depth


def test_repeated_places_become_time_points() -> None:
    early = planes([0, 2, 4], times={"TemporalPositionIdentifier": 1.0})
    late = [
        replace(plane, source=plane.source + 3, times={"TemporalPositionIdentifier": 2.0})
        for plane in planes([0, 2, 4])
    ]
    stack = arrange([*late, *early])
    assert codes(stack) == {"repeated-positions"}
    assert [[plane.source for plane in moment] for moment in stack.planes] == [[0, 1, 2], [3, 4, 5]]


def test_tilted_gantry_is_noticed_and_set_upright() -> None:
    # Each slice lies two pixels further back than the one below, as at a tilted gantry.
    tilted = [replace(plane, position=(-3.0, -4.0 + 1.4 * at, 2.0 * at)) for at, plane in enumerate(planes([0, 0, 0]))]
    stack = arrange(tilted)
    assert codes(stack) == {"gantry-tilt"}
    assert "35.0 degrees" in stack.notices[0].message
    assert stack.geometry.shape == (3, 10, 5)
    slices = np.zeros((3, 6, 5), np.float32)
    slices[:, 2, 3] = 1  # the same pixel of each slice
    filled = fill(stack, slices)
    for at, plane in enumerate(stack.planes[0]):
        place = np.array(plane.position) + np.array([3 * 0.8, 2 * 0.7, 0])
        index = np.rint(stack.geometry.to_index(place)).astype(int)
        assert filled[tuple(index)] == pytest.approx(1)
        assert filled[at].sum() == pytest.approx(1)


def test_drift_of_less_than_half_a_pixel_is_rounding() -> None:
    drifting = [
        replace(plane, position=(-3.0, -4.0 + 0.1 * at, 2.0 * at)) for at, plane in enumerate(planes([0, 0, 0]))
    ]
    assert not arrange(drifting).notices


def test_beyond_the_edge_of_shifted_slices_stands_the_lowest_value() -> None:
    tilted = [replace(plane, position=(-3.0, -4.0 + 1.4 * at, 2.0 * at)) for at, plane in enumerate(planes([0, 0, 0]))]
    filled = fill(arrange(tilted), np.full((3, 6, 5), -1000, np.float32))
    assert (filled == -1000).all()


def test_slices_on_the_grid_are_not_copied() -> None:
    slices = np.zeros((3, 6, 5), np.float32)
    assert fill(arrange(planes([0, 2, 4])), slices) is slices


def test_orientation_without_directions_is_refused() -> None:
    with pytest.raises(InvalidGeometry):
        arrange(planes([0, 2], orientation=(0.0,) * 6))


def test_rows_and_columns_that_are_not_perpendicular_are_refused() -> None:
    with pytest.raises(InvalidGeometry):
        arrange(planes([0, 2], orientation=(1.0, 0.0, 0.0, 0.5, 0.866, 0.0)))
