import warnings
from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import FileDataset
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tapetum.errors import RejectedInput
from tapetum.formats.pixels import check_pixels, decode
from tapetum.testing import dicom_series, radiograph, to_bytes


def example(name: str) -> FileDataset:
    """A real file that pydicom ships."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(str(get_testdata_file(name, download=False)), force=True)


def written(dataset: FileDataset) -> FileDataset:
    return pydicom.dcmread(BytesIO(to_bytes(dataset)))


def encapsulated(dataset: FileDataset, syntax: str, *streams: bytes) -> FileDataset:
    dataset.PixelData = encapsulate(list(streams))
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    return dataset


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_every_lossless_encoding_of_one_mr_slice_gives_the_same_values(name: str) -> None:
    native = example("MR_small.dcm")
    expected = np.frombuffer(native.PixelData, "<i2").reshape(1, 64, 64)
    found = decode(example(name))
    assert found.dtype.kind == "i"
    assert np.array_equal(found, expected)


def test_lossless_jpeg_in_rgb_keeps_its_colours() -> None:
    assert np.array_equal(decode(example("SC_rgb_jpeg_gdcm.dcm")), decode(example("SC_rgb_rle.dcm")))


def test_subsampled_ybr_without_compression_becomes_rgb() -> None:
    found, expected = decode(example("SC_ybr_full_422_uncompressed.dcm")), decode(example("SC_rgb_rle.dcm"))
    assert found.shape == (1, 100, 100, 3)
    # The bars' flat parts agree; chroma halved across their edges does not.
    assert np.median(np.abs(found.astype(int) - expected)) <= 1


@pytest.mark.parametrize("name", ["SC_jpeg_no_color_transform.dcm", "SC_rgb_jpeg.dcm"])
def test_baseline_jpeg_that_was_stored_as_rgb_is_not_converted_again(name: str) -> None:
    # A grey histology tile; taken for YBR it would turn magenta (mean green of 121).
    assert np.ptp(decode(example(name)).mean(axis=(0, 1, 2))) < 1


def test_twelve_bit_jpeg_shows_the_same_picture_as_its_jpeg_2000_copy() -> None:
    lossy, other = decode(example("JPGExtended.dcm")), decode(example("JPEG2000.dcm"))
    assert np.corrcoef(lossy.ravel(), other.ravel())[0, 1] > 0.95


def test_palette_colours_become_eight_bit_rgb() -> None:
    found = decode(example("examples_palette.dcm"))
    assert (found.shape, found.dtype) == ((1, 350, 800, 3), np.uint8)
    assert found.max() == 255


def test_frames_come_first_and_planar_colours_last() -> None:
    assert decode(example("SC_rgb_rle_16bit_2frame.dcm")).shape == (2, 100, 100, 3)


def test_sign_in_the_header_wins_over_an_unsigned_stream() -> None:
    series = dicom_series(slices=1, volume=np.full((1, 8, 8), -1000, np.int16))
    stream = imagecodecs.jpegls_encode(np.full((8, 8), -1000, np.int16).view(np.uint16))
    assert (decode(encapsulated(series[0], JPEGLSLossless, stream)) == -1000).all()


def test_lossless_jpeg_comes_back_unchanged() -> None:
    image = radiograph()
    stored = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    stream = imagecodecs.ljpeg_encode(stored)
    assert np.array_equal(decode(encapsulated(image, JPEGLosslessSV1, stream))[0], stored)


def test_image_without_pixel_data_is_refused() -> None:
    image = radiograph()
    del image.PixelData
    with pytest.raises(RejectedInput) as caught:
        check_pixels(image)
    assert caught.value.code == "missing-pixel-data"


def test_image_without_rows_is_refused() -> None:
    image = radiograph()
    del image.Rows
    with pytest.raises(RejectedInput) as caught:
        check_pixels(image)
    assert caught.value.code == "missing-attribute"


def test_image_of_no_rows_is_refused() -> None:
    image = radiograph()
    image.Rows = 0
    with pytest.raises(RejectedInput) as caught:
        check_pixels(image)
    assert caught.value.code == "unreadable"


def test_attribute_that_is_no_number_is_refused() -> None:
    with pytest.raises(RejectedInput) as caught:
        check_pixels(example("badVR.dcm"))
    assert caught.value.code == "unreadable"


def test_real_truncated_mr_slice_is_refused() -> None:
    with pytest.raises(RejectedInput) as caught:
        check_pixels(example("MR_truncated.dcm"))
    assert caught.value.code == "truncated"


def test_jpeg_bytes_under_a_native_syntax_are_refused() -> None:
    image = radiograph()
    image.PixelData = bytes(imagecodecs.jpeg8_encode(np.zeros((48, 40), np.uint8)))
    with pytest.raises(RejectedInput) as caught:
        check_pixels(image)
    assert caught.value.code == "wrong-transfer-syntax"


def test_native_bytes_under_a_jpeg_syntax_are_refused() -> None:
    image = radiograph()
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    with pytest.raises(RejectedInput) as caught:
        check_pixels(image)
    assert caught.value.code == "wrong-transfer-syntax"


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, RLELossless])
def test_jpeg_2000_bytes_under_another_compressed_syntax_are_refused(syntax: str) -> None:
    stream = bytes(imagecodecs.jpeg2k_encode(np.zeros((48, 40), np.uint16)))
    with pytest.raises(RejectedInput) as caught:
        check_pixels(encapsulated(radiograph(), syntax, stream))
    assert caught.value.code == "wrong-transfer-syntax"


def test_film_is_not_taken_in() -> None:
    with pytest.raises(RejectedInput) as caught:
        check_pixels(encapsulated(radiograph(), MPEG2MPML, b"\0\0\1\xb3"))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize("codec", ["jpeg", "jpeg2k", "jpegls"])
def test_stream_cut_in_the_middle_is_truncated_not_grey(codec: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 40), dtype=np.uint8)
    if codec == "jpeg":
        syntax, stream = JPEGBaseline8Bit, imagecodecs.jpeg8_encode(noise)
    elif codec == "jpeg2k":
        syntax, stream = JPEG2000Lossless, imagecodecs.jpeg2k_encode(noise, codecformat="j2k")
    else:
        syntax, stream = JPEGLSLossless, imagecodecs.jpegls_encode(noise)
    with pytest.raises(RejectedInput) as caught:
        decode(encapsulated(radiograph(), syntax, bytes(stream)[: len(stream) // 2]))
    assert caught.value.code == "truncated"


def test_fewer_streams_than_frames_are_truncated() -> None:
    image = encapsulated(radiograph(), JPEGLSLossless, bytes(imagecodecs.jpegls_encode(np.zeros((48, 40), np.uint16))))
    image.NumberOfFrames = "3"
    with pytest.raises(RejectedInput) as caught:
        check_pixels(image)
    assert caught.value.code == "truncated"


def test_stream_of_another_size_than_the_header_is_refused() -> None:
    stream = bytes(imagecodecs.jpegls_encode(np.zeros((10, 10), np.uint16)))
    with pytest.raises(RejectedInput) as caught:
        decode(encapsulated(radiograph(), JPEGLSLossless, stream))
    assert caught.value.code == "unreadable"


def test_damaged_stream_is_unreadable() -> None:
    stream = bytearray(imagecodecs.jpegls_encode(np.random.default_rng(0).integers(0, 4095, (48, 40), dtype=np.uint16)))
    stream[4:16] = bytes(12)
    with pytest.raises(RejectedInput) as caught:
        decode(encapsulated(radiograph(), JPEGLSLossless, bytes(stream)))
    assert caught.value.code == "unreadable"


def test_padding_after_the_last_pixel_is_harmless() -> None:
    image = radiograph()
    image.PixelData += b"\0" * 100
    check_pixels(image)
    assert decode(image).shape == (1, 48, 40)
