import gzip
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats import nifti, nrrd

VOXELS = np.arange(24, dtype=np.int16).reshape(4, 3, 2)  # z, y, x
HEADER = """NRRD0004
# scanned for Jane Doe
type: short
dimension: 3
space: left-posterior-superior
sizes: 2 3 4
space directions: (0.8,0,0) (0,0.7,0) (0,0,2.5)
kinds: domain domain domain
endian: little
encoding: raw
space origin: (10,-20,30)
content: Jane Doe
PatientName:=Jane Doe

"""


def nrrd_bytes(*changes: tuple[str, str], payload: bytes | None = None) -> bytes:
    header = HEADER
    for old, new in changes:
        assert old in header
        header = header.replace(old, new)
    return header.encode() + (VOXELS.tobytes() if payload is None else payload)


def clean(data: bytes) -> bytes:
    out = BytesIO()
    nrrd.clean(BytesIO(data), out, **ENOUGH)
    return out.getvalue()


def digest(data: bytes) -> str:
    return nrrd.clean(BytesIO(data), BytesIO(), **ENOUGH)


ENOUGH = {"max_voxels": 1 << 28, "max_bytes": 1 << 30}


def test_axes_come_as_z_y_x_with_their_place() -> None:
    array, geometry = nrrd.read(BytesIO(nrrd_bytes()))
    assert np.array_equal(array, VOXELS)
    assert geometry.spacing_mm == (2.5, 0.7, 0.8)
    assert geometry.origin_mm == (10, -20, 30)


@pytest.mark.parametrize(("space", "expected"), [("RAS", (-10, 20, 30)), ("left-anterior-superior", (10, 20, 30))])
def test_other_spaces_become_lps(space: str, expected: tuple[float, ...]) -> None:
    _, geometry = nrrd.read(BytesIO(nrrd_bytes(("left-posterior-superior", space))))
    assert geometry.origin_mm == expected


@pytest.mark.parametrize("encoding", ["gzip", "gz"])
def test_compressed_data_read_the_same(encoding: str) -> None:
    data = nrrd_bytes(("raw", encoding), payload=gzip.compress(VOXELS.tobytes()))
    assert np.array_equal(nrrd.read(BytesIO(data))[0], VOXELS)


def test_big_endian_values_are_turned() -> None:
    data = nrrd_bytes(("endian: little", "endian: big"), payload=VOXELS.astype(">i2").tobytes())
    assert np.array_equal(nrrd.read(BytesIO(data))[0], VOXELS)


def test_spacings_without_a_space_are_taken() -> None:
    data = nrrd_bytes(
        ("space: left-posterior-superior\n", ""),
        ("space directions: (0.8,0,0) (0,0.7,0) (0,0,2.5)", "spacings: 0.8 0.7 2.5"),
        ("space origin: (10,-20,30)\n", ""),
    )
    assert nrrd.read(BytesIO(data))[1].spacing_mm == (2.5, 0.7, 0.8)


