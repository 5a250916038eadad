"""Reading unit by unit, however the bytes come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tapetum.dimse.pdu import MOST_BYTES, Fault, release_request
from tapetum.dimse.wire import Gone, Wire


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def ends(stopping: threading.Event) -> Iterator[tuple[Wire, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    wire = Wire(near, stopping=stopping, unit_s=1.0)
    yield wire, far
    far.close()
    wire.close()


def test_units_that_come_together_or_in_pieces_are_the_same(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    unit = release_request()
    far.sendall(unit + unit + unit[:3])
    assert [wire.read(idle_s=1)[0] for _ in range(2)] == [5, 5]
    far.sendall(unit[3:])
    assert wire.read(idle_s=1)[0] == 5


def test_the_longest_units_pass_one_after_the_other(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    body = bytes(range(256)) * (MOST_BYTES // 256)
    unit = b"\4\0" + len(body).to_bytes(4, "big") + body
    sender = threading.Thread(target=far.sendall, args=(unit * 5,))
    sender.start()
    for _ in range(5):
        kind, found = wire.read(idle_s=2)
        assert kind == 4
        assert found == body
    sender.join()


def test_one_byte_more_than_the_longest_is_refused(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    far.sendall(b"\4\0" + (MOST_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(Fault):
        wire.read(idle_s=1)


def test_a_peer_that_is_silent_or_closes_is_gone(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    with pytest.raises(Gone, match="silent"):
        wire.read(idle_s=0.1)
    far.close()
    with pytest.raises(Gone, match="closed"):
        wire.read(idle_s=1)


def test_waiting_for_a_new_unit_ends_when_the_server_stops(
    ends: tuple[Wire, socket.socket], stopping: threading.Event
) -> None:
    stopping.set()
    with pytest.raises(Gone, match="stops"):
        ends[0].read(idle_s=60)


def test_a_unit_under_way_is_read_to_its_end_when_the_server_stops(
    ends: tuple[Wire, socket.socket], stopping: threading.Event
) -> None:
    wire, far = ends
    far.sendall(release_request()[:4])
    stopping.set()
    threading.Timer(0.7, far.sendall, (release_request()[4:],)).start()
    assert wire.read(idle_s=1)[0] == 5


def test_a_peer_that_does_not_read_is_given_up(ends: tuple[Wire, socket.socket]) -> None:
    with pytest.raises(Gone, match="slowly"):
        ends[0].send(bytes(64 << 20))


def test_waiting_says_whether_there_is_something_to_read(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    assert not wire.waiting()
    far.sendall(release_request() * 2)
    assert wire.read(idle_s=1)[0] == 5
    assert wire.waiting()
