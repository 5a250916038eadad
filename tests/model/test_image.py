import numpy as np
import pytest

from tapetum.errors import InvalidGeometry
from tapetum.model import Geometry, Image, Quantity, Region

HU = Quantity("radiodensity", "[hnsf'U]")
GRID = Geometry((2, 3, 4), (2.0, 1.0, 1.0))


def test_a_step_is_added_to_the_lineage_and_the_rest_is_kept() -> None:
    image = Image(np.zeros((2, 3, 4), np.float32), "zyx", HU, GRID, steps=("read",))
    assert image.then("clip", image.array + 1).steps == ("read", "clip")
    assert image.then("clip", image.array + 1).quantity == HU


def test_array_and_axes_must_agree() -> None:
    with pytest.raises(ValueError, match="axes"):
        Image(np.zeros((2, 3)), "zyx", HU)


def test_array_and_grid_must_agree() -> None:
    with pytest.raises(InvalidGeometry):
        Image(np.zeros((2, 3, 5)), "zyx", HU, GRID)


def test_volume_of_a_region_is_voxels_times_their_size() -> None:
    mask = np.zeros((2, 3, 4), bool)
    mask[0, :2] = True
    assert Region(mask, GRID, "lesion").volume_mm3 == 8 * 2.0


def test_a_mask_that_is_not_bool_is_refused() -> None:
    with pytest.raises(InvalidGeometry):
        Region(np.zeros((2, 3, 4), np.uint8), GRID, "lesion")  # type: ignore[arg-type]


def test_times_are_as_many_as_time_points_and_grow() -> None:
    film = np.zeros((2, 1, 2, 2), np.float32)
    unit = Quantity("signal", "1")
    assert Image(film, "tzyx", unit, times_s=(0.0, 1.5)).times_s == (0.0, 1.5)
    with pytest.raises(ValueError, match="2 time points"):
        Image(film, "tzyx", unit, times_s=(0.0,))
    with pytest.raises(ValueError, match="grow"):
        Image(film, "tzyx", unit, times_s=(1.0, 1.0))


def test_b_values_are_as_many_as_time_points() -> None:
    with pytest.raises(ValueError, match="1 time points"):
        Image(np.zeros((1, 2, 2), np.float32), "zyx", Quantity("signal", "1"), b_values=(0.0, 1000.0))


@pytest.mark.parametrize(("value", "kind"), [(7.0, "i2"), (-32768.0, "i2"), (0.5, "f4"), (40000.0, "f4")])
def test_whole_numbers_within_16_bits_need_no_more(value: float, kind: str) -> None:
    image = Image(np.full((1, 2, 2), value, np.float32), "zyx", Quantity("signal", "1"))
    assert image.exact_dtype == np.dtype(kind)
