from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image as Pillow

from tapetum.errors import RejectedInput
from tapetum.model import Geometry, Instance, Series
from tapetum.standardise import to_image
from tapetum.testing import dicom_series, enhanced, radiograph, to_bytes, virtual_volume

VOLUME = virtual_volume((8, 32, 32), noise=5.0)


def codes(image: Any) -> set[str]:
    return {notice.code for notice in image.notices}


def test_ct_series_becomes_one_volume_in_hounsfield_units(stored: Callable[..., Any]) -> None:
    series = dicom_series(volume=VOLUME)
    image = to_image(*stored(series[::-1]))
    assert image.axes == "zyx"
    assert image.array.dtype == np.float32
    assert np.array_equal(image.array, VOLUME - 1024.0)
    assert image.geometry == Geometry(
        (8, 32, 32), (2.5, 0.8, 0.8), (-12, -12, -10), frame_of_reference_uid=series[0].FrameOfReferenceUID
    )
    assert image.quantity.unit == "[hnsf'U]"
    assert set(image.instances) == {one.SOPInstanceUID for one in series}
    assert not image.notices
    assert image.steps


def test_oblique_mr_keeps_its_directions(stored: Callable[..., Any]) -> None:
    direction = ((0.0, -0.6, 0.8), (0.0, 0.8, 0.6), (1.0, 0.0, 0.0))
    image = to_image(*stored(dicom_series(modality="MR", direction=direction), modality="MR"))
    assert np.allclose(image.geometry.direction, direction)
    assert image.quantity.unit == "[arb'U]"


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_enhanced_object_is_the_same_image_as_its_single_frames(stored: Callable[..., Any], modality: str) -> None:
    frames = dicom_series(volume=VOLUME, modality=modality)
    single = to_image(*stored(frames, modality=modality))
    multi = to_image(*stored([enhanced(frames)], modality=modality))
    assert np.array_equal(single.array, multi.array)
    assert single.geometry == multi.geometry


def test_each_pet_slice_is_scaled_by_its_own_slope(stored: Callable[..., Any]) -> None:
    slices = dicom_series(modality="PT", volume=np.full((3, 4, 4), 100, np.int16))
    for at, one in enumerate(slices):
        one.RescaleSlope = str(at + 1)
    image = to_image(*stored(slices, modality="PT"))
    assert image.array[:, 0, 0].tolist() == [100, 200, 300]
    assert "rescale-varies" not in codes(image)


def test_rescale_that_varies_in_a_ct_is_noticed_and_applied(stored: Callable[..., Any]) -> None:
    slices = dicom_series(volume=VOLUME)
    slices[2].RescaleIntercept = "-1000"
    image = to_image(*stored(slices))
    assert codes(image) == {"rescale-varies"}
    assert np.array_equal(image.array[2], VOLUME[2] - 1000.0)


def test_zero_slope_is_noticed_and_the_values_left_as_stored(stored: Callable[..., Any]) -> None:
    image = to_image(*stored(dicom_series(volume=VOLUME, slope=0.0)))
    assert "wrong-rescale" in codes(image)
    assert np.array_equal(image.array, VOLUME)


def test_forgotten_intercept_is_noticed(stored: Callable[..., Any]) -> None:
    assert codes(to_image(*stored(dicom_series(volume=VOLUME, intercept=0.0)))) == {"wrong-rescale"}


def test_missing_slice_is_noticed_and_every_other_voxel_stays_in_its_place(stored: Callable[..., Any]) -> None:
    series = dicom_series(volume=VOLUME)
    image = to_image(*stored([*series[:3], *series[4:]]))
    assert codes(image) == {"missing-slice"}
    assert image.geometry.shape == VOLUME.shape
    kept = [0, 1, 2, 4, 5, 6, 7]
    assert np.array_equal(image.array[kept], VOLUME[kept] - 1024.0)
    assert "mended missing-slice" in image.steps


def test_screenshot_among_the_slices_is_noticed_and_left_out(stored: Callable[..., Any]) -> None:
    screenshot = radiograph(series="dose report")
    image = to_image(*stored([screenshot, *dicom_series(volume=VOLUME)]))
    assert codes(image) == {"placeless-image"}
    assert np.array_equal(image.array, VOLUME - 1024.0)
    assert screenshot.SOPInstanceUID not in image.instances


def test_slice_whose_place_is_no_number_is_unreadable(stored: Callable[..., Any]) -> None:
    slices = [to_bytes(one) for one in dicom_series()]
    slices[3] = slices[3].replace(b"-12\\-12\\-2.5", b"-12\\-12\\twox")
    with pytest.raises(RejectedInput) as caught:
        to_image(*stored(slices))
    assert caught.value.code == "unreadable"


def test_dynamic_series_becomes_time_points(stored: Callable[..., Any]) -> None:
    early = dicom_series(modality="MR", series="a", volume=np.full((3, 4, 4), 1, np.int16))
    late = dicom_series(modality="MR", series="b", volume=np.full((3, 4, 4), 2, np.int16))
    for moment, slices in ((1, early), (2, late)):
        for one in slices:
            one.TemporalPositionIdentifier = str(moment)
    image = to_image(*stored([*late, *early], modality="MR"))
    assert (image.axes, image.array.shape) == ("tzyx", (2, 3, 4, 4))
    assert image.array[:, 0, 0, 0].tolist() == [1, 2]


