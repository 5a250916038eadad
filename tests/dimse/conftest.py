"""A server over an archive in memory or over a real workspace, and dcmtk's commands."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapetum.acquire.walk import Source
from tapetum.dimse import Archive, Peer, Rules, Server
from tapetum.dimse.pdu import AssociateRequest, Proposal
from tapetum.model import Arrival
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
