"""Orthanc as a peer: the Debian package (``apt install orthanc orthanc-dicomweb``), started in a folder of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.error import URLError
from urllib.request import Request, urlopen

PLUGINS = "/usr/share/orthanc/plugins"


class Orthanc:
    """A running server; its storage is synced to disk after every file, as ours is (SyncStorageArea)."""

    def __init__(self, folder: Path, *, dicomweb: bool = True) -> None:
        binary = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
        if not Path(binary).exists():
            raise SystemExit("Orthanc is not here: apt install orthanc orthanc-dicomweb")
        folder.mkdir(parents=True)
        self.http, self.dicom = free_port(), free_port()
        plugins = [str(path) for path in Path(PLUGINS).glob("*DicomWeb*.so")] if dicomweb else []
        settings = {
            "Name": "Peer",
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "SyncStorageArea": True,
            "DicomAlwaysAllowStore": True,
            "OverwriteInstances": False,
            "LimitFindResults": 0,
            "Plugins": plugins,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings), encoding="ascii")
        command = [binary, str(folder / "orthanc.json")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{self.http}"
        wait_for(self.url + "/system", self._process)

    def __enter__(self) -> Orthanc:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(30)

    def count(self) -> int:
        """Instances stored."""
        return int(json.loads(get(self.url + "/statistics"))["CountInstances"])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def get(url: str, accept: str = "*/*") -> bytes:
    """The body of a GET."""
    with urlopen(Request(url, headers={"Accept": accept}), timeout=300) as answer:
        return bytes(answer.read())


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Return when the address answers; raise when the process ends or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with suppress(URLError, OSError):
            get(url)
            return
        time.sleep(0.1)
    raise SystemExit(f"the server at {url} did not come up")
