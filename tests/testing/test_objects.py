from io import BytesIO

import numpy as np
import pydicom
import pytest

from tapetum.testing.objects import decimal, new_object, set_pixels, to_bytes, uid


def test_equal_names_give_equal_uids_and_other_names_others() -> None:
    assert uid("a", "b") == uid("a", "b") != uid("a", "c")


def test_decimal_fits_sixteen_characters() -> None:
    assert max(len(decimal(value)) for value in (-1 / 3, 1e-17 / 7, 123456789.123456789)) <= 16


@pytest.mark.parametrize(("dtype", "signed"), [(np.uint8, 0), (np.int16, 1), (np.uint16, 0)])
def test_pixels_are_described_as_they_are_stored(dtype: type, signed: int) -> None:
    made = new_object("DX", "P", "Doe^Jane", modality="DX", study="1", series="1", instance="1")
    array = np.arange(15).reshape(3, 5).astype(dtype)
    set_pixels(made, array)
    read = pydicom.dcmread(BytesIO(to_bytes(made)))
    assert read.PixelRepresentation == signed
    assert np.array_equal(read.pixel_array, array)
