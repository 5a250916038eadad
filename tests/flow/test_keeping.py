from __future__ import annotations

import os
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from tapetum.errors import InvalidStudy
from tapetum.flow import Workspace, keeping
from tapetum.flow.keeping import repair, verify
from tapetum.model import Arrival, Query, Rejected
from tapetum.testing import dicom_series, segmentation, to_bytes


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """DICOM of two people, a mask, a conflict, a NIfTI with its mask, pictures, and a file that is none."""
    folder = tmp_path / "disk"
    (folder / "volumes" / "P7").mkdir(parents=True)
    images = dicom_series(slices=3, rows=16, columns=16)
    everything = [*images, *dicom_series(slices=2, rows=16, columns=16, patient_id="PAT-2", study="2")]
    everything.append(segmentation(images, {"lung": np.ones((3, 16, 16), bool)}))
    other = dicom_series(slices=1, rows=16, columns=16)[0]
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = images[0].SOPInstanceUID
    other.PixelData = bytes(len(other.PixelData))
    for number, item in enumerate([*everything, other]):
        (folder / f"{number:02d}").write_bytes(to_bytes(item))
    for value, name in enumerate(("image", "mask")):
        volume = nibabel.Nifti1Image(np.full((4, 4, 4), value, np.int16), np.eye(4))
        nibabel.save(volume, folder / "volumes" / "P7" / f"{name}.nii.gz")
    Picture.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(folder / "volumes" / "P7" / "skin.png")
    (folder / "zz-empty").touch()
    return folder


MAPPING = "[files]\npattern = '(?P<patient>P[0-9]+)/(?P<role>[a-z]+)'\n"


@pytest.fixture
def filled(workspace: Workspace, disk: Path, mapping: Path) -> Workspace:
    tally = workspace.acquire([disk], mapping=mapping)
    assert (tally.outcomes["stored"], tally.outcomes["rejected"]) == (9, 2)
    return workspace


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    (tmp_path / "map.toml").write_text(MAPPING)
    return tmp_path / "map.toml"


def state(workspace: Workspace) -> dict[str, Any]:
    """All that a catalogue says."""
    return {
        "series": workspace.catalogue.series(),
        "instances": sorted(workspace.catalogue.select(Query("patient")), key=lambda one: one.sop_instance_uid),
        "table": workspace.series().rows(),
        "quarantine": workspace.quarantine(),
        "kept": [row.blob for row in workspace.catalogue.rejected()],
    }


def place_of(workspace: Workspace, key: str) -> Path:
    return workspace.folder / "blobs" / key[:2] / key[2:]


def lose_catalogue(workspace: Workspace) -> None:
    workspace.catalogue.close()
    for place in workspace.folder.glob("catalogue.db*"):
        place.unlink()


def test_a_healthy_workspace_is_whole_and_leaves_no_state(filled: Workspace) -> None:
    told: list[int] = []
    checked = verify(filled, on_progress=lambda at: told.append(at.bytes))
    assert checked.wrong == []
    assert checked.blobs == 10  # the one in conflict is kept, too
    assert told[-1] == checked.bytes == checked.total_bytes > 0
    assert not (filled.folder / "verify.db").exists()


def test_a_changed_a_missing_and_an_orphaned_blob_are_each_said(filled: Workspace) -> None:
    first, second, *_ = filled.catalogue.select(Query("patient"))
    changed = place_of(filled, first.blob)
    changed.chmod(0o600)
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1  # one bit
    changed.write_bytes(data)
    place_of(filled, second.blob).unlink()
    orphan = filled.blobs.put(b"nobody knows me")
    found = {row["problem"]: row for row in verify(filled).wrong}
    assert found["changed"]["sop_instance_uid"] == first.sop_instance_uid
    assert found["missing"]["series_instance_uid"] == second.series_instance_uid
    assert found["orphaned"]["blob"] == orphan
    assert len(found) == 3


