"""Bad input over the wire: each is refused as the standard says, and the next caller is served as if nothing was."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapetum.dimse import Rules, Server
from tapetum.dimse.messages import C_ECHO_RQ, C_STORE_RQ, NO_DATA, encode_command
from tapetum.dimse.pdu import ABORT, ASSOCIATE_RJ, P_DATA, RELEASE_RP, Proposal, data_pdus, release_request

from .conftest import CT, EXPLICIT, IMPLICIT, VERIFICATION, Raw, Taken

Listening = Callable[..., Server]
Connect = Callable[[Server], Raw]
Dcmtk = Callable[..., subprocess.CompletedProcess[str]]
ECHO: dict[str, int | str] = {
    "AffectedSOPClassUID": VERIFICATION, "CommandField": C_ECHO_RQ, "MessageID": 1, "CommandDataSetType": NO_DATA,
}  # fmt: skip
STORE: dict[str, int | str] = {
    "AffectedSOPClassUID": CT, "CommandField": C_STORE_RQ, "MessageID": 1, "Priority": 0, "CommandDataSetType": 1,
    "AffectedSOPInstanceUID": "1.2.3",
}  # fmt: skip


def units(context_id: int, data: bytes, *, is_command: bool = True, is_last: bool = True) -> bytes:
    return b"".join(data_pdus(context_id, data, is_command=is_command, is_last=is_last, most=16384))


def echoes(server: Server, connect: Connect) -> bool:
    """Whether a new caller gets its echo answered."""
    client = connect(server)
    client.associate()
    client.send(units(1, encode_command(ECHO)))
    answered = client.unit()[0] == P_DATA
    client.send(release_request())
    return answered and client.unit()[0] == RELEASE_RP


def aborted(client: Raw, reason: int) -> bool:
    """Whether the answer is an A-ABORT of the provider with this reason, and the connection closed."""
    return client.unit() == (ABORT, bytes((0, 0, 2, reason))) and client.unit()[0] == 0


def test_garbage_instead_of_a_unit_is_aborted(listening: Listening, raw: Connect) -> None:
    server = listening()
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(1000), b"\xff" * 9):
        client = raw(server)
        client.send(garbage)
        assert aborted(client, 1)
    assert echoes(server, raw)


def test_a_unit_longer_than_announced_is_aborted_before_it_is_read(listening: Listening, raw: Connect) -> None:
    server = listening()
    for kind in (1, 4, 5):
        client = raw(server)
        client.send(struct.pack(">BxL", kind, 0xFFFFFFF0))
        assert aborted(client, 6)
    assert echoes(server, raw)


def test_data_before_an_association_is_aborted(listening: Listening, raw: Connect) -> None:
    client = raw(listening())
    client.send(units(1, encode_command(ECHO)))
    assert aborted(client, 2)


def test_an_unknown_type_within_an_association_is_aborted(listening: Listening, raw: Connect) -> None:
    client = raw(listening())
    client.associate()
    client.send(struct.pack(">BxL", 0x42, 4) + bytes(4))
    assert aborted(client, 1)


def test_a_second_request_within_an_association_is_aborted(listening: Listening, raw: Connect) -> None:
    client = raw(listening())
    client.associate()
    kind = struct.pack(">BxL", 1, 4) + bytes(4)
    client.send(kind)
    assert aborted(client, 2)


def test_a_fragment_of_a_context_that_was_not_accepted_is_aborted(
    listening: Listening, raw: Connect, taken: Taken
) -> None:
    server = listening()
    client = raw(server)
    client.associate()
    client.send(units(77, encode_command(ECHO)))
    assert aborted(client, 6)
    client = raw(server)
    client.associate()
    client.send(units(3, encode_command(STORE)) + units(1, b"data", is_command=False))
    assert aborted(client, 6)
    assert taken.objects == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(encode_command(ECHO)[:-3], id="cut"),
        pytest.param(b"\x08\0\x16\0\x02\0\0\0ab", id="another group"),
        pytest.param(b"\0\0\0\x01\xff\xff\xff\xff", id="endless element"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_damaged_command_set_is_aborted(command: bytes, listening: Listening, raw: Connect) -> None:
    server = listening()
    client = raw(server)
    client.associate()
    client.send(units(1, command))
    assert aborted(client, 6)
    assert echoes(server, raw)


def test_a_command_set_without_end_is_aborted(listening: Listening, raw: Connect) -> None:
    client = raw(listening())
    client.associate()
    client.send(b"".join(units(1, bytes(10000), is_last=False) for _ in range(7)))
    assert aborted(client, 6)


def test_an_operation_that_a_class_does_not_have_is_answered_0211(listening: Listening, raw: Connect) -> None:
    client = raw(listening())
    client.associate()
    client.send(units(1, encode_command({**ECHO, "CommandField": 0x0150})))
    kind, body = client.unit()
    assert kind == P_DATA
    assert struct.pack("<HHLH", 0, 0x0900, 2, 0x0211) in body


def test_a_connection_that_drops_in_the_middle_of_a_data_set_stores_nothing(
    listening: Listening, raw: Connect, taken: Taken
) -> None:
    server = listening()
    client = raw(server)
    client.associate()
    client.send(units(3, encode_command(STORE)) + units(3, bytes(50000), is_command=False, is_last=False))
    client.close()
    assert echoes(server, raw)
    assert taken.objects == []


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(listening: Listening, raw: Connect) -> None:
    server = listening(Rules(request_s=1.0, unit_s=1.0))
    client = raw(server)
    began = time.monotonic()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        _trickle(client)
    assert time.monotonic() - began < 10
    assert echoes(server, raw)


def test_a_silent_association_ends(listening: Listening, raw: Connect) -> None:
    client = raw(listening(Rules(idle_s=0.5)))
    client.associate()
    assert aborted(client, 0)


def test_two_hundred_silent_connections_keep_nobody_out(listening: Listening, raw: Connect) -> None:
    server = listening(Rules(most_associations=2))
    silent = [raw(server) for _ in range(200)]
    assert echoes(server, raw)
    for client in silent:
        client.close()


def test_one_association_too_many_is_refused_for_the_moment(listening: Listening, raw: Connect) -> None:
    server = listening(Rules(most_associations=2))
    first, second, third = (raw(server) for _ in range(3))
    assert first.associate()
    assert second.associate()
    assert third.associate() == bytes((0, 2, 3, 2))
    first.send(release_request())
    assert first.unit()[0] == RELEASE_RP
    _until(lambda: len(raw(server).associate()) > 4)


def test_one_connection_too_many_is_refused_at_once(listening: Listening, raw: Connect) -> None:
    server = listening(Rules(most_connections=3))
    kept = [raw(server) for _ in range(3)]
    time.sleep(0.2)
    assert raw(server).unit() == (ASSOCIATE_RJ, bytes((0, 2, 3, 2)))
    kept[0].close()
    _until(lambda: len(raw(server).associate()) > 4)


def test_a_machine_without_threads_turns_callers_away_and_goes_on(
    listening: Listening, raw: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    server = listening()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        assert raw(server).unit() == (ASSOCIATE_RJ, bytes((0, 2, 3, 2)))
    assert echoes(server, raw)


def test_titles_are_checked_where_the_rules_say_so(listening: Listening, raw: Connect) -> None:
    server = listening(Rules(ae_title="ARCHIVE", strict=True, callers=frozenset({"CT1"})))
    assert raw(server).associate(called="OTHER", calling="CT1") == bytes((0, 1, 1, 7))
    assert raw(server).associate(called="ARCHIVE", calling="CT2") == bytes((0, 1, 1, 3))
    assert len(raw(server).associate(called="ARCHIVE", calling="CT1")) > 4


def test_another_application_context_or_protocol_version_is_refused(listening: Listening, raw: Connect) -> None:
    server = listening()
    assert raw(server).associate(application_context="1.2.3") == bytes((0, 1, 1, 2))
    client = raw(server)
    body = bytearray(b"\0\2\0\0" + b"A".ljust(16) + b"B".ljust(16) + bytes(32))
    body += b"\x10\0\0\x15" + b"1.2.840.10008.3.1.1.1"
    body += b"\x20\0\0\x2e\1\0\0\0\x30\0\0\x11" + VERIFICATION.encode() + b"\x40\0\0\x11" + IMPLICIT.encode()
    client.send(struct.pack(">BxL", 1, len(body)) + body)
    assert client.unit() == (ASSOCIATE_RJ, bytes((0, 1, 2, 2)))


def test_stopping_finishes_the_object_under_way_and_refuses_what_is_new(
    listening: Listening, raw: Connect, taken: Taken
) -> None:
    server = listening()
    client, idle = raw(server), raw(server)
    client.associate()
    idle.associate()
    client.send(units(3, encode_command(STORE)) + units(3, bytes(100), is_command=False, is_last=False))
    time.sleep(0.2)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert aborted(idle, 0)
    client.send(units(3, bytes(100), is_command=False))
    assert client.unit()[0] == P_DATA
    assert aborted(client, 0)
    stopping.join()
    assert len(taken.objects) == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=2)


def _trickle(client: Raw) -> None:
    for _ in range(200):
        client.send(b"\x01")
        time.sleep(0.1)


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A self-signed certificate for localhost, and its key."""
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    try:
        subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not there: apt install openssl")
    return tmp_path


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    return context