def test_radiograph_is_flat_and_has_no_place_in_the_patient(stored: Callable[..., Any]) -> None:
    image = to_image(*stored([radiograph()], modality="DX"))
    assert (image.axes, image.array.shape, image.geometry) == ("yx", (48, 40), None)
    assert image.array.max() == 3000


def test_second_view_of_a_radiograph_is_noticed_and_left(stored: Callable[..., Any]) -> None:
    first, second = radiograph(), radiograph(series="other", array=np.ones((9, 9), np.uint16))
    second.InstanceNumber = "2"
    image = to_image(*stored([second, first], modality="DX"))
    assert codes(image) == {"several-images"}
    assert image.instances == (first.SOPInstanceUID,)


def test_colour_film_has_time_first(stored: Callable[..., Any]) -> None:
    film = radiograph()
    film.Modality, film.SamplesPerPixel, film.PhotometricInterpretation = "US", 3, "RGB"
    film.PlanarConfiguration, film.NumberOfFrames, film.BitsAllocated, film.BitsStored = 0, "2", 8, 8
    film.Rows, film.Columns, film.HighBit = 4, 5, 7
    film.PixelData = bytes(range(120))
    image = to_image(*stored([film], modality="US"))
    assert (image.axes, image.array.dtype) == ("tyxc", np.uint8)
    assert image.array.ravel().tolist() == list(range(120))


def test_grey_film_has_time_first_and_a_depth_of_one(stored: Callable[..., Any]) -> None:
    film = radiograph(array=np.zeros((4, 6), np.uint16))
    film.Modality, film.NumberOfFrames, film.Rows = "XA", "2", 2
    image = to_image(*stored([film], modality="XA"))
    assert (image.axes, image.array.shape) == ("tzyx", (2, 1, 2, 6))


def test_nifti_keeps_its_grid(stored: Callable[..., Any]) -> None:
    data = nib.Nifti1Image(VOLUME.T.astype(np.int16), np.diag([-0.8, -0.8, 2.5, 1.0])).to_bytes()
    image = to_image(*stored([data], format="nifti", modality="MR"))
    assert np.array_equal(image.array, VOLUME)
    assert image.geometry.spacing_mm == pytest.approx((2.5, 0.8, 0.8))


def test_nifti_that_is_called_ct_but_holds_no_hounsfield_units_is_noticed(stored: Callable[..., Any]) -> None:
    data = nib.Nifti1Image(VOLUME.T.astype(np.int16), np.eye(4)).to_bytes()
    assert codes(to_image(*stored([data], format="nifti", modality="CT"))) == {"wrong-rescale"}


def picture_bytes(array: np.ndarray) -> bytes:
    file = BytesIO()
    Pillow.fromarray(array).save(file, "PNG")
    return file.getvalue()


def test_photograph_is_rgb_of_eight_bits(stored: Callable[..., Any]) -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (6, 7, 3), dtype=np.uint8)
    image = to_image(*stored([picture_bytes(photograph)], format="picture", modality="OP"))
    assert (image.axes, image.geometry, image.modality) == ("yxc", None, "OP")
    assert np.array_equal(image.array, photograph)


def test_grey_picture_states_its_range(stored: Callable[..., Any]) -> None:
    image = to_image(*stored([picture_bytes(np.eye(4, dtype=np.uint8))], format="picture", modality="DX"))
    assert (image.axes, image.array.dtype) == ("yx", np.float32)
    assert image.quantity.name == "grey value from 0 to 255"


def test_series_with_a_damaged_slice_is_refused(stored: Callable[..., Any]) -> None:
    slices = dicom_series()
    slices[3].PixelData = slices[3].PixelData[:100]
    with pytest.raises(RejectedInput) as caught:
        to_image(*stored(slices))
    assert caught.value.code == "truncated"


def test_series_without_instances_makes_no_image(stored: Callable[..., Any]) -> None:
    series, _, open_blob = stored(dicom_series())
    with pytest.raises(ValueError, match="without instances"):
        to_image(series, [], open_blob)


def test_format_without_images_is_refused(stored: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="csv"):
        to_image(*stored([b"a,b"], format="csv"))


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


@pytest.mark.parametrize("patient", ["STS_012", "STS_046"])
@pytest.mark.parametrize(("folder", "modality"), [("CT", "CT"), ("PET", "PT"), ("MR_T1", "MR")])
def test_real_series_agrees_with_simpleitk_voxel_by_voxel(
    shared_data: Callable[[str], Path], patient: str, folder: str, modality: str
) -> None:
    files = sorted((shared_data("sts_dicom") / patient / folder / "image").iterdir())
    instances = [Instance(path.name, "1", "1", "p", str(path), path.name, "dicom", 1) for path in files]
    series = Series("1", "1", "p", modality, "image", "", "dicom", len(files))
    shuffled = np.random.default_rng(0).permutation(len(files))
    image = to_image(series, [instances[at] for at in shuffled], open_file)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(files[0].parent)))
    expected = reader.Execute()
    assert np.abs(image.array - SimpleITK.GetArrayFromImage(expected)).max() < 2e-6
    assert np.allclose(image.geometry.spacing_mm[::-1], expected.GetSpacing(), atol=1e-9)
    assert np.allclose(image.geometry.origin_mm, expected.GetOrigin(), atol=1e-9)
    assert np.allclose(np.array(image.geometry.direction)[::-1].T.ravel(), expected.GetDirection(), atol=1e-9)
    assert not image.notices
