import gzip
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats import nifti

AFFINE = np.array([[-0.8, 0, 0, 10], [0, 0.7, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]], float)


def nifti_bytes(array: np.ndarray, affine: np.ndarray = AFFINE, *, version: int = 1, compress: bool = False) -> bytes:
    image = (nib.Nifti1Image if version == 1 else nib.Nifti2Image)(array, affine)
    data = image.to_bytes()
    return gzip.compress(data, mtime=1) if compress else data


def clean(data: bytes) -> bytes:
    out = BytesIO()
    nifti.clean(BytesIO(data), out, **ENOUGH)
    return out.getvalue()


def digest(data: bytes) -> str:
    return nifti.clean(BytesIO(data), BytesIO(), **ENOUGH)


ENOUGH = {"max_voxels": 1 << 28, "max_bytes": 1 << 30}
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # x, y, z


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("compress", [False, True])
def test_ras_becomes_lps(version: int, *, compress: bool) -> None:
    array, geometry = nifti.read(BytesIO(nifti_bytes(VOXELS, version=version, compress=compress)))
    assert np.array_equal(array, VOXELS.T)
    assert np.allclose(geometry.spacing_mm, (2.5, 0.7, 0.8))
    assert geometry.origin_mm == (-10, 20, 30)
    assert np.allclose(geometry.direction, ((0, 0, 1), (0, -1, 0), (1, 0, 0)))
    assert not geometry.frame_of_reference_uid


@given(
    st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1),
    st.tuples(*[st.floats(0.1, 9)] * 3),
)
def test_any_rotation_puts_the_last_voxel_where_the_affine_says(axis: list[float], spacing: tuple[float, ...]) -> None:
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    affine = np.eye(4)
    affine[:3, :3] = _rotation(skew)
    affine[:3, :3] *= spacing
    affine[:3, 3] = (5, 6, 7)
    _, geometry = nifti.read(BytesIO(nifti_bytes(VOXELS, affine)))
    ras = affine @ [1, 2, 3, 1]
    assert np.allclose(geometry.to_patient([3, 2, 1]), [-ras[0], -ras[1], ras[2]], atol=1e-3)


def _rotation(skew: np.ndarray, angle: float = 1.0) -> np.ndarray:
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def test_scaled_values_are_scaled() -> None:
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.header.set_slope_inter(2.0, -1.0)
    data = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]))
    header["scl_slope"], header["scl_inter"] = 2.0, -1.0
    data[:348] = header.binaryblock
    stored = np.frombuffer(bytes(data[352:]), np.int16).reshape(2, 3, 4, order="F")
    array, _ = nifti.read(BytesIO(bytes(data)))
    assert np.array_equal(array, stored.T * 2.0 - 1.0)


def test_time_comes_first() -> None:
    series = np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2)
    array, geometry = nifti.read(BytesIO(nifti_bytes(series)))
    assert np.array_equal(array, series.T)
    assert geometry.shape == (4, 3, 2)


def test_single_slice_has_a_depth_of_one() -> None:
    assert nifti.read(BytesIO(nifti_bytes(VOXELS[..., 0])))[0].shape == (1, 3, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxel_that_is_no_number_is_refused(value: float) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, 0] = value
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(nifti_bytes(voxels)))
    assert caught.value.code == "not-finite"


def test_sheared_voxels_are_refused() -> None:
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.5
    with pytest.raises(InvalidGeometry):
        nifti.read(BytesIO(nifti_bytes(VOXELS, sheared)))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("keep", [100, 380, -4])
def test_cut_file_is_truncated(keep: int, *, compress: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 9999, (9, 9, 9)).astype(np.int16)
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(nifti_bytes(noise, compress=compress)[:keep]))
    assert caught.value.code == "truncated"


def test_other_bytes_are_unreadable() -> None:
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(b"this is a letter " * 40))
    assert caught.value.code == "unreadable"


def test_wrong_gzip_checksum_is_unreadable() -> None:
    data = bytearray(nifti_bytes(VOXELS, compress=True))
    data[-6] ^= 255
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(bytes(data)))
    assert caught.value.code == "unreadable"


def test_negative_size_is_unreadable() -> None:
    data = bytearray(nifti_bytes(VOXELS))
    data[42:44] = (-2).to_bytes(2, "little", signed=True)
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(bytes(data)))
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("kind", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_voxels_that_are_not_plain_numbers_are_unsupported(kind: object) -> None:
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(nifti_bytes(np.zeros((2, 2, 2), kind))))
    assert caught.value.code == "unsupported"


def test_header_of_a_pair_is_unsupported() -> None:
    data = nifti_bytes(VOXELS).replace(b"n+1\0", b"ni1\0", 1)
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(data))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("compress", [False, True])
def test_cleaning_leaves_no_word_and_the_same_image(version: int, *, compress: bool) -> None:
    image = (nib.Nifti1Image if version == 1 else nib.Nifti2Image)(VOXELS, AFFINE)
    image.header["descrip"], image.header["aux_file"], image.header["intent_name"] = b"Jane Doe", b"Doe.txt", b"Doe"
    if version == 1:
        image.header["db_name"] = b"Doe^Jane"
    else:
        image.header["unused_str"] = b"Doe^Jane"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Patient: Jane Doe"))
    data = image.to_bytes() + b"Doe, trailing"
    assert b"Doe" in data
    cleaned = clean(gzip.compress(data) if compress else data)
    plain = gzip.decompress(cleaned) if compress else cleaned
    assert b"Doe" not in plain
    before, after = nifti.read(BytesIO(data)), nifti.read(BytesIO(cleaned))
    assert np.array_equal(before[0], after[0])
    assert before[1] == after[1]
    assert clean(cleaned) == cleaned


