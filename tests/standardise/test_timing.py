from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from tapetum.model import Geometry
from tapetum.standardise import to_image
from tapetum.standardise.stack import Plane, Stack
from tapetum.standardise.timing import diffusion_of, film_times, times_of
from tapetum.testing import radiograph

PLANE = Plane(0, 0, (0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1), (4, 4))


def stack(moments: list[list[Plane]], by: str = "AcquisitionNumber") -> Stack:
    depth = len(moments[0])
    return Stack(moments, Geometry((depth, 4, 4), (1, 1, 1)), np.arange(depth), np.zeros((depth, 2)), (), by)


def at(seconds: float, **more: float) -> Plane:
    return replace(PLANE, clocks={"AcquisitionTime": seconds, **more})


def test_time_of_a_point_is_that_of_its_earliest_slice() -> None:
    assert times_of(stack([[at(10.4), at(10.0)], [at(13.1), at(12.5)]])) == (0, 2.5)


def test_clock_that_stands_still_is_no_clock() -> None:
    assert times_of(stack([[at(10.0)], [at(10.0)]])) == ()


def test_one_time_point_has_no_time() -> None:
    assert times_of(stack([[at(10.0)]])) == ()


def test_repetition_that_disagrees_with_the_clock_is_left() -> None:
    assert times_of(stack([[at(0, RepetitionTime=0.005)], [at(7, RepetitionTime=0.005)]])) == (0, 7)


def test_slices_that_disagree_on_the_b_value_have_none() -> None:
    mixed = [replace(PLANE, b_value=0.0), replace(PLANE, b_value=1000.0)]
    assert diffusion_of(stack([mixed])) == ((), ())


def test_b_value_without_a_direction_is_kept_alone() -> None:
    assert diffusion_of(stack([[replace(PLANE, b_value=50.0)]])) == ((50.0,), ())


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"FrameTime": "40"}, (0, 0.04, 0.08)),
        ({"FrameTimeVector": ["0", "30", "50"]}, (0, 0.03, 0.08)),
        ({"CineRate": "50"}, (0, 0.02, 0.04)),
        ({}, ()),
    ],
)
def test_film_is_timed_by_what_it_says(facts: dict[str, Any], expected: tuple[float, ...]) -> None:
    header = Dataset()
    for keyword, value in facts.items():
        setattr(header, keyword, value)
    assert film_times(header, 3) == pytest.approx(expected)


def test_film_of_an_angiography_has_seconds(stored: Callable[..., Any]) -> None:
    film = radiograph(array=np.zeros((4, 6), np.uint16))
    film.Modality, film.NumberOfFrames, film.Rows, film.FrameTime = "XA", "2", 2, "125"
    assert to_image(*stored([film], modality="XA")).times_s == (0, 0.125)