def test_a_blob_that_the_disk_cannot_read_is_said_and_the_others_are_read(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = next(iter(filled.catalogue.select(Query("patient")))).blob
    real = filled.blobs.open

    def broken(key: str) -> Any:
        if key == bad:
            raise OSError(5, "bad sector")
        return real(key)

    monkeypatch.setattr(filled.blobs, "open", broken)
    assert [(row["problem"], row["blob"]) for row in verify(filled).wrong] == [("unreadable", bad)]


def test_a_linked_file_that_changed_is_not_called_whole(filled: Workspace, tmp_path: Path) -> None:
    film = tmp_path / "film"
    first = next(iter(filled.catalogue.select(Query("patient"))))
    film.write_bytes(place_of(filled, first.blob).read_bytes())
    place_of(filled, first.blob).unlink()
    filled.blobs.link(film)
    assert verify(filled).wrong == []
    film.write_bytes(b"overwritten")
    assert [row["problem"] for row in verify(filled).wrong] == ["missing"]


def test_a_stopped_run_goes_on_where_it_was(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PAGE", 3)
    read: list[str] = []
    lock, real = threading.Lock(), filled.blobs.open

    def counted(key: str) -> Any:
        with lock:
            read.append(key)
        return real(key)

    def stop(_at: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(filled.blobs, "open", counted)
    with pytest.raises(KeyboardInterrupt):
        verify(filled, on_progress=stop)
    assert len(read) == 3
    checked = verify(filled)
    assert len(read) == len(set(read)) == checked.blobs == 10
    with pytest.raises(KeyboardInterrupt):
        verify(filled, on_progress=stop)
    verify(filled, restart=True)
    assert len(read) == 10 + 3 + 10


def test_what_was_found_wrong_is_looked_at_again_by_the_run_that_goes_on(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = min(filled.blobs.keys())
    place = place_of(filled, first)
    away = place.rename(filled.folder / "away")

    def stop(_at: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(filled, on_progress=stop)
    away.rename(place)
    assert verify(filled).wrong == []


def test_a_run_that_was_stopped_weeks_ago_begins_anew(filled: Workspace) -> None:
    def stop(_at: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(filled, on_progress=stop)
    os.utime(filled.folder / "verify.db", (1, 1))
    assert verify(filled).bytes > 0


def test_objects_that_arrive_during_the_check_are_no_orphans(filled: Workspace) -> None:
    blob = filled.blobs.put(b"under way")  # put, and recorded only while the others are read

    def arrives(_at: object) -> None:
        kept = Rejected("late", "conflicting-instance", "", b"", 9, blob=blob)
        filled.catalogue.record([Arrival("rejected", rejected=kept, arrived="late")])

    assert verify(filled, on_progress=arrives).wrong == []


def test_a_lost_catalogue_is_as_it_was_after_repair(filled: Workspace, disk: Path, mapping: Path) -> None:
    before = state(filled)
    lose_catalogue(filled)
    done = repair(filled.folder)
    assert (done.restored, done.described, done.unplaced, done.set_aside) == (9, 0, [], "")
    again = Workspace(filled.folder)
    assert state(again) == before
    tally = again.acquire([disk], mapping=mapping)
    assert (tally.outcomes["stored"], tally.outcomes["duplicate"], tally.outcomes["rejected"]) == (0, 9, 2)
    assert state(again)["instances"] == before["instances"]
    assert verify(again).wrong == []


def test_repair_of_a_healthy_workspace_changes_nothing(filled: Workspace) -> None:
    before, notes = state(filled), list(filled.blobs.notes())
    done = repair(filled.folder)
    assert (done.restored, done.described, done.unplaced) == (0, 0, [])
    assert state(Workspace(filled.folder)) == before
    assert list(filled.blobs.notes()) == notes


@pytest.mark.parametrize("damage", [b"no database", None])
def test_a_damaged_catalogue_is_set_aside_and_made_again(filled: Workspace, damage: bytes | None) -> None:
    before = state(filled)
    filled.catalogue.close()
    place = filled.folder / "catalogue.db"
    data = bytearray(place.read_bytes())
    data[4096 : 4096 * 6] = os.urandom(4096 * 5)  # pages in its middle
    place.write_bytes(damage or bytes(data))
    done = repair(filled.folder)
    assert (filled.folder / done.set_aside).exists()
    assert done.restored == 9
    assert state(Workspace(filled.folder)) == before


def test_dicom_objects_without_a_journal_are_described_by_their_own_bytes(filled: Workspace, disk: Path) -> None:
    before = state(filled)
    lose_catalogue(filled)
    shutil.rmtree(filled.folder / "blobs" / "journal")
    done = repair(filled.folder)
    again = Workspace(filled.folder)
    after = state(again)
    dicom = {one.sop_instance_uid for one in before["instances"] if one.format == "dicom"}
    assert {one.sop_instance_uid for one in after["instances"]} == dicom
    assert len(done.unplaced) == 3  # a picture does not say whose it is
    told = {
        one.series_instance_uid: (one.patient_key, one.modality, one.role, one.instances) for one in after["series"]
    }
    for one in before["series"]:
        if one.format == "dicom":
            assert told[one.series_instance_uid] == (one.patient_key, one.modality, one.role, one.instances)
    tally = again.acquire([disk])
    assert tally.outcomes["stored"] == 0
    assert repair(filled.folder).described == 0  # noted now


def test_what_was_described_once_is_played_back_the_next_time(filled: Workspace) -> None:
    lose_catalogue(filled)
    shutil.rmtree(filled.folder / "blobs" / "journal")
    repair(filled.folder)
    described = state(Workspace(filled.folder))
    lose_catalogue(Workspace(filled.folder))
    done = repair(filled.folder)
    assert done.described == 0
    assert state(Workspace(filled.folder)) == described


def test_a_linked_archive_is_not_copied_and_its_catalogue_is_made_again(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "archive", protect_deidentify=False)
    disk = tmp_path / "pacs"
    disk.mkdir()
    for number, item in enumerate(dicom_series(slices=3)):
        (disk / f"{number}.dcm").write_bytes(to_bytes(item))
    assert workspace.acquire([disk], link=True).outcomes["stored"] == 3
    assert list((workspace.folder / "blobs").glob("??/*")) == []
    (series,) = workspace.catalogue.series()
    assert workspace.image(series.series_instance_uid).array.shape == (3, 32, 32)
    assert verify(workspace).wrong == []
    lose_catalogue(workspace)
    assert repair(workspace.folder, protect_deidentify=False).restored == 3
    (disk / "1.dcm").unlink()
    assert [row["problem"] for row in verify(Workspace(workspace.folder)).wrong] == ["missing"]


def test_what_is_in_an_archive_file_is_copied_although_the_rest_is_linked(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "archive", protect_deidentify=False)
    first, second = dicom_series(slices=2)
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as packed:
        packed.writestr("a.dcm", to_bytes(first))
    (tmp_path / "two.dcm").write_bytes(to_bytes(second))
    workspace.acquire([tmp_path / "one.zip", tmp_path / "two.dcm"], link=True)
    assert len(list((workspace.folder / "blobs").glob("??/*"))) == 1
    assert len(list((workspace.folder / "links").glob("??/*"))) == 1


def test_a_workspace_that_replaces_identities_links_nothing(workspace: Workspace, disk: Path) -> None:
    with pytest.raises(InvalidStudy) as caught:
        workspace.acquire([disk], link=True)
    assert "protect.deidentify" in caught.value.hint
