import numpy as np

from tapetum.testing import siemens_mosaic


def test_tiles_stand_row_by_row_from_the_upper_left() -> None:
    volume = np.arange(5, dtype=np.uint16).repeat(6).reshape(5, 2, 3)
    image = siemens_mosaic(volume)
    picture = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    assert picture[::2, ::3].tolist() == [[0, 1, 2], [3, 4, 0], [0, 0, 0]]


def test_corner_lies_where_one_large_slice_would_have_it() -> None:
    image = siemens_mosaic(np.zeros((4, 10, 10), np.uint16), spacing_mm=(3, 2, 2), origin_mm=(0, 0, 0))
    assert [float(value) for value in image.ImagePositionPatient] == [-10, -10, 0]
