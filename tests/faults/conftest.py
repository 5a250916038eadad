"""Real commands as processes, senders of others, and disks, servers and lines that fail."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import resource
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from tapetum.flow import Workspace
from tapetum.flow.keeping import verify
from tapetum.model import Query
from tapetum.testing import dicom_series, to_bytes


def _beside(name: str) -> Any:
    """Another folder's fixtures: tests are no packages, and fixtures of one folder are unknown in the next."""
    path = Path(__file__).parents[1] / name
    spec = importlib.util.spec_from_file_location(f"faults_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_postgres, _s3 = _beside("store/conftest.py"), _beside("store/test_s3.py")
postgres, s3_port, bucket, line = _postgres.postgres, _s3.s3_port, _s3.bucket, _s3.line

INSTANCE = "2.25.11000000000"
STORESCU = Path("/usr/bin/storescu")


def uid(number: int) -> str:
    """SOP Instance UID of the object with a number."""
    return INSTANCE[:-6] + f"{number:06d}"


def objects(count: int, *, rows: int = 64, noise: float = 20.0) -> dict[str, bytes]:
    """Objects of one series by their UIDs: they differ by their UIDs, and by the pixels from those of another noise."""
    (item,) = dicom_series(slices=1, rows=rows, columns=rows, noise=noise)
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = INSTANCE
    data = to_bytes(item)
    return {uid(number): data.replace(INSTANCE.encode(), uid(number).encode()) for number in range(count)}


def written(folder: Path, made: dict[str, bytes]) -> Path:
    """The objects as files, each named by its UID."""
    folder.mkdir()
    for name, data in made.items():
        (folder / f"{name}.dcm").write_bytes(data)
    return folder


@dataclass
class Hospital:
    """A workspace, and the commands that run over it as processes of their own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    on_start: Callable[[int], object] = lambda _pid: None
    runner: tuple[str, ...] = ("-m", "tapetum")
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, command: str, *words: object) -> subprocess.Popen[str]:
        """Start a command; its standard output and error are pipes."""
        process = subprocess.Popen(
            [sys.executable, *self.runner, command, "-w", str(self.folder), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )
        self.on_start(process.pid)
        self.started.append(process)
        return process

    def server(self, command: str) -> tuple[subprocess.Popen[str], int]:
        """Start ``listen`` or ``serve``; its process and its port."""
        process = self.start(command, "--port", "0")
        stream = process.stdout if command == "listen" else process.stderr
        assert stream is not None
        found = re.search(r":(\d+)", stream.readline())
        assert found, process.communicate()
        return process, int(found[1])

    def run(self, command: str, *words: object) -> tuple[int, str]:
        """Run a command to its end; its exit status and what it said on standard error."""
        process = self.start(command, *words)
        said = process.communicate(timeout=120)[1]
        return process.returncode, said

    def workspace(self) -> Workspace:
        """The workspace, opened in this process."""
        return Workspace(
            self.folder,
            **({"store_catalogue_url": url} if (url := self.environment.get("TAPETUM_STORE_CATALOGUE_URL")) else {}),
        )

    def stored(self) -> list[str]:
        """The UIDs in the catalogue, and each as often as it is there."""
        opened = self.workspace()
        try:
            return sorted(row.sop_instance_uid for row in opened.catalogue.select(Query("patient")))
        finally:
            opened.catalogue.close()

    def problems(self) -> set[str]:
        """What ``tapetum verify`` finds, by kind."""
        process = self.start("verify", "--json")
        told = json.loads(process.communicate(timeout=120)[0])
        return {row["problem"] for row in told["wrong"]}

    def is_sound(self, acknowledged: Iterable[str] = ()) -> bool:
        """After a kill: all that was acknowledged is there, once, and whole; a blob may wait for its sender."""
        opened = self.workspace()
        there = [row.sop_instance_uid for row in opened.catalogue.select(Query("patient"))]
        problems = {row["problem"] for row in verify(opened).wrong}
        opened.catalogue.close()
        return set(acknowledged) <= set(there) and len(there) == len(set(there)) and problems <= {"orphaned"}


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    """A workspace that keeps objects byte for byte."""
    Workspace.create(tmp_path / "hospital").catalogue.close()
    made = Hospital(tmp_path / "hospital", {"TAPETUM_PROTECT_DEIDENTIFY": "false"})
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


class Sender:
    """dcmtk's storescu, unmodified, with a folder of files that are named by their UIDs."""

    def __init__(self, port: int, folder: Path) -> None:
        if not STORESCU.exists():
            pytest.skip("dcmtk is not there: apt-get install dcmtk")
        command = [str(STORESCU), "-v", "-nh", "+sd", "-ta", "60", "-td", "60", "localhost", str(port), str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.answers: dict[str, str] = {}

    def answered(self) -> Iterator[tuple[str, str]]:
        """UID and status in words, as they come."""
        at = ""
        assert self._process.stdout is not None
        for said in self._process.stdout:
            if found := re.search(r"Sending file: .*/([\d.]+)\.dcm", said):
                at = found[1]
            if found := re.search(r"Received Store Response \((.*)\)", said):
                self.answers[at] = found[1]
                yield at, found[1]
        self._process.communicate(timeout=60)

    def wait(self) -> set[str]:
        """The UIDs that were acknowledged, once it has ended."""
        return {name for name, status in self.answered() if status == "Success"}


def stow(port: int, made: Iterable[bytes]) -> tuple[int, set[str]]:
    """POST objects in one request: the status (0: no answer), and the UIDs that are acknowledged."""
    body = b"".join(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in made) + b"--x--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/dicom-web/studies", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, told = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, set()
    except (OSError, http.client.HTTPException):  # it went away before it had answered
        return 0, set()
    found = Dataset.from_json(told.decode())
    return status, {str(item.ReferencedSOPInstanceUID) for item in found.get("ReferencedSOPSequence", ())}


class SmallDisk:
    """A file system of a few MiB, below the workspace."""

    def __init__(self, hospital: Hospital) -> None:
        self._place = hospital.folder
        self._ballast = self._place / "ballast"

    def fill(self) -> None:
        """Leave less than one object of room."""
        with self._ballast.open("ab", buffering=0) as out:
            for size in (1 << 20, 1 << 16, 1 << 12):
                with suppress(OSError):
                    while out.write(bytes(size)) == size:
                        pass

    def free(self) -> None:
        """Make room."""
        self._ballast.unlink()


class ShortFiles:
    """Files cannot grow beyond some KiB: the kernel refuses (EFBIG), for anybody's processes and without a mount."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital, self._limit = hospital, resource.RLIM_INFINITY
        hospital.on_start = self._apply

    def fill(self) -> None:
        """Let nothing larger be written."""
        self._set(20_000)

    def free(self) -> None:
        """Let everything be written."""
        self._set(resource.RLIM_INFINITY)

    def _set(self, limit: int) -> None:
        self._limit = limit
        for process in self._hospital.started:
            if process.poll() is None:
                self._apply(process.pid)

    def _apply(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (self._limit, resource.RLIM_INFINITY))


def _mount(place: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    return os.geteuid() == 0 and not subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture(params=["small file system", "short files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, hospital: Hospital) -> Iterator[SmallDisk | ShortFiles]:
    """A disk that can be full; where nothing may be mounted, twice the one that needs no mount."""
    place = tmp_path / "small"
    place.mkdir()
    if request.param == "short files" or not _mount(place):
        yield ShortFiles(hospital)
        return
    hospital.folder = place / "hospital"
    Workspace.create(hospital.folder).catalogue.close()
    yield SmallDisk(hospital)
    for process in hospital.started:
        process.kill()
        process.wait()
    subprocess.run(["umount", "-l", str(place)], check=True)
