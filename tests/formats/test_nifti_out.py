import gzip
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from tapetum.errors import InvalidGeometry
from tapetum.formats import nifti
from tapetum.formats.nifti_out import affine_of, b_tables, repetition_s, write
from tapetum.model import Geometry, Image, Quantity

OBLIQUE = Geometry((3, 5, 6), (2.5, 0.7, 0.8), (-11.5, 2, 33), ((0, -0.6, 0.8), (0, 0.8, 0.6), (1, 0, 0)), "1.2.3")
HU = Quantity("CT number", "[hnsf'U]")
RNG = np.random.default_rng(2)


def volume(array: np.ndarray | None = None, **more: object) -> Image:
    array = RNG.integers(-1000, 1000, (3, 5, 6)).astype(np.float32) if array is None else array
    return Image(array, "zyx" if array.ndim == 3 else "tzyx", HU, OBLIQUE, **more)


def written(image: Image) -> bytes:
    out = BytesIO()
    write(image, out)
    return out.getvalue()


def test_reading_it_back_gives_every_value_its_place_in_the_patient() -> None:
    image = volume()
    array, geometry = nifti.read(BytesIO(written(image)))
    for index in ([0, 0, 0], [2, 4, 5], [1, 2, 3]):
        point = OBLIQUE.to_patient(index)
        z, y, x = np.rint(geometry.to_index(point)).astype(int)
        assert np.allclose(geometry.to_patient([z, y, x]), point, atol=1e-4)
        assert array[z, y, x] == image.array[tuple(index)]


def test_simpleitk_finds_every_value_where_it_was(tmp_path: Path) -> None:
    image = volume()
    (tmp_path / "v.nii.gz").write_bytes(written(image))
    read = SimpleITK.ReadImage(str(tmp_path / "v.nii.gz"))
    for index in np.ndindex(image.array.shape):
        at = read.TransformPhysicalPointToIndex(OBLIQUE.to_patient(index).tolist())
        assert read[at] == image.array[index]


def test_both_forms_say_the_same_place_and_whole_numbers_take_16_bits() -> None:
    read = nib.Nifti1Image.from_bytes(gzip.decompress(written(volume())))
    assert np.allclose(read.get_sform(), read.get_qform(), atol=1e-5)
    assert np.allclose(read.affine, affine_of(OBLIQUE), atol=1e-5)
    assert (int(read.header["sform_code"]), int(read.header["qform_code"])) == (1, 1)
    assert read.get_data_dtype() == np.int16
    raw = gzip.decompress(written(volume()))
    assert np.frombuffer(raw[112:120], "<f4").tolist() == [1, 0]  # scl_slope, scl_inter


def test_fractions_stay_floats() -> None:
    image = volume(RNG.normal(size=(3, 5, 6)).astype(np.float32))
    array, _ = nifti.read(BytesIO(written(image)))
    assert array.dtype == np.float32
    assert np.array_equal(array[:, ::-1], image.array)


def test_dynamic_volume_keeps_its_repetition() -> None:
    image = volume(RNG.integers(0, 9, (4, 3, 5, 6)).astype(np.float32), times_s=(0, 2.2, 4.4, 6.6))
    read = nib.Nifti1Image.from_bytes(gzip.decompress(written(image)))
    assert read.header.get_zooms()[3] == pytest.approx(2.2)
    assert read.header.get_xyzt_units() == ("mm", "sec")
    assert read.shape == (6, 5, 3, 4)


@pytest.mark.parametrize("times", [(0.0, 1.0, 5.0), ()])
def test_uneven_or_unknown_times_are_no_repetition(times: tuple[float, ...]) -> None:
    image = volume(np.zeros((3, 3, 5, 6), np.float32), times_s=times)
    assert repetition_s(image) == 0
    read = nib.Nifti1Image.from_bytes(gzip.decompress(written(image)))
    assert read.header.get_xyzt_units() == ("mm", "unknown")


def test_b_vectors_count_along_the_voxel_axes() -> None:
    # Along the columns of the slices, whose y the file turns over.
    image = volume(b_values=(1000.0,), b_vectors=((0.0, 0.8, 0.6),))
    values, vectors = b_tables(image)
    assert values == "1000\n"
    assert [float(line) for line in vectors.split()] == pytest.approx([0, -1, 0])


def test_unknown_directions_leave_the_second_table_empty() -> None:
    assert b_tables(volume(b_values=(0.0,))) == ("0\n", "")


def test_image_without_b_values_has_no_table() -> None:
    with pytest.raises(ValueError, match="b-values"):
        b_tables(volume())


def test_equal_images_give_equal_bytes() -> None:
    image = volume()
    assert written(image) == written(replace(image))


def test_image_without_a_place_is_refused() -> None:
    with pytest.raises(InvalidGeometry) as caught:
        written(Image(np.zeros((2, 2), np.float32), "yx", HU))
    assert "dicom" in caught.value.hint


def test_axis_longer_than_nifti_can_count_is_refused() -> None:
    array = np.zeros((1, 1, 40000), np.float32)
    with pytest.raises(InvalidGeometry) as caught:
        written(Image(array, "zyx", HU, Geometry(array.shape, (1, 1, 1))))
    assert "zarr" in caught.value.hint
