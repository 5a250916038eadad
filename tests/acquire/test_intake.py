"""What is kept of one picture or volume: is it the same image as another, and may it be as large as it says."""

from __future__ import annotations

import errno
import gzip
import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tapetum.acquire import TableMapping, read_mapping
from tapetum.errors import TapetumError


@pytest.fixture
def by_name(tmp_path: Path) -> TableMapping:
    """The name of a file begins with its patient."""
    place = tmp_path / "mapping.toml"
    place.write_text("[files]\npattern = '(?P<patient>p\\d+)'\n")
    return read_mapping(place)


def picture(colour: int = 90, kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (12, 10), (colour, 20, 30)).save(out, kind, **more)
    return out.getvalue()


def nifti(array: np.ndarray) -> bytes:
    return bytes(nib.Nifti1Image(array, np.eye(4)).to_bytes())


def digests(hospital: Any) -> dict[str, set[str]]:
    """Pixel digest to the patients under whom such an image is stored."""
    whose: dict[str, set[str]] = {}
    digest_of = hospital.catalogue.pixel_digests()
    for series in hospital.catalogue.series():
        whose.setdefault(digest_of[series.series_instance_uid], set()).add(series.patient_key)
    return whose


def test_one_picture_of_two_patients_is_noticed_in_any_encoding_and_its_neighbour_is_not(
    hospital: Any, inbox: Path, by_name: TableMapping
) -> None:
    (inbox / "p1.png").write_bytes(picture())
    (inbox / "p2.png").write_bytes(picture(compress_level=0))
    (inbox / "p3.tif").write_bytes(picture(kind="TIFF"))
    (inbox / "p4.bmp").write_bytes(picture(kind="BMP"))
    (inbox / "p5.png").write_bytes(picture(91))
    assert hospital.take(inbox, mapping=by_name).outcomes == {"stored": 5}
    assert sorted(map(len, digests(hospital).values())) == [1, 4]


def test_one_volume_of_two_patients_is_noticed_in_any_encoding_and_its_neighbour_is_not(
    hospital: Any, inbox: Path, by_name: TableMapping
) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nrrd = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 3 4 5\nendian: little\nencoding: raw\n\n"
    (inbox / "p1.nii").write_bytes(nifti(array))
    (inbox / "p2.nii.gz").write_bytes(gzip.compress(nifti(array)))
    (inbox / "p3.nii").write_bytes(nifti(array.astype(np.float32)))
    (inbox / "p4.nrrd").write_bytes(nrrd + array.tobytes(order="F"))
    (inbox / "p5.nii").write_bytes(nifti(array + 1))
    assert hospital.take(inbox, mapping=by_name).outcomes == {"stored": 5}
    assert sorted(map(len, digests(hospital).values())) == [1, 4]


def test_a_volume_may_have_more_voxels_than_a_picture_has_pixels_when_its_bytes_are_there(
    hospital: Any, inbox: Path, by_name: TableMapping
) -> None:
    (inbox / "p1.nii").write_bytes(nifti(np.ones((20, 20, 20), np.int16)))
    (inbox / "p1.nii.gz").write_bytes(gzip.compress(nifti(np.zeros((99, 99, 99), np.int16))))
    (inbox / "p1.png").write_bytes(picture())
    hospital.take(inbox, mapping=by_name, max_pixels=100)
    assert hospital.quarantine() == {"p1.nii.gz": "picture-bomb", "p1.png": "picture-bomb"}


def test_a_volume_whose_scaling_is_no_number_does_not_stop_the_batch(
    hospital: Any, inbox: Path, by_name: TableMapping
) -> None:
    data = bytearray(nifti(np.ones((3, 3, 3), np.int16)))
    data[112:120] = np.array([1.0, np.nan], "<f4").tobytes()  # scl_slope, scl_inter
    (inbox / "p1.nii").write_bytes(data)
    (inbox / "p2.png").write_bytes(picture())
    assert hospital.take(inbox, mapping=by_name).outcomes == {"stored": 1, "rejected": 1}
    assert hospital.quarantine() == {"p1.nii": "unreadable"}


def test_a_disk_that_fills_up_under_a_large_volume_blames_no_file(
    hospital: Any, inbox: Path, by_name: TableMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    (inbox / "p1.nii.gz").write_bytes(gzip.compress(nifti(np.ones((3, 3, 3), np.int16))))
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda _size: Full())
    with pytest.raises(TapetumError, match="make room"):
        hospital.take(inbox, mapping=by_name)
    assert hospital.quarantine() == {}
