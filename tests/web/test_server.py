"""What a client may do to the server: a real one on a real socket, and the command in its own process."""

import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tapetum import Workspace
from tapetum.errors import InvalidStudy
from tapetum.testing import dicom_series, to_bytes
from tapetum.web import application, serve
from tapetum.web.limits import Bounds
from tapetum.web.server import listen


@pytest.fixture(scope="module")
def client(make_client: Callable[..., Any]) -> Any:
    return make_client(bounds=Bounds(body_bytes=1 << 22, silence_s=1.0, grace_s=0.5, bytes_per_s=100))


def raw(client: Any, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """What the server answers to bytes that no decent client sends, until it closes the connection."""
    host, port = client.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        with suppress(OSError):  # it may have closed already
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
        found = b""
        with suppress(OSError):
            while data := connection.recv(1 << 16):
                found += data
    return found


HEAD = (
    b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\n"
    b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
)


def test_garbage_is_refused(client: Any) -> None:
    assert raw(client, b"\x16\x03\x01garbage\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert client.get("/studies").status_code == 200


@pytest.mark.parametrize("piece", [b"a: " + b"x" * 200_000, b"GET /" + b"x" * 200_000, b"a: b\r\n" * 40_000])
def test_a_head_without_end_is_refused(client: Any, piece: bytes) -> None:
    start = b"" if piece.startswith(b"GET") else b"GET / HTTP/1.1\r\n"
    answer = raw(client, start, *[piece[at : at + 8192] for at in range(0, len(piece), 8192)])
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")) or not answer
    assert client.get("/studies").status_code == 200


def test_a_head_that_comes_byte_by_byte_is_cut_off(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapetum.web.server.HEAD_SECONDS", 0.5)
    began = time.monotonic()
    raw(client, *[b"G"] * 20, pause_s=0.1)
    assert time.monotonic() - began < 10
    assert client.get("/studies").status_code == 200


def test_a_body_that_stops_is_refused(client: Any) -> None:
    began = time.monotonic()
    answer = raw(client, HEAD + b"Content-Length: 1000\r\n\r\n--b\r\n")
    assert b"408" in answer.split(b"\r\n")[0]
    assert b"too-slow" in answer
    assert time.monotonic() - began < 5


def test_a_body_that_comes_byte_by_byte_is_refused(client: Any) -> None:
    answer = raw(client, HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 30, pause_s=0.1)
    assert b"too-slow" in answer


def test_a_body_longer_than_allowed_is_refused(client: Any) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1 << 16)

    try:
        response = client.post(endless(), 'multipart/related; type="application/dicom"; boundary=b')
    except requests.ConnectionError:
        return  # it was refused before all was sent
    assert (response.status_code, response.json()["code"]) == (413, "too-large")


def test_a_client_that_leaves_in_the_middle_harms_nobody(client: Any) -> None:
    host, port = client.address.removeprefix("http://").split(":")
    whole = client.body([to_bytes(each) for each in dicom_series(slices=2, study="leaves")])
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(HEAD + b"Content-Length: 99999999\r\n\r\n" + whole[: len(whole) // 2])
    assert client.get("/studies").status_code == 200


def test_after_a_refusal_the_rest_of_a_body_is_no_request(client: Any) -> None:
    smuggled = b"GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(client, b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: text/html\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(smuggled), smuggled)  # fmt: skip
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.startswith(b"HTTP/1.1 415")


def test_many_slow_clients_do_not_keep_others_out(client: Any) -> None:
    host, port = client.address.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n--b\r\n")
        began = time.monotonic()
        assert client.get("/studies").status_code == 200
        assert time.monotonic() - began < 2
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_beyond_this_machine_nothing_is_served_without_tls(host: str, tmp_path: Path) -> None:
    app = application(Workspace.create(tmp_path / "w"))
    with pytest.raises(InvalidStudy, match="without TLS"):
        serve(app, host=host, port=0)


def test_an_address_that_is_taken_is_refused_in_words() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(InvalidStudy, match="cannot listen"):
            listen("127.0.0.1", taken.getsockname()[1])


def test_a_certificate_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("nothing")
    app = application(Workspace.create(tmp_path / "w"))
    with pytest.raises(InvalidStudy, match="certificate"):
        serve(app, host="0.0.0.0", port=0, certificate=tmp_path / "c.pem", key=tmp_path / "c.pem")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "c.pem", folder / "k.pem"


class Command:
    """``tapetum serve`` in its own process."""

    def __init__(self, workspace: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "tapetum", "serve", "-w", str(workspace), "--port", "0", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        self.line = self.process.stderr.readline()
        found = re.search(r"(https?)://[\d.]+:(\d+)", self.line)
        assert found, self.line + self.process.stderr.read()
        self.scheme, self.port = found[1], int(found[2])

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)
        assert self.process.stderr
        self.process.stderr.close()


def test_the_command_serves_with_tls_and_ends_in_good_order(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    Workspace.create(tmp_path / "w")
    tls = ["--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1])]
    with Command(tmp_path / "w", "--host", "0.0.0.0", *tls) as command:
        assert command.scheme == "https"
        response = requests.get(f"https://localhost:{command.port}/health", verify=str(certificate[0]), timeout=20)
        assert response.json()["status"] == "ok"
        plain = socket.create_connection(("127.0.0.1", command.port))
        stranger = ssl.create_default_context().wrap_socket(
            plain, server_hostname="localhost", do_handshake_on_connect=False
        )
        with stranger, pytest.raises(ssl.SSLError, match="self-signed"):
            stranger.do_handshake()
    assert command.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_finished_when_the_server_is_asked_to_end(number: signal.Signals, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "w", protect_deidentify=False)
    (tmp_path / "w" / "tapetum.toml").write_text("[protect]\ndeidentify = false\n")
    objects = dicom_series(slices=3)
    answers: list[requests.Response] = []
    asked = threading.Event()
    with Command(tmp_path / "w") as command:

        def slowly() -> Iterator[bytes]:
            for each in objects:
                yield b"--b\r\n\r\n" + to_bytes(each) + b"\r\n"
                asked.set()
                time.sleep(0.3)
            yield b"--b--\r\n"

        def send() -> None:
            headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
            address = f"http://127.0.0.1:{command.port}/dicom-web/studies"
            answers.append(requests.post(address, data=slowly(), headers=headers, timeout=30))

        sender = threading.Thread(target=send)
        sender.start()
        assert asked.wait(10)
        command.process.send_signal(number)
        sender.join(30)
        assert command.process.wait(30) == 0
    assert [answer.status_code for answer in answers] == [200]
    assert [series.instances for series in Workspace(tmp_path / "w").catalogue.series()] == [3]
