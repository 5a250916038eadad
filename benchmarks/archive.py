"""The archive against Orthanc: the same CT slices into both, in turn, in one run; then the same questions to both.

    python benchmarks/archive.py            # 2,000 slices and the real index of a million series
    python benchmarks/archive.py --quick    # 200 slices, under a minute

Both write durably: Orthanc syncs each stored file (SyncStorageArea) and its SQLite index at checkpoints; tapetum syncs
the objects and then the catalogue (synchronous FULL) before it answers. Parts: folder, cstore, stow, query, scale.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
from harness import Figures, Spent, arguments, spending
from index import scale
from orthanc import Orthanc, free_port, get, wait_for

from tapetum.testing import dicom_series

STORESCU = "/usr/bin/storescu"
SERIES_SLICES = 200
MANY_FRAMES = 200
BODY = 'multipart/related; type="application/dicom"; boundary=x'


@dataclass(frozen=True)
class Tapetum:
    """A running ``tapetum serve`` or ``tapetum listen`` and the workspace behind it."""

    pid: int
    port: int
    workspace: Path

    @property
    def web(self) -> str:
        """Where DICOMweb is."""
        return f"http://127.0.0.1:{self.port}/dicom-web"


def make_slices(folder: Path, count: int) -> list[Path]:
    """CT slices of 512x512, 16 bit, with the noise of a scanner, 200 a series, each series of its own patient."""
    folder.mkdir()
    made = []
    for number in range(0, count, SERIES_SLICES):
        each = min(SERIES_SLICES, count - number)
        draw = np.random.default_rng(number)
        volume = draw.normal(1000, 60, (each, 512, 512)).astype(np.int16)
        for index, dataset in enumerate(dicom_series(patient_id=f"P{number}", series=str(number), volume=volume)):
            path = folder / f"{number + index:05d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            made.append(path)
    return made


def workspace(folder: Path) -> Path:
    """A new workspace."""
    subprocess.run([sys.executable, "-m", "tapetum", "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


@contextmanager
def tapetum(folder: Path, command: str) -> Iterator[Tapetum]:
    """``tapetum serve`` or ``tapetum listen`` over a new workspace that keeps what it gets as it is."""
    place, port = workspace(folder), free_port()
    setting = {"serve": "TAPETUM_WEB_PORT", "listen": "TAPETUM_DIMSE_PORT"}[command]
    process = subprocess.Popen(
        [sys.executable, "-m", "tapetum", command, "-w", str(place)],
        env={**os.environ, "TAPETUM_PROTECT_DEIDENTIFY": "false", setting: str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if command == "serve":
            wait_for(f"http://127.0.0.1:{port}/health", process)
        else:
            wait_for_echo(port)
        yield Tapetum(process.pid, port, place)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for_echo(port: int) -> None:
    """Until C-ECHO is answered."""
    for _ in range(300):
        if not subprocess.run(
            ["/usr/bin/echoscu", "127.0.0.1", str(port)], capture_output=True, check=False
        ).returncode:
            return
        time.sleep(0.1)
    raise SystemExit("tapetum listen did not come up")


def same(what: str, ours: object, theirs: object) -> None:
    """The results agree, or there is nothing to time."""
    if ours != theirs:
        raise SystemExit(f"{what} differ: {ours!r} here, {theirs!r} there")


def folder_part(figures: Figures, work: Path, slices: list[Path]) -> None:
    """A folder into tapetum, with and without de-identification, against a REST POST of each file into Orthanc."""
    with Orthanc(work / "orthanc") as peer:
        with spending(peer.pid) as theirs:
            for path in slices:
                post(peer.url + "/instances", path.read_bytes(), "application/dicom")
        same("instances", peer.count(), len(slices))
    first = work / "first"
    first.mkdir()
    shutil.copy(slices[0], first)
    for name, deidentify, goal in (("folder_as_it_is", "false", 3.0), ("folder_deidentified", "true", 1.0)):
        place = workspace(work / name)
        started, _ = acquire(place, first, deidentify)  # starting costs the same for any number of files
        ours, told = acquire(place, slices[0].parent, deidentify)
        same("instances", told["stored"] + told["duplicate"], len(slices))
        ours.cpu -= started.cpu
        figures.add(name, theirs.cpu / ours.cpu, goal, per_instance(ours, theirs, len(slices)))


def acquire(place: Path, path: Path, deidentify: str) -> tuple[Spent, dict[str, int]]:
    """``tapetum acquire`` of a path, as a command; what it took and what it told."""
    settings = {**os.environ, "TAPETUM_PROTECT_DEIDENTIFY": deidentify}
    command = [sys.executable, "-m", "tapetum", "acquire", "-w", str(place), "--json", str(path)]
    before, start = os.times(), time.perf_counter()
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=settings).stdout)
    after = os.times()
    return Spent(time.perf_counter() - start, sum(after[2:4]) - sum(before[2:4])), told


def cstore_part(figures: Figures, work: Path, slices: list[Path]) -> None:
    """dcmtk's storescu, unmodified, one association and four at once."""
    for associations, goal in ((1, 4.0), (4, 1.5)):
        share = len(slices) if associations > 1 else max(len(slices) // 4, 50)
        shares = [slices[:share][i::associations] for i in range(associations)]
        with Orthanc(work / f"orthanc{associations}") as peer:
            theirs = send(shares, peer.dicom, "ORTHANC", peer.pid)
            same("instances", peer.count(), share)
        with tapetum(work / f"listen{associations}", "listen") as here:
            ours = send(shares, here.port, "TAPETUM", here.pid)
        same("instances", stored(here.workspace), share)
        told = f"{share / ours.wall:.0f} a second, Orthanc {share / theirs.wall:.0f}; " + per_instance(
            ours, theirs, share
        )
        figures.add(f"cstore_{associations}", theirs.wall / ours.wall, goal, told)


def stow_part(figures: Figures, work: Path, slices: list[Path]) -> None:
    """STOW-RS, ten instances a request."""
    with Orthanc(work / "orthanc") as peer:
        theirs = stow(peer.url + "/dicom-web/studies", slices, peer.pid)
        same("instances", peer.count(), len(slices))
        with tapetum(work / "serve", "serve") as here:
            ours = stow(here.web + "/studies", slices, here.pid)
            same("instances", stored(here.workspace), len(slices))
            figures.add("stow_cpu", theirs.cpu / ours.cpu, 2.0, per_instance(ours, theirs, len(slices)))
            query(figures, here.web, peer.url + "/dicom-web", len(slices))
            frame_of_many(figures, here.web, peer.url + "/dicom-web", work)


def query(figures: Figures, here: str, there: str, count: int) -> None:
    """QIDO-RS of every instance, the metadata of a series (first answer apart), one frame: the best of some each."""
    accept = "application/dicom+json"
    everything = f"/instances?limit={count}"
    found, ours = fastest(lambda: get(here + everything, accept))
    known, theirs = fastest(lambda: get(there + everything, accept), times=1)
    same("instances found", sop_uids(found), sop_uids(known))
    figures.add("qido_all_under_half_a_second", 0.5 / ours, 1.0, f"{ours * 1000:.0f} ms, Orthanc {theirs * 1000:.0f}")
    first = json.loads(found)[0]
    study, series, instance = (first[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    path = f"/studies/{study}/series/{series}"
    _, ours = fastest(lambda: get(f"{here}{path}/metadata", accept), times=1)
    _, theirs = fastest(lambda: get(f"{there}{path}/metadata", accept), times=1)
    figures.add("series_metadata_first", theirs / ours, 5.0, f"{ours * 1000:.0f} ms, Orthanc {theirs * 1000:.0f}")
    ours_told, ours = fastest(lambda: get(f"{here}{path}/metadata", accept))
    theirs_told, theirs = fastest(lambda: get(f"{there}{path}/metadata", accept))
    same("instances in the metadata", sop_uids(ours_told), sop_uids(theirs_told))
    figures.add("series_metadata", theirs / ours, 5.0, f"{ours * 1000:.0f} ms, Orthanc {theirs * 1000:.0f}")
    one_frame(figures, "one_frame", here, there, f"{path}/instances/{instance}/frames/1")


def one_frame(figures: Figures, name: str, here: str, there: str, path: str) -> None:
    """A frame over a connection that is kept, as a viewer asks for it, and over a new one each: the best of twenty."""
    wanted = 'multipart/related; type="application/octet-stream"'
    with keeping(here, wanted) as ask_here, keeping(there, wanted) as ask_there:
        same("pixels", pixels(ask_here(path)), pixels(ask_there(path)))
        _, ours = fastest(lambda: ask_here(path), times=20)
        _, theirs = fastest(lambda: ask_there(path), times=20)
    figures.add(name, theirs / ours, 5.0, f"kept connection {ours * 1000:.2f} ms, Orthanc {theirs * 1000:.2f}")
    _, ours = fastest(lambda: get(here + path, wanted), times=20)
    _, theirs = fastest(lambda: get(there + path, wanted), times=20)
    told = f"new connection {ours * 1000:.2f} ms, Orthanc {theirs * 1000:.2f}"
    figures.add(f"{name}_new_connection", theirs / ours, 5.0, told)


@contextmanager
def keeping(root: str, accept: str) -> Iterator[Callable[[str], bytes]]:
    """Asks for paths below an address over one connection."""
    parts = urlsplit(root)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=300)

    def ask(path: str) -> bytes:
        connection.request("GET", parts.path + path, headers={"Accept": accept})
        answer = connection.getresponse()
        body = answer.read()
        same(f"status of {path}", answer.status, 200)
        return body

    try:
        yield ask
    finally:
        connection.close()


def frame_of_many(figures: Figures, here: str, there: str, work: Path) -> None:
    """A frame from the middle of an object of 200 frames, 100 MB."""
    volume = np.random.default_rng(1).normal(1000, 60, (MANY_FRAMES, 512, 512)).astype(np.int16)
    dataset = dicom_series(patient_id="many", series="many", volume=volume[:1])[0]
    dataset.NumberOfFrames, dataset.PixelData = MANY_FRAMES, volume.tobytes()
    path = work / "many.dcm"
    dataset.save_as(path, enforce_file_format=True)
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n--x--\r\n"
    for root in (here, there):
        post(root + "/studies", body, BODY)
    uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    place = "/studies/{}/series/{}/instances/{}".format(*uids)
    one_frame(figures, "one_frame_of_many", here, there, f"{place}/frames/{MANY_FRAMES // 2}")


def send(shares: list[list[Path]], port: int, title: str, pid: int) -> Spent:
    """storescu with these files, one process for each share, all at once."""
    with spending(pid) as spent:
        senders = [
            subprocess.Popen([STORESCU, "-aec", title, "127.0.0.1", str(port), *map(str, share)]) for share in shares
        ]
        if any(sender.wait() for sender in senders):
            raise SystemExit("storescu failed")
    return spent


def stow(url: str, slices: list[Path], pid: int) -> Spent:
    """Post the files, ten a request."""
    with spending(pid) as spent:
        for start in range(0, len(slices), 10):
            parts = [
                b"--x\r\nContent-Type: application/dicom\r\n\r\n" + p.read_bytes() for p in slices[start : start + 10]
            ]
            body = b"\r\n".join(parts) + b"\r\n--x--\r\n"
            post(url, body, BODY)
    return spent


def post(url: str, body: bytes, kind: str) -> bytes:
    """The answer to a POST."""
    with urlopen(Request(url, body, {"Content-Type": kind, "Accept": "application/dicom+json, */*;q=0.1"})) as answer:
        return bytes(answer.read())


def stored(place: Path) -> int:
    """Instances in the catalogue of a workspace."""
    command = [sys.executable, "-m", "tapetum", "series", "-w", str(place), "--json"]
    return sum(row["instances"] for row in json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def fastest(ask: Callable[[], bytes], *, times: int = 3) -> tuple[bytes, float]:
    """The answer, and the shortest time of some tries."""
    best, answer = float("inf"), b""
    for _ in range(times):
        start = time.perf_counter()
        answer = ask()
        best = min(best, time.perf_counter() - start)
    return answer, best


def sop_uids(told: bytes) -> set[str]:
    """SOP Instance UIDs of a DICOM JSON answer."""
    return {row["00080018"]["Value"][0] for row in json.loads(told)}


def pixels(told: bytes) -> bytes:
    """The first part of a multipart answer."""
    boundary = told.lstrip().split(b"\r\n", 1)[0]
    body = told.split(b"\r\n\r\n", 1)[1]
    return body[: body.rindex(b"\r\n" + boundary)]


def per_instance(ours: Spent, theirs: Spent, count: int) -> str:
    """CPU milliseconds an instance, ours and theirs."""
    return f"{ours.cpu / count * 1000:.2f} ms CPU an instance, Orthanc {theirs.cpu / count * 1000:.2f}"


PARTS = {"folder": folder_part, "cstore": cstore_part, "stow": stow_part}


def main() -> None:
    """Run the parts that are asked for."""
    asked = arguments(__doc__ or "")
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        slices = make_slices(Path(folder) / "slices", 200 if asked.quick else 2000)
        for name, part in PARTS.items():
            if not asked.only or name in asked.only:
                print(f"{name}: {len(slices)} slices", flush=True)
                work = Path(folder) / name
                work.mkdir()
                part(figures, work, slices)
                shutil.rmtree(work)
        if not asked.only or "scale" in asked.only:
            scale(figures, Path(folder), quick=asked.quick)
    figures.finish()


if __name__ == "__main__":
    main()
