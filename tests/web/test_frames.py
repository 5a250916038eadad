from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tapetum.errors import NotFound, RejectedInput
from tapetum.formats import dicom
from tapetum.store import LocalBlobs
from tapetum.testing import dicom_series, enhanced, segmentation, structure_set, to_bytes
from tapetum.web.frames import Frames, Layout, Layouts


def frames_of(data: bytes) -> Frames:
    return Frames(dicom.read(BytesIO(data)))


def test_frames_of_one_bit_begin_at_a_byte() -> None:
    # 5 x 5 pixels are 25 bits: the second frame begins within a byte (PS3.5 8.2).
    images = dicom_series(slices=3, rows=5, columns=5)
    rng = np.random.default_rng(0)
    mask = rng.random((3, 5, 5)) < 0.5
    mask[:, 0, 0] = True
    data = to_bytes(segmentation(images, {"lesion": mask}))
    frames, whole = frames_of(data), dcmread(BytesIO(data)).pixel_array
    assert frames.count == len(whole)
    for number, plane in enumerate(whole, 1):
        bits = np.unpackbits(np.frombuffer(frames.stored(number), np.uint8), bitorder="little")[:25]
        np.testing.assert_array_equal(bits.reshape(5, 5), plane)


def test_frames_are_those_of_the_whole() -> None:
    planes = dicom_series(slices=3, noise=10.0)
    frames = frames_of(to_bytes(enhanced(planes)))
    assert [frames.native(number) for number in (3, 2, 1)] == [each.PixelData for each in planes]
    np.testing.assert_array_equal(frames.array(3), planes[0].pixel_array)


@pytest.mark.parametrize("name", ["SC_rgb_rle_2frame.dcm", "emri_small_jpeg_2k_lossless.dcm", "emri_small_RLE.dcm"])
def test_each_frame_of_a_compressed_object_decodes_on_its_own(name: str) -> None:
    data = Path(str(get_testdata_file(name))).read_bytes()
    frames, whole = frames_of(data), dcmread(BytesIO(data)).pixel_array
    assert frames.is_compressed
    for number in range(1, frames.count + 1):
        np.testing.assert_array_equal(frames.array(number), whole[number - 1])


@pytest.mark.parametrize("number", [0, -1, 2])
def test_a_frame_that_is_not_there_is_not_found(number: int) -> None:
    with pytest.raises(NotFound):
        frames_of(to_bytes(dicom_series(slices=1)[0])).stored(number)


def test_an_object_without_pixels_has_no_frames() -> None:
    images = dicom_series(slices=2)
    with pytest.raises(NotFound, match="no pixels"):
        frames_of(to_bytes(structure_set(images, centre_mm=(0.0, 0.0, 0.0), radii_mm=(5.0, 5.0, 5.0))))


def test_a_frame_is_read_from_where_the_layout_says_and_no_further(tmp_path: Path) -> None:
    planes = dicom_series(slices=3, noise=10.0)
    data, blobs = to_bytes(enhanced(planes)), LocalBlobs(tmp_path)
    layout = frames_of(data).layout(blobs.put(data))
    assert layout is not None
    assert [layout.read(blobs, number) for number in (3, 2, 1)] == [each.PixelData for each in planes]
    for number in (0, 4):
        with pytest.raises(NotFound, match="no such frame"):
            layout.read(blobs, number)
    with pytest.raises(RejectedInput):
        Layout(layout.blob, len(data) - 10, 20, 1).read(blobs, 1)
    with pytest.raises(NotFound, match="missing"):
        Layout("0" * 64, 0, 1, 1).read(blobs, 1)


@pytest.mark.parametrize("name", ["SC_rgb_rle_2frame.dcm", "liver_expb_1frame.dcm", "MR_small_bigendian.dcm"])
def test_frames_that_are_not_kept_as_they_are_wanted_have_no_layout(name: str) -> None:
    # Compressed; one bit a pixel has one when a frame ends with a byte; big endian.
    data = Path(str(get_testdata_file(name))).read_bytes()
    found = frames_of(data).layout("0" * 64)
    assert (found is None) == (name != "liver_expb_1frame.dcm")


def test_only_so_many_layouts_are_remembered() -> None:
    layouts, one = Layouts(most=2), Layout("0" * 64, 0, 1, 1)
    for uid in "abc":
        layouts.put((uid,), one)
    assert [layouts.get((uid,)) is one for uid in "abc"] == [False, True, True]
