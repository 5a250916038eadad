"""Messages over an association whose ends are both ours."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator

import pytest

from tapetum.dimse.association import Association, Context
from tapetum.dimse.messages import C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ, NO_DATA
from tapetum.dimse.pdu import HEAD, Fault, data_pdus, release_request
from tapetum.dimse.wire import Gone, Wire

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
STORE: dict[str, int | str] = {
    "AffectedSOPClassUID": CT, "CommandField": C_STORE_RQ, "MessageID": 7, "AffectedSOPInstanceUID": "1.2.3",
}  # fmt: skip


@pytest.fixture
def ends() -> Iterator[tuple[Association, Association, socket.socket]]:
    """A sender whose peer takes units of at most 100 bytes, the receiver, and the sender's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    wires = [Wire(sock, stopping=threading.Event(), unit_s=2) for sock in (far, near)]
    contexts = {1: Context(1, CT, EXPLICIT), 3: Context(3, CT, EXPLICIT)}
    made = [Association(wire, "A", "B", contexts, 100, idle_s=2, most_bytes=1 << 20) for wire in wires]
    yield made[0], made[1], far
    for wire in wires:
        wire.close()


def test_an_object_is_cut_for_the_peer_and_arrives_as_a_file(
    ends: tuple[Association, Association, socket.socket],
) -> None:
    sender, receiver, _ = ends
    for size in (0, 1, 93, 94, 188, 1000):
        sender.stream(3, STORE, io.BytesIO(b"x" * size))
        message = receiver.receive()
        assert message is not None
        assert message.data is not None
        with message.data.open() as file:
            data = file.read()
        assert data[128:132] == b"DICM"
        assert data.endswith(b"x" * size)
        assert message.context_id == 3
        message.close()


def test_units_are_never_longer_than_the_peer_takes() -> None:
    units = data_pdus(1, bytes(1000), is_command=False, is_last=True, most=100)
    assert {HEAD.unpack_from(unit)[1] for unit in units} <= set(range(101))


def test_an_answer_names_its_request(ends: tuple[Association, Association, socket.socket]) -> None:
    sender, receiver, _ = ends
    sender.send(1, {"AffectedSOPClassUID": CT, "CommandField": C_ECHO_RQ, "MessageID": 9})
    request = receiver.receive()
    assert request is not None
    receiver.respond(request, 0xFE00)
    answer = sender.receive()
    assert answer is not None
    assert (answer.kind, answer.number("MessageIDBeingRespondedTo"), answer.number("Status")) == (0x8030, 9, 0xFE00)
    assert answer.number("CommandDataSetType") == NO_DATA


def test_small_answers_gather_until_one_is_the_last(ends: tuple[Association, Association, socket.socket]) -> None:
    sender, receiver, _ = ends
    for _ in range(3):
        sender.send(1, {"CommandField": C_FIND_RQ, "MessageID": 1}, b"id", flush=False)
    assert not receiver.wire.waiting()
    sender.flush()
    for _ in range(3):
        message = receiver.receive()
        assert message is not None
        message.close()


def test_a_release_is_answered_and_ends_the_association(
    ends: tuple[Association, Association, socket.socket],
) -> None:
    _, receiver, far = ends
    far.sendall(release_request())
    assert receiver.receive() is None
    assert far.recv(10) == b"\6\0\0\0\0\4\0\0\0\0"


def test_a_release_in_the_middle_of_a_message_is_a_fault(
    ends: tuple[Association, Association, socket.socket],
) -> None:
    _, receiver, far = ends
    far.sendall(b"".join(data_pdus(1, b"\0" * 8, is_command=True, is_last=False, most=100)) + release_request())
    with pytest.raises(Fault):
        receiver.receive()


def test_an_abort_ends_it_at_once(ends: tuple[Association, Association, socket.socket]) -> None:
    _, receiver, far = ends
    far.sendall(b"\7\0\0\0\0\4\0\0\0\0")
    with pytest.raises(Gone, match="aborted"):
        receiver.receive()


def test_numbers_of_requests_begin_again_after_the_last(
    ends: tuple[Association, Association, socket.socket],
) -> None:
    sender = ends[0]
    numbers = [sender.next_id() for _ in range(65537)]
    assert (numbers[0], numbers[65534], numbers[65535]) == (1, 65535, 1)
