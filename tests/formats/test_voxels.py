import gzip
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats.voxels import Voxels, geometry_of, gzipped, naming_damage, read_bytes


def test_columns_of_the_affine_are_the_steps_of_x_y_and_z() -> None:
    geometry = geometry_of(np.array([[0, -2, 0, 1], [3, 0, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]], float), (5, 6, 7))
    assert geometry.spacing_mm == (4, 2, 3)
    assert geometry.direction == ((0, 0, 1), (-1, 0, 0), (0, 1, 0))
    assert geometry.origin_mm == (1, 2, 3)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_axis_without_length_is_refused(value: float) -> None:
    with pytest.raises(InvalidGeometry):
        geometry_of(np.diag([1.0, value, 1.0, 1.0]), (2, 2, 2))


def test_sheared_axes_are_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    with pytest.raises(InvalidGeometry):
        geometry_of(affine, (2, 2, 2))


def test_header_that_promises_exabytes_costs_no_memory() -> None:
    assert read_bytes(BytesIO(b"abc"), 1 << 60) == b"abc"


def test_no_more_is_read_than_was_wanted() -> None:
    assert read_bytes(BytesIO(b"abc"), 2) == b"ab"


def voxels(array: np.ndarray, shape: tuple[int, ...] | None = None, **more: Any) -> Voxels:
    return Voxels(BytesIO(array.tobytes()), compressed=False, shape=shape or array.shape, dtype=array.dtype, **more)


def test_voxels_are_passed_on_in_blocks_and_unchanged() -> None:
    array = np.random.default_rng(0).integers(0, 99, 2_000_003).astype(np.int16)
    blocks: list[bytes] = []
    voxels(array).copy(blocks.append)
    assert b"".join(blocks) == array.tobytes()
    assert max(map(len, blocks)) == 1 << 20


def test_one_voxel_that_is_missing_is_noticed() -> None:
    short = voxels(np.zeros(1 << 18, np.float32), shape=((1 << 18) + 1,))
    with pytest.raises(RejectedInput, match="bytes 1048576, expected 1048580") as caught:
        short.copy(lambda _: None)
    assert caught.value.code == "truncated"


def test_scaling_that_leads_out_of_the_numbers_is_refused() -> None:
    with pytest.raises(RejectedInput) as caught:
        voxels(np.array([1e300]), scale=(1e300, 0.0)).copy(lambda _: None)
    assert caught.value.code == "not-finite"


def test_minus_zero_is_zero() -> None:
    found = {voxels(np.array([zero])).copy(lambda _: None) for zero in (0.0, -0.0)}
    assert len(found) == 1


FMRI = (91, 109, 91, 1200)


def promised(file_bytes: int, shape: tuple[int, ...], *, max_bytes: int = 16 << 30) -> None:
    Voxels(BytesIO(), True, shape, np.dtype("<i2")).refuse_bomb(file_bytes, max_voxels=1 << 28, max_bytes=max_bytes)


def test_a_long_fmri_run_is_genuine_and_the_same_promise_of_a_small_file_is_a_bomb() -> None:
    promised(300 << 20, FMRI)
    promised(6 << 20, FMRI)  # nearly all of it is background
    with pytest.raises(RejectedInput) as caught:
        promised(5 << 20, FMRI)
    assert caught.value.code == "picture-bomb"


def test_a_volume_within_the_allowed_voxels_may_be_empty() -> None:
    promised(76_000, (512, 512, 300))


def test_more_bytes_than_allowed_are_a_bomb_also_in_a_large_file() -> None:
    with pytest.raises(RejectedInput) as caught:
        promised(300 << 20, FMRI, max_bytes=2 << 30)
    assert caught.value.code == "archive-bomb"


@pytest.mark.parametrize(
    ("error", "code"), [(EOFError(), "truncated"), (zlib.error(), "unreadable"), (KeyError(), "unreadable")]
)
def test_damage_has_a_name(error: Exception, code: str) -> None:
    with pytest.raises(RejectedInput) as caught, naming_damage(KeyError):
        raise error
    assert caught.value.code == code


def test_errors_that_are_no_damage_pass_through() -> None:
    with pytest.raises(MemoryError), naming_damage():
        raise MemoryError


def test_compressed_bytes_do_not_depend_on_how_they_come() -> None:
    data = np.random.default_rng(0).integers(0, 9, 300_001, dtype=np.uint8).tobytes()
    whole, pieces = BytesIO(), BytesIO()
    with gzipped(whole) as write:
        write(data)
    with gzipped(pieces) as write:
        for at in range(0, len(data), 1000):
            write(data[at : at + 1000])
    assert gzip.decompress(whole.getvalue()) == data
    assert whole.getvalue() == pieces.getvalue() == zlib.compress(data, 9, 31)
