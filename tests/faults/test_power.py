"""What a power failure leaves (blobs cut short, a torn journal), and a disk that loses what it was given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapetum.flow.keeping import repair
from tapetum.store import LocalBlobs

from .conftest import Hospital, Sender, objects, uid, written

COUNT = 6


def blob_of(hospital: Hospital, key: str) -> Path:
    return hospital.folder / "blobs" / key[:2] / key[2:]


def cut(place: Path) -> None:
    """Leave half of a file, as a power failure does of what was never flushed."""
    place.chmod(0o640)
    os.truncate(place, place.stat().st_size // 2)


@pytest.fixture
def dying(hospital: Hospital, tmp_path: Path) -> Path:
    """While this file is there, the disk loses what it is given."""
    hospital.runner = (str(Path(__file__).with_name("dying_disk.py")), str(tmp_path / "dying"))
    return tmp_path / "dying"


def test_a_blob_that_was_never_flushed_is_an_orphan_that_repair_does_not_name_and_its_sender_mends(
    hospital: Hospital, tmp_path: Path
) -> None:
    made = objects(COUNT)
    assert hospital.run("acquire", written(tmp_path / "some", dict(list(made.items())[:-1])))[0] == 0
    last = made[uid(COUNT - 1)]
    key = LocalBlobs(hospital.folder / "blobs").put(last)  # and then the power fails
    cut(blob_of(hospital, key))
    assert hospital.problems() == {"orphaned"}
    assert repair(hospital.folder, protect_deidentify=False).unplaced == [key]
    assert len(hospital.stored()) == COUNT - 1
    assert hospital.run("acquire", written(tmp_path / "all", made))[0] == 0
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()
    assert blob_of(hospital, key).read_bytes() == last


def test_a_stored_blob_that_was_cut_is_reported_and_whole_again_when_it_comes_again(
    hospital: Hospital, tmp_path: Path
) -> None:
    made = objects(COUNT)
    folder = written(tmp_path / "all", made)
    assert hospital.run("acquire", folder)[0] == 0
    opened = hospital.workspace()
    series = opened.catalogue.series()[0].series_instance_uid
    blob = opened.catalogue.instances(series)[2].blob
    opened.catalogue.close()
    cut(blob_of(hospital, blob))
    assert hospital.problems() == {"changed"}
    assert hospital.run("acquire", folder)[0] == 0
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()


def test_a_lost_catalogue_is_made_again_though_the_last_line_of_the_journal_is_torn(
    hospital: Hospital, tmp_path: Path
) -> None:
    made = objects(COUNT)
    assert hospital.run("acquire", written(tmp_path / "all", made))[0] == 0
    (journal,) = (hospital.folder / "blobs" / "journal").glob("*.jsonl")
    os.truncate(journal, journal.stat().st_size - 40)
    for name in ("catalogue.db", "catalogue.db-wal", "catalogue.db-shm"):
        (hospital.folder / name).unlink(missing_ok=True)
    done = repair(hospital.folder, protect_deidentify=False)
    assert (done.restored, done.described, done.unplaced) == (COUNT - 1, 1, [])
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()


def test_what_the_disk_did_not_keep_is_not_acknowledged_and_is_written_anew_when_it_comes_again(
    hospital: Hospital, dying: Path, tmp_path: Path
) -> None:
    made = objects(COUNT)
    folder = written(tmp_path / "all", made)
    _, port = hospital.server("listen")
    dying.touch()
    sender = Sender(port, folder)
    assert sender.wait() == set()
    assert len(sender.answers) == COUNT
    assert all("OutOfResources" in status for status in sender.answers.values())
    assert hospital.stored() == []
    before = {place: place.stat().st_ino for place in (hospital.folder / "blobs").glob("??/*")}
    assert len(before) == COUNT
    dying.unlink()
    assert Sender(port, folder).wait() == set(made)
    assert hospital.stored() == sorted(made)
    assert hospital.workspace().quarantine() == []
    assert hospital.problems() == set()
    assert all(place.stat().st_ino != number for place, number in before.items())


def test_a_folder_that_the_disk_did_not_keep_is_not_recorded_and_taken_in_by_the_next_run(
    hospital: Hospital, dying: Path, tmp_path: Path
) -> None:
    made = objects(COUNT)
    folder = written(tmp_path / "all", made)
    dying.touch()
    status, said = hospital.run("acquire", folder)
    assert (status, said[:6]) == (1, "error["), said
    assert hospital.stored() == []
    dying.unlink()
    assert hospital.run("acquire", folder)[0] == 0
    assert hospital.stored() == sorted(made)
    assert hospital.workspace().quarantine() == []
    assert hospital.problems() == set()
