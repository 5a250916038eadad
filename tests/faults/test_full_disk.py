"""A full disk: who sends is told so, nothing that was acknowledged is missing, and with room again sending goes on."""

from __future__ import annotations

from pathlib import Path

from .conftest import Hospital, Sender, ShortFiles, SmallDisk, objects, stow, written

COUNT = 40


def test_a_sender_over_dimse_is_told_that_there_is_no_room(
    hospital: Hospital, disk: SmallDisk | ShortFiles, tmp_path: Path
) -> None:
    made = objects(COUNT, rows=128)
    names = list(made)
    early = written(tmp_path / "early", {name: made[name] for name in names[:10]})
    folder = written(tmp_path / "sent", made)
    _, port = hospital.server("listen")
    acknowledged = Sender(port, early).wait()
    assert acknowledged == set(names[:10])
    disk.fill()
    sender = Sender(port, folder)
    acknowledged |= sender.wait()
    assert {status.split(":")[0] for status in sender.answers.values()} <= {"Success", "Refused"}
    assert len(sender.answers) == COUNT  # each was answered, over one association
    assert sum("OutOfResources" in status for status in sender.answers.values()) >= COUNT // 2
    assert acknowledged <= set(hospital.stored())
    disk.free()
    assert Sender(port, folder).wait() == set(made)
    assert hospital.stored() == names
    assert hospital.workspace().quarantine() == []
    assert hospital.problems() == set()


def test_a_sender_over_http_is_told_that_there_is_no_room(hospital: Hospital, disk: SmallDisk | ShortFiles) -> None:
    made = objects(COUNT, rows=128)
    data = list(made.values())
    _, port = hospital.server("serve")
    status, acknowledged = stow(port, data[:10])
    assert (status, len(acknowledged)) == (200, 10)
    disk.fill()
    statuses = []
    for at in range(10, COUNT, 5):
        status, names = stow(port, data[at : at + 5])
        statuses.append(status)
        acknowledged |= names
    assert set(statuses) <= {200, 202, 503, 507}
    assert {503, 507} & set(statuses)
    assert acknowledged <= set(hospital.stored())
    disk.free()
    assert stow(port, data) == (200, set(made))
    assert hospital.stored() == sorted(made)
    assert hospital.workspace().quarantine() == []
    assert hospital.problems() == set()


def test_acquire_ends_with_an_error_and_goes_on_when_there_is_room(
    hospital: Hospital, disk: SmallDisk | ShortFiles, tmp_path: Path
) -> None:
    made = objects(COUNT, rows=128)
    folder = written(tmp_path / "sent", made)
    hospital.run("acquire", folder / f"{min(made)}.dcm")
    disk.fill()
    status, said = hospital.run("acquire", folder)
    assert (status, said[:6]) == (1, "error["), said
    disk.free()
    assert hospital.run("acquire", folder)[0] == 0
    assert hospital.stored() == sorted(made)
    assert hospital.workspace().quarantine() == []
    assert hospital.problems() == set()