def test_an_object_comes_over_an_encrypted_connection(
    listening: Listening, tls: ssl.SSLContext, dcmtk: Dcmtk, taken: Taken, slices: list[Path]
) -> None:
    server = listening(tls=tls)
    ran = dcmtk("storescu", "--anonymous-tls", "--ignore-peer-cert", "localhost", server.port, *slices)
    assert ran.returncode == 0, ran.stderr
    assert len(taken.objects) == len(slices)
    assert dcmtk("echoscu", "localhost", server.port).returncode != 0


def test_only_clients_with_a_certificate_are_served_where_one_is_asked_for(
    listening: Listening, tls: ssl.SSLContext, certificates: Path, dcmtk: Dcmtk, slices: list[Path]
) -> None:
    tls.load_verify_locations(certificates / "cert.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    server = listening(tls=tls)
    anonymous = dcmtk("storescu", "--anonymous-tls", "--ignore-peer-cert", "localhost", server.port, slices[0])
    assert anonymous.returncode != 0
    own = ("+tls", certificates / "key.pem", certificates / "cert.pem", "--ignore-peer-cert")
    ran = dcmtk("storescu", *own, "localhost", server.port, slices[0])
    assert ran.returncode == 0, ran.stderr


def test_what_is_logged_names_no_patient_and_no_odd_sign(archive: object, listening: Listening, raw: Connect) -> None:
    lines: list[str] = []
    client = raw(listening(log=lines.append))
    client.associate(Proposal(3, CT, (EXPLICIT,)), calling="CT\n1")
    client.send(units(3, encode_command(STORE)) + units(3, b"Doe^Jane", is_command=False))
    assert client.unit()[0] == P_DATA
    client.send(release_request())
    assert client.unit()[0] == RELEASE_RP
    _until(lambda: bool(lines))
    assert lines[0].startswith("from CT_1 in ")
    assert "Doe" not in lines[0]


@pytest.fixture(autouse=True)
def _no_thread_fails() -> Iterator[None]:
    """A connection's thread that ends with an unforeseen exception fails the test."""
    failures: list[object] = []
    before = threading.excepthook
    threading.excepthook = failures.append
    yield
    threading.excepthook = before
    assert failures == []
