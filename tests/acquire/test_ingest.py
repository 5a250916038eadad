from __future__ import annotations

import errno
import gzip
import io
import os
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from tapetum.acquire import ingest, read_mapping
from tapetum.errors import NotFound, TapetumError
from tapetum.testing import dicom_series, to_bytes

BY_PATH = "[files]\npattern = '(?P<patient>p\\d+)'\n"


def write_series(folder: Path, **values: Any) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for index, dataset in enumerate(dicom_series(**{"slices": 3, "rows": 8, "columns": 8, **values})):
        made.append(folder / f"{index}.dcm")
        made[-1].write_bytes(to_bytes(dataset))
    return made


def mapping_of(folder: Path, text: str) -> Any:
    place = folder / "mapping.toml"
    place.write_text(text, encoding="utf-8")
    return read_mapping(place)


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tar_of(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def nifti(array: np.ndarray) -> bytes:
    return bytes(nib.Nifti1Image(array, np.eye(4)).to_bytes())


def png_bomb() -> bytes:
    """A PNG that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def picture(colour: int = 90, kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (12, 10), (colour, 20, 30)).save(out, kind, **more)
    return out.getvalue()


def test_ten_kinds_of_damage_end_in_the_quarantine_and_the_good_files_beside_them_come_through(
    hospital: Any, inbox: Path, tmp_path: Path
) -> None:
    good = dicom_series(slices=2, rows=8, columns=8)
    whole = to_bytes(good[0])
    without = dicom_series(slices=1, series="w")[0]
    del without.PixelData
    wrong = whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")  # RLE is named, native is there
    mixed = dicom_series(slices=1, rows=8, columns=8, modality="MR")[0]
    mixed.SeriesInstanceUID = good[0].SeriesInstanceUID
    holes = np.ones((4, 4, 4), np.float32)
    holes[1, 1, 1] = np.nan
    archive = zip_of({"a.dcm": whole})
    files = {
        "0-good.dcm": (whole, None),
        "1-cut.dcm": (to_bytes(good[1])[:-40], "truncated"),
        "2-cut-in-header.dcm": (whole[: whole.index(b"General") + 3], "truncated"),
        "3-empty.dcm": (b"", "empty-file"),
        "4-letter.dcm": (b"Dear colleague, thank you for the referral.", "unknown-format"),
        "5-no-pixels.dcm": (to_bytes(without), "missing-pixel-data"),
        "6-wrong.dcm": (wrong, "wrong-transfer-syntax"),
        "7-mixed.dcm": (to_bytes(mixed), "mixed-series"),
        "8-p1-nan.nii": (nifti(holes), "not-finite"),
        "9-p1-bomb.png": (png_bomb(), "picture-bomb"),
        "a-broken.zip": (archive[: len(archive) // 2], "broken-archive"),
        "b-p1-huge.nii.gz": (gzip.compress(bytes(_huge_nifti())), "picture-bomb"),
        "c-good.dcm": (to_bytes(good[1]), None),
        "d-p2-good.nii": (nifti(np.ones((4, 4, 4), np.float32)), None),
        "e-p2-good.png": (picture(), None),
    }
    for name, (data, _) in files.items():
        (inbox / name).write_bytes(data)
    (inbox / "f-evil.zip").write_bytes(zip_of({"../../outside.dcm": whole, "in/good.dcm": to_bytes(good[1])}))
    tally = hospital.take(inbox, mapping=mapping_of(tmp_path, BY_PATH))
    wanted = {name: code for name, (_, code) in files.items() if code}
    assert hospital.quarantine() == {**wanted, "f-evil.zip!/../../outside.dcm": "path-traversal"}
    assert tally.outcomes == {"stored": 4, "duplicate": 1, "rejected": len(wanted) + 1}
    assert not (tmp_path / "outside.dcm").exists()
    assert sum(item.instances for item in hospital.catalogue.series()) == 4


def _huge_nifti() -> bytearray:
    head = bytearray(nifti(np.ones((2, 2, 2), np.float32)))
    head[40:56] = np.array([3, 30_000, 30_000, 30_000, 1, 1, 1, 1], "<i2").tobytes()
    return head


def test_archives_in_archives_are_opened_and_a_file_that_is_in_both_is_a_duplicate(hospital: Any, inbox: Path) -> None:
    a, b = (to_bytes(item) for item in dicom_series(slices=2, rows=8, columns=8))
    inner = zip_of({"b.dcm": b, "again.dcm": b})
    (inbox / "outer.zip").write_bytes(zip_of({"x/middle.tar.gz": tar_of({"y/inner.zip": inner}), "a.dcm": a}))
    (inbox / "plain.tar").write_bytes(tar_of({"a.dcm": a}, "w"))
    (inbox / "one.dcm.gz").write_bytes(gzip.compress(a))
    tally = hospital.take(inbox)
    assert tally.outcomes == {"stored": 2, "duplicate": 3}
    assert hospital.quarantine() == {}


def test_a_bomb_of_archives_is_refused_once_and_stopped(hospital: Any, inbox: Path) -> None:
    (inbox / "bomb.zip").write_bytes(zip_of({f"{index}.bin": bytes(1 << 20) for index in range(20)}))
    tally = hospital.take(inbox, max_bytes=5 << 20)
    assert tally.codes["archive-bomb"] == 1
    (inbox / "deep.zip").write_bytes(_nested(8))
    assert "archive-bomb" in hospital.take(inbox / "deep.zip").codes


def _nested(depth: int) -> bytes:
    data = b"core"
    for _ in range(depth):
        data = zip_of({"in.zip": data})
    return data


def test_a_member_that_is_larger_than_allowed_is_refused_alone(hospital: Any, inbox: Path) -> None:
    good = to_bytes(dicom_series(slices=1, rows=8, columns=8)[0])
    (inbox / "a.zip").write_bytes(zip_of({"big.bin": bytes(3 << 20), "good.dcm": good}))
    tally = hospital.take(inbox, max_bytes=2 << 20)
    assert hospital.quarantine() == {"a.zip!/big.bin": "archive-bomb"}
    assert tally.outcomes["stored"] == 1


def test_links_out_of_an_archive_are_refused_and_links_inside_it_are_passed_over(hospital: Any, inbox: Path) -> None:
    with tarfile.open(inbox / "links.tar", "w") as archive:
        for name, target in (("out", "/etc/passwd"), ("up", "../../x"), ("a/b/inside", "../../c.dcm")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    hospital.take(inbox)
    assert hospital.quarantine() == {"links.tar!/out": "path-traversal", "links.tar!/up": "path-traversal"}


def test_a_locked_archive_and_a_dangling_link_and_a_folder_that_cannot_be_opened_are_listed(
    hospital: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = bytearray(zip_of({"a.dcm": b"x" * 100}))
    locked[6] |= 1  # general purpose bit 0: encrypted (APPNOTE.TXT 4.4.4), in both headers
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (inbox / "locked.zip").write_bytes(locked)
    (inbox / "link.dcm").symlink_to(inbox / "nowhere")
    (inbox / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "no", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    hospital.take(inbox)
    found = hospital.quarantine()
    assert found.pop("locked.zip!/a.dcm") == "broken-archive"
    assert found.pop("closed") == "unreadable"
    assert list(found.values()) == ["unreadable"]


def test_two_members_of_one_name_have_two_places(hospital: Any, inbox: Path) -> None:
    good = to_bytes(dicom_series(slices=1, rows=8, columns=8)[0])
    (inbox / "twice.tar").write_bytes(
        tar_of({"a.dcm": b"letter"}, "w")[: -1024 * 10 + 1024] + tar_of({"a.dcm": good}, "w")
    )
    tally = hospital.take(inbox)
    assert tally.outcomes == {"stored": 1, "rejected": 1}
    assert len(hospital.quarantine()) == 1


def test_another_object_under_a_known_uid_is_refused(hospital: Any, inbox: Path) -> None:
    first = dicom_series(slices=1, rows=8, columns=8)[0]
    (inbox / "a.dcm").write_bytes(to_bytes(first))
    first.PixelData = bytes(reversed(first.PixelData))
    (inbox / "b.dcm").write_bytes(to_bytes(first))
    hospital.take(inbox)
    assert hospital.quarantine() == {"b.dcm": "conflicting-instance"}


def test_a_picture_or_volume_belongs_to_nobody_until_a_mapping_says_whose_it_is(
    hospital: Any, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "p7.png").write_bytes(picture())
    (inbox / "p7.nii").write_bytes(nifti(np.ones((3, 3, 3), np.int16)))
    hospital.take(inbox)
    assert set(hospital.quarantine().values()) == {"unknown-patient"}
    assert hospital.take(inbox, mapping=mapping_of(tmp_path, BY_PATH)).outcomes["stored"] == 2
    assert hospital.quarantine() == {}


def test_sheared_voxels_do_not_stop_the_batch(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    sheared = nib.Nifti1Image(np.ones((3, 3, 3), np.int16), [[1, 0.8, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    (inbox / "p1.nii").write_bytes(sheared.to_bytes())
    write_series(inbox / "z")
    assert hospital.take(inbox, mapping=mapping_of(tmp_path, BY_PATH)).outcomes == {"stored": 3, "rejected": 1}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_names_and_places_in_the_metadata_of_a_picture_are_not_stored(
    hospital: Any, inbox: Path, tmp_path: Path, kind: str
) -> None:
    exif = Image.Exif()
    exif[0x013B], exif[0x010E] = "Quillfeather", "eye of Zebedee"  # Artist, ImageDescription
    exif.get_ifd(0x8825)[29] = "1999:12:31"  # GPSDateStamp
    more = {} if kind == "BMP" else {"exif": exif}
    (inbox / "p1-Zebedee").write_bytes(picture(kind=kind, **more) + b"Quillfeather behind the end")
    assert hospital.take(inbox, mapping=mapping_of(tmp_path, BY_PATH)).outcomes["stored"] == 1
    for word in (b"Quillfeather", b"Zebedee", b"1999:12:31"):
        assert word not in hospital.written()


def test_running_twice_changes_nothing(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    write_series(inbox / "a")
    (inbox / "letter.dcm").write_bytes(b"Dear colleague")
    (inbox / "p1.png").write_bytes(picture())
    (inbox / "facts.csv").write_text("id,age,file\np1,61,p1.png\np2,x,\np3,70,\n")
    text = 'columns = { patient = "id", file = "file" }\n[[observation]]\ncolumn = "age"\n'
    mapping = mapping_of(tmp_path, text)
    hospital.take(inbox, mapping=mapping)
    before, rows, parts = hospital.state(), _rows(hospital), sorted((hospital.folder / "t").iterdir())
    again = hospital.take(inbox, mapping=mapping)
    assert again.outcomes["stored"] == 0
    assert (hospital.state(), _rows(hospital), sorted((hospital.folder / "t").iterdir())) == (before, rows, parts)


def _rows(hospital: Any) -> dict[str, list[Any]]:
    """Every row of every table as it lies in the database, seals included."""
    with sqlite3.connect(hospital.folder / "catalogue.db") as connection:
        found = {name: list(connection.execute(f"SELECT * FROM {name}")) for name in ("series", "instance", "rejected")}
    connection.close()
    return found


def test_a_file_or_row_that_was_repaired_leaves_the_quarantine(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    place = write_series(inbox, slices=1)[0]
    whole = place.read_bytes()
    place.write_bytes(whole[:-9])
    (inbox / "facts.csv").write_text("id,age\np1,61\np2,old\np3,older\n")
    hospital.take(inbox)
    assert hospital.quarantine() == {"0.dcm": "truncated", "facts.csv": "no-mapping"}
    mapping = mapping_of(tmp_path, 'columns = { patient = "id" }\n[[observation]]\ncolumn = "age"\n')
    hospital.take(inbox, mapping=mapping)
    assert set(hospital.quarantine()) == {"0.dcm", "facts.csv#3", "facts.csv#4"}
    place.write_bytes(whole)
    (inbox / "facts.csv").write_text("id,age\np1,61\np2,72\n")
    hospital.take(inbox, mapping=mapping)
    assert hospital.quarantine() == {}
    assert sorted(hospital.table.read()["value"]) == [61, 72]


def test_an_image_level_fact_gets_its_series_also_when_the_image_was_there_before(
    hospital: Any, inbox: Path, tmp_path: Path
) -> None:
    write_series(inbox, slices=1)
    hospital.take(inbox)
    (inbox / "grades.csv").write_text("id,file,grade\nPAT-1,0.dcm,3\n")
    text = 'columns = { patient = "id", file = "file" }\n[[observation]]\ncolumn = "grade"\nlevel = "image"\n'
    hospital.take(inbox, mapping=mapping_of(tmp_path, text))
    series = hospital.catalogue.series()[0]
    found = hospital.table.read().row(0, named=True)
    assert (found["patient_key"], found["series_instance_uid"]) == (series.patient_key, series.series_instance_uid)


@pytest.mark.parametrize("name", ["1.png", "x/1.png"])
def test_a_name_that_fits_two_pictures_is_given_to_neither_and_nothing_is_stored(
    hospital: Any, inbox: Path, tmp_path: Path, name: str
) -> None:
    for folder, colour in (("a/x", 1), ("b/x", 200)):
        (inbox / folder).mkdir(parents=True)
        (inbox / folder / "1.png").write_bytes(picture(colour))
    (inbox / "facts.csv").write_text(f"id,file\np1,{name}\n")
    mapping = mapping_of(tmp_path, 'columns = { patient = "id", file = "file" }\n')
    hospital.take(inbox, mapping=mapping)
    assert hospital.quarantine() == {"a/x/1.png": "unknown-patient", "b/x/1.png": "unknown-patient"}
    assert all("ambiguous" in row.message and "write the path" in row.message for row in hospital.catalogue.rejected())
    assert not hospital.state()["blobs"]
    (inbox / "facts.csv").write_text("id,file\np1,a/x/1.png\np2,b/x/1.png\n")
    assert hospital.take(inbox, mapping=mapping).outcomes["stored"] == 2


def test_a_name_that_fits_two_files_is_noticed_in_archives_which_are_unpacked_twice_and_no_more(
    hospital: Any, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.zip").write_bytes(zip_of({"1.png": picture(1), "räume/2.png": picture(2)}))
    (inbox / "b.zip").write_bytes(
        zip_of({"1.png": picture(3), "facts.csv": "id,file\np1,1.png\np2,2.png\np3,ü.png\n".encode()})
    )
    (inbox / "c.zip").write_bytes(zip_of({"2.png": picture(4), "ü.png": picture(5)}))
    opened = []
    whole = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda file: opened.append(file) or whole(file))
    mapping = mapping_of(tmp_path, 'columns = { patient = "id", file = "file" }\n')
    assert hospital.take(inbox, mapping=mapping).outcomes == {"stored": 1, "rejected": 4}
    assert all("ambiguous" in row.message for row in hospital.catalogue.rejected())
    assert len(opened) == 2 * 3


def test_a_given_path_that_is_named_twice_is_one_place(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    (inbox / "1.png").write_bytes(picture())
    (inbox / "facts.csv").write_text("id,file\np1,1.png\n")
    mapping = mapping_of(tmp_path, 'columns = { patient = "id", file = "file" }\n')
    assert hospital.take(inbox, inbox, mapping=mapping).outcomes == {"stored": 1, "duplicate": 1}


def test_a_full_disk_stops_the_run_and_blames_no_file(
    hospital: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(inbox)

    def full(_data: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hospital.blobs, "put", full)
    with pytest.raises(TapetumError, match="make room"):
        hospital.take(inbox)
    assert hospital.quarantine() == {}


@pytest.mark.parametrize("name", ["Quillfeather^Zebedee", "Lee^Zebedee", "MÜLLER^Zebedee"])
def test_a_comment_in_any_compressed_frame_that_names_the_patient_is_noticed(
    hospital: Any, inbox: Path, name: str
) -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    dataset = dicom_series(slices=1, rows=10, columns=12, patient_name=name)[0]
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    comment = f"of {name.split('^', maxsplit=1)[0]}".encode()
    dataset.PixelData = encapsulate([picture(kind="JPEG"), picture(kind="JPEG", comment=comment)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    (inbox / "a.dcm").write_bytes(to_bytes(dataset))
    hospital.take(inbox)
    assert hospital.quarantine() == {"a.dcm": "identifier-survived"}


def test_a_path_that_is_not_there_is_an_error(hospital: Any, inbox: Path) -> None:
    with pytest.raises(NotFound):
        hospital.take(inbox / "nowhere")


def test_rows_whose_pictures_are_not_there_are_counted(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    (inbox / "a.png").write_bytes(picture(1))
    (inbox / "grades.csv").write_text("id,file,grade\np1,a.png,1\np2,b.png,2\np3,c.png,3\n")
    text = 'columns = { patient = "id", file = "file" }\n[[observation]]\ncolumn = "grade"\nlevel = "image"\n'
    tally = hospital.take(inbox, mapping=mapping_of(tmp_path, text))
    assert tally.to_json()["unmatched_rows"] == 2
    assert tally.observations == 1


class BadSector(io.BytesIO):
    """A file of which a sector cannot be read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() + (size if size and size > 0 else 1 << 30) > 500:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_a_file_with_a_bad_sector_is_quarantined_and_the_others_are_taken(
    hospital: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, item in enumerate(dicom_series(slices=3, rows=8, columns=8)):
        (inbox / f"{number}.dcm").write_bytes(to_bytes(item))
    real, data = Path.open, (inbox / "1.dcm").read_bytes()

    def opened(path: Path, *words: Any, **named: Any) -> Any:
        return BadSector(data) if path.name == "1.dcm" and not named else real(path, *words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        tally = hospital.take(inbox)
    assert tally.outcomes == {"stored": 2, "rejected": 1}
    assert hospital.quarantine() == {"1.dcm": "unreadable"}


@pytest.mark.parametrize("number", [errno.EIO, errno.EFBIG, errno.ENOSPC])
def test_a_disk_that_fails_while_a_blob_is_written_ends_the_run_and_quarantines_nothing(
    hospital: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for index, item in enumerate(dicom_series(slices=3, rows=8, columns=8)):
        (inbox / f"{index}.dcm").write_bytes(to_bytes(item))

    def broken(*_: object) -> str:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(hospital.blobs, "put", broken)
        with pytest.raises(TapetumError, match="errno"):
            hospital.take(inbox)
    assert hospital.quarantine() == {}
    assert hospital.take(inbox).outcomes == {"stored": 3}


def test_a_batch_whose_bytes_the_disk_did_not_keep_is_not_recorded_when_the_run_ends(
    hospital: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, item in enumerate(dicom_series(slices=3, rows=8, columns=8)):
        (inbox / f"{index}.dcm").write_bytes(to_bytes(item))

    def broken(_handle: int) -> None:
        raise OSError(errno.EIO, "the disk is dying")

    monkeypatch.setattr(ingest, "BATCH", 2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(TapetumError, match="errno"):
            hospital.take(inbox)
    assert hospital.catalogue.series() == []
    assert hospital.take(inbox).outcomes == {"stored": 3}
