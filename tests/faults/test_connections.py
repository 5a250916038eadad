"""Lines that break and senders that meet: what is not whole is not there, and what comes twice is there once."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from .conftest import Hospital, Sender, objects, stow, uid, written

COUNT = 30


@contextmanager
def breaking(port: int, after: int) -> Iterator[int]:
    """A line to a server that is cut, without a word, once so many bytes went over it; its own port."""

    def pump(source: socket.socket, target: socket.socket, left: int) -> None:
        with suppress(OSError):
            while left > 0 and (data := source.recv(min(left, 1 << 14))):
                target.sendall(data)
                left -= len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with listening.accept()[0] as near, socket.create_connection(("127.0.0.1", port)) as far:
                back = threading.Thread(target=pump, args=(far, near, 1 << 40))
                back.start()
                pump(near, far, after)
                back.join()

        thread = threading.Thread(target=accept)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join()


def test_an_object_whose_line_breaks_in_the_middle_is_not_stored_and_those_before_it_are(
    hospital: Hospital, tmp_path: Path
) -> None:
    made = objects(COUNT)
    folder = written(tmp_path / "sent", made)
    _, port = hospital.server("listen")
    size = len(next(iter(made.values())))
    with breaking(port, after=10 * size + size // 2) as broken:
        acknowledged = Sender(broken, folder).wait()
    assert 5 < len(acknowledged) < 12
    # The object that was under way when its answer was lost may be there; one of which half came is not.
    assert hospital.is_sound(acknowledged)
    assert len(hospital.stored()) <= len(acknowledged) + 1
    assert Sender(port, folder).wait() == set(made)
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()


def test_a_request_that_breaks_in_the_middle_of_an_object_is_not_acknowledged_and_can_be_sent_again(
    hospital: Hospital,
) -> None:
    made = objects(COUNT)
    _, port = hospital.server("serve")
    size = len(next(iter(made.values())))
    with breaking(port, after=10 * size + size // 2) as broken:
        assert stow(broken, made.values()) == (0, set())
    assert len(hospital.stored()) <= 10
    assert hospital.workspace().quarantine() == []
    assert stow(port, made.values()) == (200, set(made))
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()


def test_four_senders_of_the_same_objects_at_once_store_each_once(hospital: Hospital, tmp_path: Path) -> None:
    made = objects(COUNT)
    folder = written(tmp_path / "sent", made)
    _, port = hospital.server("listen")
    senders = [Sender(port, folder) for _ in range(4)]
    threads = [threading.Thread(target=sender.wait) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(set(sender.answers) == set(made) for sender in senders)
    assert {status for sender in senders for status in sender.answers.values()} == {"Success"}
    assert hospital.stored() == sorted(made)
    assert hospital.workspace().quarantine() == []
    assert hospital.problems() == set()


def test_other_bytes_under_known_uids_from_two_senders_at_once_are_both_kept_and_one_is_flagged(
    hospital: Hospital, tmp_path: Path
) -> None:
    versions = [objects(COUNT, noise=noise) for noise in (10.0, 30.0)]
    folders = [written(tmp_path / str(number), made) for number, made in enumerate(versions)]
    _, port = hospital.server("listen")
    for _ in range(2):  # sent again, nothing changes
        senders = [Sender(port, folder) for folder in folders]
        threads = [threading.Thread(target=sender.wait) for sender in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = [status for sender in senders for status in sender.answers.values()]
        assert statuses.count("Success") == COUNT
        assert sum(status.startswith("Warning") for status in statuses) == COUNT
        assert hospital.stored() == sorted(versions[0])
        with closing(hospital.workspace().catalogue) as catalogue:
            rows = catalogue.rejected()
        assert [row.code for row in rows] == ["conflicting-instance"] * COUNT
        assert len({row.blob for row in rows}) == COUNT
    assert hospital.problems() == set()
    opened = hospital.workspace()
    stored = {row.sop_instance_uid: row.blob for row in opened.catalogue.instances(_series(versions[0]))}
    opened.catalogue.close()
    flagged = {}
    for row in rows:
        with opened.blobs.open(row.blob) as file:
            flagged[str(dcmread(file).SOPInstanceUID)] = row.blob
    for name in versions[0]:
        pixels = set()
        for blob in (stored[name], flagged[name]):
            with opened.blobs.open(blob) as file:
                pixels.add(dcmread(file).PixelData)
        assert pixels == {dcmread(BytesIO(made[name])).PixelData for made in versions}


def test_other_bytes_under_a_known_uid_over_http_are_kept_under_their_digest(hospital: Hospital) -> None:
    first, second = (objects(1, noise=noise)[uid(0)] for noise in (10.0, 30.0))
    _, port = hospital.server("serve")
    assert stow(port, [first]) == (200, {uid(0)})
    assert stow(port, [second])[0] == 202
    assert stow(port, [first]) == (200, {uid(0)})  # this does not take the other out of the quarantine
    with closing(hospital.workspace().catalogue) as catalogue:
        assert [row.blob for row in catalogue.rejected()] == [hashlib.sha256(second).hexdigest()]
    for data in (first, second):
        with hospital.workspace().blobs.open(hashlib.sha256(data).hexdigest()) as file:
            assert file.read() == data
    assert hospital.problems() == set()


def _series(made: dict[str, bytes]) -> str:
    return str(dcmread(BytesIO(next(iter(made.values()))), stop_before_pixels=True).SeriesInstanceUID)