@pytest.mark.parametrize("first", [True, False])
def test_time_comes_first_wherever_the_file_has_it(*, first: bool) -> None:
    moments = np.arange(48, dtype=np.int16).reshape(2, 4, 3, 2)
    sizes, directions, kinds = ("2 3 4 2", "(0.8,0,0) (0,0.7,0) (0,0,2.5) none", "domain domain domain list")
    stored = moments
    if first:
        sizes, directions = "2 2 3 4", "none (0.8,0,0) (0,0.7,0) (0,0,2.5)"
        kinds, stored = "list domain domain domain", np.moveaxis(moments, 0, -1)
    data = nrrd_bytes(
        ("dimension: 3", "dimension: 4"),
        ("sizes: 2 3 4", f"sizes: {sizes}"),
        ("(0.8,0,0) (0,0.7,0) (0,0,2.5)", directions),
        ("domain domain domain", kinds),
        payload=stored.tobytes(),
    )
    assert np.array_equal(nrrd.read(BytesIO(data))[0], moments)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("encoding: raw", "encoding: hex"), "unsupported"),
        (("encoding: raw", "encoding: raw\ndata file: /etc/passwd"), "unsupported"),
        (("type: short", "type: block"), "unsupported"),
        (("left-posterior-superior", "scanner-xyz"), "unsupported"),
        (("endian: little", 'endian: little\nspace units: "m" "m" "m"'), "unsupported"),
        (("sizes: 2 3 4", "sizes: 2 three 4"), "unreadable"),
        (("sizes: 2 3 4\n", ""), "unreadable"),
        (("(0.8,0,0)", "(zero,0,0)"), "unreadable"),
        (("endian: little", "endian: middle"), "unreadable"),
        (("sizes: 2 3 4", "sizes: 2 3 40"), "truncated"),
        (("NRRD0004", "PNG 0004"), "unreadable"),
        (("encoding: raw", "encoding: raw\nbyte skip: -9"), "unreadable"),
        (("encoding: raw", "encoding: raw\nbyte skip: many"), "unreadable"),
        (("encoding: raw", "encoding: raw\nline skip: 1000000000000"), "truncated"),
    ],
)
def test_header_that_cannot_be_used_is_refused(change: tuple[str, str], code: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        nrrd.read(BytesIO(nrrd_bytes(change)))
    assert caught.value.code == code


def test_header_without_an_end_is_truncated() -> None:
    with pytest.raises(RejectedInput) as caught:
        nrrd.read(BytesIO(HEADER[:100].encode()))
    assert caught.value.code == "truncated"


def test_cut_compressed_data_is_truncated() -> None:
    data = nrrd_bytes(("raw", "gzip"), payload=gzip.compress(VOXELS.tobytes())[:-9])
    with pytest.raises(RejectedInput) as caught:
        nrrd.read(BytesIO(data))
    assert caught.value.code == "truncated"


def test_voxel_that_is_no_number_is_refused() -> None:
    voxels = VOXELS.astype("<f4")
    voxels[0, 0, 0] = np.nan
    with pytest.raises(RejectedInput) as caught:
        nrrd.read(BytesIO(nrrd_bytes(("type: short", "type: float"), payload=voxels.tobytes())))
    assert caught.value.code == "not-finite"


def test_sheared_voxels_are_refused() -> None:
    with pytest.raises(InvalidGeometry):
        nrrd.read(BytesIO(nrrd_bytes(("(0,0.7,0)", "(0.5,0.7,0)"))))


@pytest.mark.parametrize("compress", [False, True])
def test_cleaning_leaves_no_word_and_the_same_image(*, compress: bool) -> None:
    payload = gzip.compress(VOXELS.tobytes()) if compress else VOXELS.tobytes()
    data = nrrd_bytes(("encoding: raw", "encoding: gzip" if compress else "encoding: raw"), payload=payload + b"Doe")
    if compress:
        data = data[:-3]
    cleaned = clean(data)
    assert b"Doe" not in cleaned
    before, after = nrrd.read(BytesIO(data)), nrrd.read(BytesIO(cleaned))
    assert np.array_equal(before[0], after[0])
    assert before[1] == after[1]
    assert clean(cleaned) == cleaned


def test_cleaning_drops_words_hidden_in_known_fields() -> None:
    assert b"Doe" not in clean(nrrd_bytes(("domain domain domain", "Doe Jane domain")))


@pytest.mark.parametrize("name", ["brain1_image", "brain1_label", "breast1_image"])
def test_real_files_read_as_simpleitk_reads_them(shared_data: Callable[[str], Path], name: str) -> None:
    path = shared_data("pyradiomics_cases") / "data" / f"{name}.nrrd"
    with path.open("rb") as file:
        array, geometry = nrrd.read(file)
    expected = SimpleITK.ReadImage(str(path))
    assert np.array_equal(array, SimpleITK.GetArrayFromImage(expected))
    assert np.allclose(geometry.spacing_mm[::-1], expected.GetSpacing())
    assert np.allclose(geometry.origin_mm, expected.GetOrigin())
    assert np.allclose(np.array(geometry.direction)[::-1].T.ravel(), expected.GetDirection())


def test_voxels_at_the_end_of_the_file_are_found_and_no_word_of_the_header_is_taken_for_one() -> None:
    at_the_end = ("encoding: raw", "encoding: raw\nbyte skip: -1")
    data = nrrd_bytes(at_the_end, payload=b"Jane Doe" * 9 + VOXELS.tobytes())
    assert np.array_equal(nrrd.read(BytesIO(data))[0], VOXELS)
    assert b"Doe" not in clean(data)
    with pytest.raises(RejectedInput) as caught:
        clean(nrrd_bytes(at_the_end, payload=VOXELS.tobytes()[:-9]))
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("compress", [False, True])
def test_lines_and_bytes_before_the_voxels_are_passed_over(*, compress: bool) -> None:
    encoding = "gzip" if compress else "raw"
    payload = b"Doe" * 5 + VOXELS.tobytes()
    data = nrrd_bytes(
        ("encoding: raw", f"encoding: {encoding}\nline skip: 2\nbyte skip: 15"),
        payload=b"Doe\nDoe\n" + (gzip.compress(payload) if compress else payload),
    )
    assert np.array_equal(nrrd.read(BytesIO(data))[0], VOXELS)
    assert np.array_equal(nrrd.read(BytesIO(clean(data)))[0], VOXELS)


def test_slices_over_time_have_a_depth_of_one() -> None:
    data = nrrd_bytes(
        ("space directions: (0.8,0,0) (0,0.7,0) (0,0,2.5)", "space directions: (0.8,0,0) (0,0.7,0) none"),
        ("kinds: domain domain domain", "kinds: domain domain time"),
    )
    array, geometry = nrrd.read(BytesIO(data))
    assert np.array_equal(array, VOXELS[:, None])
    assert geometry.shape == (1, 3, 2)


LONG = np.random.default_rng(1).integers(0, 900, (100, 80, 90)).astype(np.int16)  # z, y, x; more than one block
SIZES = ("sizes: 2 3 4", "sizes: 90 80 100")


def test_a_large_image_is_cleaned_byte_for_byte_as_a_whole_one_would_be() -> None:
    assert clean(nrrd_bytes(SIZES, payload=LONG.tobytes())).partition(b"\n\n")[2] == LONG.tobytes()
    zipped = nrrd_bytes(SIZES, ("raw", "gzip"), payload=gzip.compress(LONG.tobytes(), 1))
    assert clean(zipped).partition(b"\n\n")[2] == zlib.compress(LONG.tobytes(), 9, 31)


def test_the_same_values_are_one_image_however_they_are_stored_and_in_nifti_too() -> None:
    found = {
        digest(nrrd_bytes(SIZES, payload=LONG.tobytes())),
        digest(nrrd_bytes(SIZES, ("raw", "gz"), payload=gzip.compress(LONG.tobytes()))),
        digest(nrrd_bytes(SIZES, ("endian: little", "endian: big"), payload=LONG.astype(">i2").tobytes())),
        digest(nrrd_bytes(SIZES, ("type: short", "type: double"), payload=LONG.astype("<f8").tobytes())),
        nifti.clean(BytesIO(nib.Nifti1Image(LONG.T, np.eye(4)).to_bytes()), BytesIO(), **ENOUGH),
    }
    assert len(found) == 1
    assert digest(nrrd_bytes(SIZES, payload=LONG[::-1].tobytes())) not in found


@pytest.mark.parametrize("compress", [False, True])
def test_cleaning_refuses_what_reading_refuses(*, compress: bool) -> None:
    def stored(*changes: tuple[str, str], payload: bytes) -> bytes:
        encoding = ("encoding: raw", "encoding: gzip" if compress else "encoding: raw")
        return nrrd_bytes(SIZES, encoding, *changes, payload=gzip.compress(payload) if compress else payload)

    holes = LONG.astype("<f4")
    holes[-1, -1, -1] = np.inf
    with pytest.raises(RejectedInput, match="voxels 1") as caught:
        clean(stored(("type: short", "type: float"), payload=holes.tobytes()))
    assert caught.value.code == "not-finite"
    with pytest.raises(RejectedInput) as caught:
        clean(stored(payload=LONG.tobytes()[:-1]))
    assert caught.value.code == "truncated"
    with pytest.raises(InvalidGeometry):
        clean(stored(("(0,0.7,0)", "(0.5,0.7,0)"), payload=LONG.tobytes()))


def test_a_bomb_hides_behind_no_long_header() -> None:
    words = "".join(f"key{number}:=value\n" for number in range(2000))
    data = nrrd_bytes(("sizes: 2 3 4", f"{words}sizes: 20000 30000 40000"))
    with pytest.raises(RejectedInput) as caught:
        clean(data)
    assert caught.value.code == "picture-bomb"
