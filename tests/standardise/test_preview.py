import numpy as np
import pytest

from tapetum.model import Geometry, Image, Quantity
from tapetum.standardise import preview
from tapetum.standardise.greyrange import HOUNSFIELD

GREY = Quantity("grey value", "1")


def test_preview_is_a_colour_square_whatever_comes_in() -> None:
    for axes, shape in [("yx", (9, 5)), ("yxc", (9, 5, 3)), ("zyx", (3, 9, 5)), ("tzyx", (2, 3, 9, 5))]:
        drawn = preview(Image(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), axes, GREY), 64)
        assert (drawn.shape, drawn.dtype) == ((64, 64, 3), np.uint8)


def test_middle_slice_is_drawn() -> None:
    volume = np.zeros((5, 8, 8), np.float32)
    volume[2, :, 4:] = 1
    drawn = preview(Image(volume, "zyx", GREY), 8)
    assert drawn[:, 6].min() == 255
    assert drawn[:, 1].max() == 0


def test_pixels_keep_their_true_aspect() -> None:
    tall = Geometry((1, 10, 10), (1.0, 2.0, 1.0))
    drawn = preview(Image(np.arange(100, dtype=np.float32).reshape(1, 10, 10) % 7 + 1, "zyx", GREY, tall), 40)
    assert not drawn[:, :10].any()
    assert drawn[:, 12:28].any()


def test_ct_is_windowed_to_soft_tissue() -> None:
    drawn = preview(Image(np.array([[[-1000, 40], [240, 3000]]], np.float32), "zyx", HOUNSFIELD), 2)
    assert drawn[..., 0].tolist() == [[0, 128], [255, 255]]


def test_colour_stays_as_it_is() -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(preview(Image(photograph, "yxc", Quantity("colour", "1")), 16), photograph)


@pytest.mark.parametrize(
    ("direction", "corner"),
    [
        (((0, 0, 1), (0, 1, 0), (1, 0, 0)), (0, 0)),
        (((0, 0, 1), (0, 1, 0), (-1, 0, 0)), (0, 7)),
        (((0, 0, 1), (0, -1, 0), (1, 0, 0)), (7, 0)),
        (((0, 1, 0), (0, 0, 1), (1, 0, 0)), (7, 0)),
        (((0, 1, 0), (0, 0, -1), (1, 0, 0)), (0, 0)),
    ],
    ids=["as DICOM axial", "left first", "back first", "feet first", "as DICOM coronal"],
)
def test_left_is_on_the_right_and_back_or_feet_below(
    direction: tuple[tuple[float, ...], ...], corner: tuple[int, int]
) -> None:
    plane = np.zeros((1, 8, 8), np.float32)
    plane[0, 0, 0] = 1
    drawn = preview(Image(plane, "zyx", GREY, Geometry((1, 8, 8), (1, 1, 1), direction=direction)), 8)
    assert np.unravel_index(drawn[..., 0].argmax(), (8, 8)) == corner


def test_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pixel"):
        preview(Image(np.zeros((2, 2)), "yx", GREY), 0)
