"""`tapetum listen` as a process: killed, stopped, and beside Orthanc."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from tapetum.cli.listen import listen
from tapetum.errors import InvalidStudy, TapetumError
from tapetum.flow import Workspace
from tapetum.model import Query

from .conftest import free_port, two_patients, wait_for

Start = Callable[..., tuple[subprocess.Popen[str], int]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace that keeps objects as they come."""
    made = tmp_path / "hospital"
    Workspace.create(made)
    settings = made / "tapetum.toml"
    text = re.sub(r"(?m)^#?\s*deidentify = .*$", "deidentify = false", settings.read_text())
    assert "deidentify = false" in text
    settings.write_text(text)
    return made


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start `tapetum listen`; its process and the port it listens on."""
    processes: list[subprocess.Popen[str]] = []

    def run(*words: object) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-m", "tapetum", "listen", "-w", str(folder), "--port", "0", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, int(line.rsplit(":", 1)[1])

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def _sender(port: int, folder: Path) -> subprocess.Popen[str]:
    if not Path("/usr/bin/storescu").exists():
        pytest.skip("dcmtk is not there: apt install dcmtk")
    command = ["/usr/bin/storescu", "-v", "+sd", "localhost", str(port), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _many(folder: Path, count: int) -> None:
    """Write objects that differ by their UID."""
    folder.mkdir()
    template = pydicom.dcmread(two_patients(folder.parent / "template")[0])
    for number in range(count):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"2.25.{10**9 + number}"
        template.save_as(folder / f"{number:04d}.dcm")


def _stored(folder: Path) -> set[str]:
    rows = Workspace(folder).catalogue.find(Query("instance"))
    return {str(row["SOPInstanceUID"]) for row in rows}


def test_what_was_acknowledged_before_a_kill_is_in_the_workspace(start: Start, folder: Path, tmp_path: Path) -> None:
    process, port = start()
    _many(tmp_path / "many", 400)
    sender = _sender(port, tmp_path / "many")
    assert sender.stdout is not None
    acknowledged, at = set(), ""
    for line in sender.stdout:
        if found := re.search(r"Sending file: (.*)", line):
            at = found[1].strip()
        if "(Success)" in line:
            acknowledged.add(str(pydicom.dcmread(at, stop_before_pixels=True).SOPInstanceUID))
            if len(acknowledged) == 40:
                os.kill(process.pid, signal.SIGKILL)
    sender.communicate(timeout=30)
    assert 40 <= len(acknowledged) < 400
    assert acknowledged <= _stored(folder)


def test_a_stopped_server_ends_with_0_and_what_it_acknowledged_is_stored(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    process, port = start()
    _many(tmp_path / "many", 300)
    sender = _sender(port, tmp_path / "many")
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    said = sender.communicate(timeout=60)[0]
    assert process.wait(40) == 0
    acknowledged = said.count("(Success)")
    assert 0 < acknowledged <= len(_stored(folder)) <= acknowledged + 1


def test_a_taken_port_a_wrong_peer_and_a_wrong_certificate_are_said(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(TapetumError, match="cannot listen"):
        listen(workspace=folder, port=taken.getsockname()[1])
    for text in ("NOWHERE", "A=host", "A=host:x", "=host:1", "A_TITLE_THAT_IS_TOO_LONG=host:1"):
        with pytest.raises(InvalidStudy, match="TITLE=host:port"):
            listen(workspace=folder, peer=[text])
    with pytest.raises(InvalidStudy, match="certificate"):
        listen(workspace=folder, tls_certificate=folder / "tapetum.toml")


class Orthanc:
    """A running Orthanc, spoken to over its REST interface."""

    def __init__(self, http: int) -> None:
        self._url = f"http://127.0.0.1:{http}"

    def call(self, path: str, body: object = None) -> object:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self._url + path, data=data), timeout=60) as answer:
            return json.loads(answer.read() or b"null")


@pytest.fixture
def orthanc(tmp_path: Path, start: Start) -> Iterator[Orthanc]:
    """Orthanc and us, each a peer of the other."""
    if not Path("/usr/sbin/Orthanc").exists():
        pytest.skip("Orthanc is not there: apt install orthanc")
    dicom, http = free_port(), free_port()
    _, ours = start("--peer", f"ORTHANC=127.0.0.1:{dicom}")
    (tmp_path / "orthanc").mkdir()
    settings = {
        "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomPort": dicom, "HttpPort": http, "AuthenticationEnabled": False, "Plugins": [],
        "DicomModalities": {"us": ["TAPETUM", "127.0.0.1", ours]},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(["/usr/sbin/Orthanc", str(tmp_path / "orthanc.json")], stderr=subprocess.DEVNULL)
    wait_for(dicom)
    wait_for(http)
    yield Orthanc(http)
    process.terminate()
    process.wait(30)


def test_orthanc_sends_to_us_finds_with_us_and_gets_back(orthanc: Orthanc, tmp_path: Path) -> None:
    peer = orthanc
    sent = two_patients(tmp_path / "sent")
    for path in sent:
        peer.call("/instances", path.read_bytes())
    studies = peer.call("/studies")
    assert isinstance(studies, list)
    told = peer.call("/modalities/us/store", {"Resources": studies, "Synchronous": True})
    assert isinstance(told, dict)
    assert (told["InstancesCount"], told["FailedInstancesCount"]) == (7, 0)
    for study in studies:
        urllib.request.urlopen(
            urllib.request.Request(f"{peer._url}/studies/{study}", method="DELETE"), timeout=30
        ).close()
    assert peer.call("/instances") == []
    asked = peer.call("/modalities/us/query", {"Level": "Study", "Query": {"PatientID": "4711"}})
    assert isinstance(asked, dict)
    assert len(_list(peer.call(f"/queries/{asked['ID']}/answers"))) == 1
    peer.call(f"/queries/{asked['ID']}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    assert len(_list(peer.call("/instances"))) == 5


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
