import numpy as np
import pytest

from tapetum.errors import InvalidGeometry
from tapetum.formats.mosaic import layout_of, split
from tapetum.formats.vendor import add_standard
from tapetum.testing import dicom_series, siemens_mosaic

VOLUME = np.random.default_rng(1).integers(0, 4000, (7, 8, 10), dtype=np.uint16)


def test_tiles_are_the_slices_and_lie_where_they_were() -> None:
    image = siemens_mosaic(VOLUME, origin_mm=(1, 2, 3), spacing_mm=(3, 2, 2))
    add_standard(image)
    layout = layout_of(image)
    assert layout is not None
    assert np.array_equal(split(image.pixel_array, layout), VOLUME)
    assert layout.position(0) == pytest.approx((1, 2, 3))
    assert layout.position(6) == pytest.approx((1, 2, 21))


def test_slices_acquired_from_above_go_down() -> None:
    image = siemens_mosaic(VOLUME, origin_mm=(0, 0, 0), upside_down=True)
    add_standard(image)
    layout = layout_of(image)
    assert layout is not None
    assert layout.position(2) == pytest.approx((0, 0, -6))


def test_single_slice_is_no_mosaic() -> None:
    assert layout_of(dicom_series(modality="MR")[0]) is None


def test_mosaic_that_does_not_say_how_many_slices_it_holds_is_refused() -> None:
    image = siemens_mosaic(VOLUME)
    image.remove_private_tags()
    add_standard(image)
    with pytest.raises(InvalidGeometry) as caught:
        layout_of(image)
    assert caught.value.hint
