"""A real server on a real workspace: every test of `web` speaks HTTP with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from fastapi import FastAPI
from pydicom import FileDataset

from tapetum import Workspace
from tapetum.testing import dicom_series, to_bytes
from tapetum.web import application
from tapetum.web.server import Server, config_of, listen

BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of an application that is served in a thread."""
    with listen("127.0.0.1", 0) as listening:
        ready = threading.Event()
        server = Server(config_of(app), ready.set)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert ready.wait(20)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@dataclass
class Client:
    """Speaks with one server."""

    address: str
    workspace: Workspace
    session: requests.Session

    @property
    def root(self) -> str:
        return f"{self.address}/dicom-web"

    @staticmethod
    def body(objects: Sequence[bytes], media: str = "application/dicom") -> bytes:
        """Objects as multipart/related."""
        parts = [f"--{BOUNDARY}\r\nContent-Type: {media}\r\n\r\n".encode() + each + b"\r\n" for each in objects]
        return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()

    def get(self, path: str, accept: str = "*/*", **headers: str) -> requests.Response:
        return self.session.get(self.root + path, headers={"Accept": accept, **headers}, timeout=30)

    def post(self, data: Any, media: str = TYPE, path: str = "/studies", **headers: str) -> requests.Response:
        return self.session.post(self.root + path, data=data, headers={"Content-Type": media, **headers}, timeout=30)

    def store(self, *objects: FileDataset) -> requests.Response:
        return self.post(self.body([to_bytes(each) for each in objects]))


@pytest.fixture(scope="module")
def make_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Client]]:
    """Makes a server on a new workspace that keeps objects as they come, unless told otherwise."""
    open_ones: list[Any] = []

    def make(*, deidentify: bool = False, **bounds: Any) -> Client:
        workspace = Workspace.create(tmp_path_factory.mktemp("web") / "hospital", protect_deidentify=deidentify)
        server = running(application(workspace, **bounds))
        session = requests.Session()
        client = Client(server.__enter__(), workspace, session)
        open_ones.extend([(session.close, ()), (server.__exit__, (None, None, None))])
        return client

    yield make
    for close, arguments in open_ones:
        close(*arguments)


@pytest.fixture(scope="module")
def hospital(make_client: Callable[..., Client]) -> Client:
    """Two patients: a CT with three slices and an MR with two, and a second CT. Not written to by tests."""
    client = make_client()
    ct = dicom_series(slices=3, rows=16, columns=24)
    mr = dicom_series(slices=2, rows=16, columns=16, modality="MR", series="2")
    other = dicom_series(slices=1, patient_id="PAT-2", patient_name="Müller^Jörg", study="2")
    for each in ct:
        each.StudyDescription, each.SeriesDescription = "Thorax", "Lung 1.0"
        each.WindowCenter, each.WindowWidth = "40", "400"
    other[0].StudyDate = "20210101"
    assert client.store(*ct, *mr, *other).status_code == 200
    return client


@pytest.fixture(scope="module")
def ct(hospital: Client) -> dict[str, str]:
    """Paths of the CT's study, series and first instance."""
    row = hospital.get("/instances?PatientID=PAT-1&Modality=CT&limit=1").json()[0]
    study, series, instance = (row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    return {
        "study": f"/studies/{study}",
        "series": f"/studies/{study}/series/{series}",
        "instance": f"/studies/{study}/series/{series}/instances/{instance}",
    }