def test_ibsi_phantom_reads_as_simpleitk_reads_it(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("ibsi1_digital_phantom") / "nifti" / "image" / "phantom.nii.gz"
    with path.open("rb") as file:
        array, geometry = nifti.read(file)
    expected = SimpleITK.ReadImage(str(path))
    assert np.array_equal(array, SimpleITK.GetArrayFromImage(expected))
    assert np.allclose(geometry.spacing_mm[::-1], expected.GetSpacing())
    assert np.allclose(geometry.origin_mm, expected.GetOrigin())
    assert np.allclose(np.array(geometry.direction)[::-1].T.ravel(), expected.GetDirection())


def test_metres_become_millimetres() -> None:
    image = nib.Nifti1Image(VOXELS, np.diag([0.001, 0.001, 0.002, 1.0]))
    image.header.set_xyzt_units("meter")
    assert nifti.read(BytesIO(image.to_bytes()))[1].spacing_mm == pytest.approx((2, 1, 1))


@pytest.mark.parametrize("slope", [1.0, 2.0])
def test_scaling_that_is_no_number_is_unreadable(slope: float) -> None:
    data = bytearray(nifti_bytes(VOXELS))
    data[112:120] = np.array([slope, np.nan], "<f4").tobytes()  # scl_slope, scl_inter
    with pytest.raises(RejectedInput) as caught:
        nifti.read(BytesIO(bytes(data)))
    assert caught.value.code == "unreadable"


LONG = np.random.default_rng(1).integers(0, 900, (90, 80, 100)).astype(np.int16)  # more than one block


def test_a_large_image_is_cleaned_byte_for_byte_as_a_whole_one_would_be() -> None:
    plain = nifti_bytes(LONG)
    assert clean(plain)[352:] == LONG.tobytes(order="F")
    assert clean(gzip.compress(plain)) == zlib.compress(clean(plain), 9, 31)


def same_values() -> dict[str, bytes]:
    scaled = bytearray(nifti_bytes((LONG - 3).astype(np.int16)))
    scaled[112:120] = np.array([1.0, 3.0], "<f4").tobytes()
    big_endian = nib.Nifti1Image(LONG, AFFINE, nib.Nifti1Header(endianness=">"))
    return {
        "plain": nifti_bytes(LONG),
        "compressed": nifti_bytes(LONG, compress=True),
        "nifti-2": nifti_bytes(LONG, version=2),
        "four dimensions": nifti_bytes(LONG[..., None]),
        "float32": nifti_bytes(LONG.astype(np.float32)),
        "float64": nifti_bytes(LONG.astype(np.float64)),
        "big endian": big_endian.to_bytes(),
        "scaled": bytes(scaled),
        "other place": nifti_bytes(LONG, np.eye(4)),
    }


def test_the_same_values_are_one_image_however_they_are_stored() -> None:
    assert len(set(same_values().values())) == len(same_values())
    assert len({digest(data) for data in same_values().values()}) == 1


def test_one_other_voxel_or_another_shape_is_another_image() -> None:
    changed = LONG.copy()
    changed[-1, -1, -1] += 1
    assert len({digest(nifti_bytes(array)) for array in (LONG, changed, LONG.reshape(80, 90, 100))}) == 3


@pytest.mark.parametrize("compress", [False, True])
def test_cleaning_refuses_what_reading_refuses(*, compress: bool) -> None:
    holes = LONG.astype(np.float32)
    holes[0, 0, 0] = holes[-1, -1, -1] = np.nan
    cut = nifti_bytes(LONG, compress=compress)[:-9]
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.5
    with pytest.raises(RejectedInput, match="voxels 2") as caught:
        clean(nifti_bytes(holes, compress=compress))
    assert caught.value.code == "not-finite"
    with pytest.raises(RejectedInput) as caught:
        clean(cut)
    assert caught.value.code == "truncated"
    with pytest.raises(InvalidGeometry):
        clean(nifti_bytes(LONG, sheared, compress=compress))


def test_cleaning_reads_a_compressed_file_to_its_checksum() -> None:
    data = bytearray(nifti_bytes(LONG, compress=True))
    data[-6] ^= 255
    with pytest.raises(RejectedInput) as caught:
        clean(bytes(data))
    assert caught.value.code == "unreadable"


def test_a_small_file_that_promises_a_large_volume_is_a_bomb() -> None:
    bomb = gzip.compress(nifti_bytes(np.zeros((64, 64, 64), np.int8)))
    with pytest.raises(RejectedInput) as caught:
        nifti.clean(BytesIO(bomb), BytesIO(), max_voxels=200 * len(bomb), max_bytes=1 << 30)
    assert caught.value.code == "picture-bomb"
