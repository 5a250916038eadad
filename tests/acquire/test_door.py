import errno
import io
import threading
import time
from pathlib import Path

import pytest

from tapetum.acquire.door import Door
from tapetum.acquire.intake import Intake, Policy
from tapetum.acquire.walk import Source
from tapetum.errors import TapetumError
from tapetum.model import Arrival
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, SqlCatalogue
from tapetum.testing import dicom_series, to_bytes


@pytest.fixture
def catalogue(tmp_path: Path) -> SqlCatalogue:
    return SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")


@pytest.fixture
def intake(tmp_path: Path, catalogue: SqlCatalogue) -> Intake:
    return Intake(LocalBlobs(tmp_path / "blobs"), catalogue, Pseudonymiser(bytes(32)), Policy(), None)


def _source(data: bytes, name: str = "a") -> Source:
    return Source(name, name, "dicom", len(data), 0, lambda: io.BytesIO(data))


def _objects(count: int) -> list[bytes]:
    return [to_bytes(each) for each in dicom_series(slices=count)]


def test_what_is_answered_is_in_the_catalogue(intake: Intake, catalogue: SqlCatalogue) -> None:
    with Door(intake, catalogue) as door:
        arrival = door.take(_source(_objects(1)[0]))
        assert arrival.outcome == "stored"
        assert [series.instances for series in catalogue.series()] == [1]
        assert door.take(_source(_objects(1)[0])).outcome == "duplicate"


def test_damaged_bytes_are_answered_with_their_code_and_quarantined(intake: Intake, catalogue: SqlCatalogue) -> None:
    with Door(intake, catalogue) as door:
        arrival = door.take(_source(b"\0" * 128 + b"DICM" + b"garbage" * 9))
    assert arrival.outcome == "rejected"
    assert [row.code for row in catalogue.rejected()] == [arrival.rejected.code if arrival.rejected else ""]


def test_many_senders_share_commits_and_each_gets_its_own_answer(intake: Intake, catalogue: SqlCatalogue) -> None:
    objects = _objects(24)
    found: dict[int, Arrival] = {}
    seen: list[Arrival] = []
    with Door(intake, catalogue, on_stored=seen.append) as door:
        senders = [
            threading.Thread(target=lambda i=i, data=data: found.update({i: door.take(_source(data, str(i)))}))
            for i, data in enumerate(objects)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    uids = {arrival.instance.sop_instance_uid for arrival in found.values() if arrival.instance}
    assert len(uids) == len(seen) == 24
    assert catalogue.series()[0].instances == 24


def test_objects_of_one_sender_are_taken_before_it_waits_for_any(intake: Intake, catalogue: SqlCatalogue) -> None:
    with Door(intake, catalogue) as door:
        answers = [door.submit(_source(data, str(i))) for i, data in enumerate(_objects(5))]
        assert [answer.result().outcome for answer in answers] == ["stored"] * 5
    assert catalogue.series()[0].instances == 5


def test_what_was_gathered_is_written_with_one_sync_for_all_when_somebody_settles(
    intake: Intake, catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    record = catalogue.record
    monkeypatch.setattr(catalogue, "record", lambda batch: (batches.append(len(batch)), record(batch))[1])
    with Door(intake, catalogue) as door:
        answers = [door.gather(_source(data, str(i))) for i, data in enumerate(_objects(5))]
        assert not any(answer.done() for answer in answers)
        door.settle()
        assert [answer.result(0).outcome for answer in answers] == ["stored"] * 5
        door.settle()
    assert batches == [5]


def test_what_was_gathered_is_written_when_the_door_closes(intake: Intake, catalogue: SqlCatalogue) -> None:
    with Door(intake, catalogue) as door:
        answer = door.gather(_source(_objects(1)[0]))
    assert answer.result(0).outcome == "stored"


def test_a_catalogue_that_cannot_write_acknowledges_nothing(
    intake: Intake, catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> list[Arrival]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(catalogue, "record", full)
    with Door(intake, catalogue) as door, pytest.raises(TapetumError, match="cannot write"):
        door.take(_source(_objects(1)[0]))
    monkeypatch.undo()
    assert catalogue.series() == []


def test_a_closed_door_takes_nothing(intake: Intake, catalogue: SqlCatalogue) -> None:
    door = Door(intake, catalogue)
    door.close()
    door.close()
    with pytest.raises(TapetumError, match="closed"):
        door.take(_source(_objects(1)[0]))


def test_an_object_that_was_under_way_in_a_failed_flush_is_not_acknowledged_by_the_next(
    intake: Intake, catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _objects(2)
    settle, take = intake.settle, intake.take
    put, failed = threading.Event(), threading.Event()

    def failing() -> None:
        put.wait(5)
        monkeypatch.setattr(intake, "settle", settle)
        settle()  # the second object's bytes are in this flush
        failed.set()
        raise OSError(errno.EIO, "the disk is dying")

    def slowly(source: Source, row: None) -> Arrival:
        arrival = take(source, row)
        if source.locator == "second":
            put.set()
            failed.wait(5)
            time.sleep(0.1)
        return arrival

    monkeypatch.setattr(intake, "settle", failing)
    monkeypatch.setattr(intake, "take", slowly)
    with Door(intake, catalogue) as door:
        answer = door.submit(_source(first, "first"))
        with pytest.raises(TapetumError):
            door.take(_source(second, "second"))
        assert isinstance(answer.exception(), TapetumError)
        assert [door.take(_source(each)).outcome for each in (first, second)] == ["stored", "stored"]


def test_a_catalogue_that_fails_while_an_object_is_looked_at_is_an_error_of_ours(
    intake: Intake, catalogue: SqlCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Exception):
        pass

    def gone(*_: object) -> None:
        raise Gone

    with Door(intake, catalogue) as door:
        monkeypatch.setattr(intake, "take", gone)
        with pytest.raises(TapetumError, match="Gone"):
            door.take(_source(_objects(1)[0]))


def test_who_is_told_of_arrivals_and_fails_does_not_stop_the_door(intake: Intake, catalogue: SqlCatalogue) -> None:
    def failing(_arrival: Arrival) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with Door(intake, catalogue, on_stored=failing) as door:
        assert [door.take(_source(each)).outcome for each in _objects(2)] == ["stored", "stored"]
