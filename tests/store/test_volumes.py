import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from tapetum.model import Geometry, Image, Notice, Quantity
from tapetum.store.volumes import Volumes, read_zarr, write_zarr

PLACE = Geometry((3, 5, 6), (2.5, 0.7, 0.8), (-1.5, 2, 3), ((0, -0.6, 0.8), (0, 0.8, 0.6), (1, 0, 0)), "1.2.3")
UNIT = Quantity("CT number", "[hnsf'U]")
KEY = Volumes.key("image/1", ["b", "a"])


def volume(**changes: object) -> Image:
    array = np.arange(90, dtype=np.float32).reshape(3, 5, 6) - 40
    facts = {"modality": "CT", "series_instance_uid": "1.2", "instances": ("1", "2"), "steps": ("read",)}
    return Image(array, "zyx", UNIT, PLACE, **{**facts, **changes})


def dynamic(array: np.ndarray) -> Image:
    return Image(
        array,
        "tzyx",
        UNIT,
        PLACE,
        notices=(Notice("repeated-positions", "twice"),),
        times_s=(0.0, 2.5),
        b_values=(0.0, float("nan")),
        b_vectors=((0, 0, 0), (0, 0.6, 0.8)),
    )


def same(one: Image, other: Image) -> bool:
    names = [name for name in Image.__dataclass_fields__ if name not in ("array", "b_values")]
    return (
        np.array_equal(one.array, other.array)
        and one.array.dtype == other.array.dtype
        and np.array_equal(one.b_values, other.b_values, equal_nan=True)
        and all(getattr(one, name) == getattr(other, name) for name in names)
    )


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_what_comes_back_is_what_was_kept(tmp_path: Path, fraction: float) -> None:
    volumes = Volumes(tmp_path / "volumes")
    image = dynamic(np.random.default_rng(0).integers(-9, 9, (2, 3, 5, 6)).astype(np.float32) + np.float32(fraction))
    assert volumes.get(KEY) is None
    volumes.put(KEY, image)
    found = volumes.get(KEY)
    assert found is not None
    assert same(found, image)


def test_key_follows_from_blobs_and_method_not_from_their_order() -> None:
    assert Volumes.key("image/1", ["a", "b"]) == KEY
    assert Volumes.key("image/2", ["a", "b"]) != KEY
    assert Volumes.key("image/1", ["a", "c"]) != KEY


def test_other_tools_find_axes_units_and_scale_where_ngff_puts_them(tmp_path: Path) -> None:
    write_zarr(dynamic(np.zeros((2, 3, 5, 6), np.float32)), tmp_path / "v")
    document = json.loads((tmp_path / "v" / "zarr.json").read_text())
    ome = document["attributes"]["ome"]
    (whole,) = ome["multiscales"]
    assert (document["zarr_format"], ome["version"]) == (3, "0.5")
    assert [(axis["name"], axis["type"], axis["unit"]) for axis in whole["axes"]] == [
        ("t", "time", "second"),
        ("z", "space", "millimeter"),
        ("y", "space", "millimeter"),
        ("x", "space", "millimeter"),
    ]
    scale, translation = whole["datasets"][0]["coordinateTransformations"]
    assert (scale["scale"], translation["translation"]) == ([2.5, 2.5, 0.7, 0.8], [0, 0, 0, 0])


def test_affine_leads_from_voxel_to_patient(tmp_path: Path) -> None:
    write_zarr(volume(), tmp_path / "v")
    affine = np.array(zarr.open_group(tmp_path / "v").attrs["tapetum"]["affine_zyx_to_lps_mm"])
    assert np.allclose(affine @ [1, 2, 3, 1], [*PLACE.to_patient([1, 2, 3]), 1])


def test_whole_numbers_take_two_bytes_and_come_back_as_they_were(tmp_path: Path) -> None:
    write_zarr(volume(), tmp_path / "v")
    assert zarr.open_array(tmp_path / "v" / "0").dtype == np.int16
    assert read_zarr(tmp_path / "v").array.dtype == np.float32


def test_large_volume_has_coarser_levels_in_the_same_place(tmp_path: Path) -> None:
    array = np.add.outer(np.arange(1100), np.arange(1100))[None].astype(np.float32)
    write_zarr(Image(array, "zyx", UNIT, Geometry(array.shape, (3, 1, 1))), tmp_path / "v")
    group = zarr.open_group(tmp_path / "v")
    levels = group.attrs["ome"]["multiscales"][0]["datasets"]
    assert [group[level["path"]].shape for level in levels] == [(1, 1100, 1100), (1, 550, 550), (1, 275, 275)]
    scale, translation = levels[2]["coordinateTransformations"]
    assert (scale["scale"], translation["translation"]) == ([3, 4, 4], [0, 1.5, 1.5])
    assert group["2"][0, 0, 0] == array[0, :4, :4].mean()


def test_chunks_are_small_enough_to_read_a_part(tmp_path: Path) -> None:
    array = np.zeros((2, 40, 300, 300), np.float32)
    write_zarr(Image(array, "tzyx", UNIT, Geometry(array.shape[1:], (1, 1, 1))), tmp_path / "v")
    assert zarr.open_array(tmp_path / "v" / "0").chunks == (1, 32, 256, 256)


def test_damaged_volume_is_as_good_as_none_and_is_made_again(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    volumes.put(KEY, volume())
    (chunk,) = (path for path in (volumes.path(KEY) / "0" / "c").rglob("*") if path.is_file())
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:])
    assert volumes.get(KEY) is None
    volumes.put(KEY, volume())
    assert volumes.get(KEY) is not None


def test_second_writer_changes_nothing_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    volumes.put(KEY, volume())
    before = (volumes.path(KEY) / "zarr.json").stat().st_mtime_ns
    volumes.put(KEY, volume(steps=("other",)))
    assert (volumes.path(KEY) / "zarr.json").stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".new-*"))


def test_photograph_is_not_kept(tmp_path: Path) -> None:
    photograph = Image(np.zeros((4, 4, 3), np.uint8), "yxc", Quantity("colour", "1"))
    volumes = Volumes(tmp_path / "v")
    volumes.put(KEY, photograph)
    assert volumes.get(KEY) is None
    with pytest.raises(ValueError, match="yxc"):
        write_zarr(photograph, tmp_path / "w")
