"""A server over an archive in memory or over a real workspace, and dcmtk's commands."""

from __future__ import annotations

import io
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tapetum.acquire import Door, Intake, Policy
from tapetum.acquire.walk import Source
from tapetum.dimse import Archive, Peer, Rules, Server
from tapetum.dimse.pdu import AssociateRequest, Proposal
from tapetum.model import Arrival
from tapetum.protect import RealNames
from tapetum.store import LocalBlobs, SqlCatalogue
from tapetum.testing import dicom_series, to_bytes

VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


class Taken:
    """The door of an archive that keeps everything in memory and says that it is stored."""

    def __init__(self) -> None:
        self.objects: list[bytes] = []
        self.answer: Callable[[Source], Arrival] = lambda _: Arrival("duplicate")
        self._lock = threading.Lock()

    def __call__(self, source: Source) -> Arrival:
        with source.open() as file, self._lock:
            self.objects.append(file.read())
        return self.answer(source)


class Raw:
    """A client that says whatever it likes."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def unit(self) -> tuple[int, bytes]:
        """Type and body of the next unit; (0, b"") when the server closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", head)
        return kind, self._exactly(length)

    def associate(self, *proposals: Proposal, called: str = "ANY", calling: str = "TEST", **more: object) -> bytes:
        """Ask for an association; the body of the answer."""
        wanted = proposals or (Proposal(1, VERIFICATION, (IMPLICIT,)), Proposal(3, CT, (EXPLICIT,)))
        self.send(AssociateRequest(called, calling, wanted, **more).encode())  # type: ignore[arg-type]
        return self.unit()[1]

    def close(self) -> None:
        self.sock.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        try:
            while len(data) < count and (more := self.sock.recv(count - len(data))):
                data += more
        except ConnectionResetError:
            return b""
        return data


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def archive(taken: Taken, tmp_path: Path) -> Archive:
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")
    return Archive(taken, catalogue, LocalBlobs(tmp_path / "blobs"))


@pytest.fixture
def listening(archive: Archive) -> Iterator[Callable[..., Server]]:
    """Start a server with rules; it stops with the test."""
    servers: list[Server] = []

    def start(rules: Rules | None = None, peers: dict[str, Peer] | None = None, **more: object) -> Server:
        server = Server(archive, rules or Rules(), peers=peers, **more)  # type: ignore[arg-type]
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(grace_s=2)


@pytest.fixture
def raw() -> Iterator[Callable[[Server], Raw]]:
    """Open a raw client to a server; closed with the test."""
    clients: list[Raw] = []

    def connect(server: Server) -> Raw:
        clients.append(Raw(server.port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of dcmtk's commands by its full path: pynetdicom's have the same names."""

    def run(command: str, *words: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        path = Path("/usr/bin", command)
        if not path.exists():
            pytest.skip("dcmtk is not there: apt install dcmtk")
        return subprocess.run([path, *map(str, words)], capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture
def slices(tmp_path: Path) -> list[Path]:
    """Six slices of one CT series, as files."""
    folder = tmp_path / "slices"
    folder.mkdir()
    paths = []
    for number, item in enumerate(dicom_series(slices=6)):
        path = folder / f"{number}.dcm"
        path.write_bytes(to_bytes(item))
        paths.append(path)
    return paths


@dataclass
class Hospital:
    """A server over a real catalogue and real blobs, which keep objects as they come."""

    server: Server
    archive: Archive
    files: list[Path]
    reports: list[str]


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Callable[..., Hospital]]:
    """Fill an archive with files (a CT and an MR series of one patient, a CT of another) and let it listen."""
    ended: list[Callable[[], object]] = []

    def fill(files: list[Path] | None = None, rules: Rules | None = None, **peers: Peer) -> Hospital:
        if files is None:
            files = two_patients(tmp_path / "sent")
        catalogue, blobs = SqlCatalogue(f"sqlite:///{tmp_path / 'hospital.db'}"), LocalBlobs(tmp_path / "kept")
        intake = Intake(blobs, catalogue, RealNames(bytes(32)), Policy(deidentify=False), None)
        door = Door(intake, catalogue)
        for path in files:
            data = path.read_bytes()
            arrival = door.take(Source(str(path), path.name, "dicom", len(data), 0, partial(io.BytesIO, data)))
            assert arrival.outcome == "stored", (path, arrival.rejected)
        archive, reports = Archive(door.take, catalogue, blobs), []
        server = Server(archive, rules or Rules(), peers=peers, log=reports.append)
        server.start()
        ended.extend([server.stop, door.close, catalogue.close])
        return Hospital(server, archive, files, reports)

    yield fill
    for end in ended:
        end()


def two_patients(folder: Path) -> list[Path]:
    """Write seven objects of two patients."""
    folder.mkdir()
    made = [
        *dicom_series(slices=3, patient_id="4711", patient_name="Müller^Jürgen"),
        *dicom_series(slices=2, patient_id="4711", patient_name="Müller^Jürgen", modality="MR"),
        *dicom_series(slices=2, patient_id="0815", patient_name="Doe^Jane"),
    ]
    paths = []
    for number, item in enumerate(made):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(to_bytes(item))
    return paths


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[tuple[Peer, Path]]:
    """dcmtk's storescp as somebody to send to: where it listens and the folder it writes to."""
    if not Path("/usr/bin/storescp").exists():
        pytest.skip("dcmtk is not there: apt install dcmtk")
    folder = tmp_path / "received"
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen(["/usr/bin/storescp", "+xa", "-od", str(folder), str(port)])
    wait_for(port)
    yield Peer("127.0.0.1", port), folder
    process.terminate()
    process.wait(10)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_for(port: int, timeout_s: float = 30) -> None:
    """Return when somebody listens there."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until, "nobody listens"
            time.sleep(0.1)
        else:
            return
