"""A long run: small instances from four senders at once into ``tapetum listen``; none may be lost, none doubled.

    python benchmarks/soak.py            # 100,000 instances of 64x64
    python benchmarks/soak.py --quick    # 2,000

The senders are dcmtk's storescu, one association each. One instance in a hundred is sent by all four. In the end the
catalogue is compared with what was sent, UID by UID, and every blob with its digest. Exit 1 if anything is amiss.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from archive import STORESCU, tapetum
from harness import arguments, machine, spending

from tapetum.flow import Workspace
from tapetum.model import Query
from tapetum.testing import dicom_series, to_bytes

SENDERS = 4
SHARED = 100
"""One instance in so many is sent by every sender."""

PER_SERIES = 500
INSTANCE, SERIES, STUDY, PATIENT = (f"2.25.{kind}{'0' * 11}" for kind in (11, 12, 13, 14))


def template() -> bytes:
    """One slice, whose UIDs can be replaced by others of the same length."""
    noise = np.random.default_rng(1).normal(1000, 60, (1, 64, 64)).astype(np.int16)
    (item,) = dicom_series(patient_id=PATIENT, volume=noise)
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = INSTANCE
    item.SeriesInstanceUID, item.StudyInstanceUID = SERIES, STUDY
    return to_bytes(item)


def numbered(uid: str, number: int) -> str:
    """The UID with a number in its last digits."""
    return uid[:-11] + f"{number:011d}"


def make(folder: Path, count: int) -> set[str]:
    """Write the objects, a folder a sender; returns their UIDs."""
    data, uids = template(), set()
    for sender in range(SENDERS):
        (folder / str(sender)).mkdir(parents=True)
    for number in range(count):
        uid, group = numbered(INSTANCE, number), number // PER_SERIES
        changed = data.replace(INSTANCE.encode(), uid.encode())
        for kind in (SERIES, STUDY, PATIENT):
            changed = changed.replace(kind.encode(), numbered(kind, group).encode())
        uids.add(uid)
        for sender in range(SENDERS) if number % SHARED == 0 else (number % SENDERS,):
            (folder / str(sender) / f"{number:06d}.dcm").write_bytes(changed)
    return uids


def watch(pid: int, sent: Path, stop: threading.Event) -> None:
    """Tell of the server's memory twice a minute."""
    while not stop.wait(30):
        print(f"  {peak_mib(pid, 'VmRSS'):.0f} MiB, free on disk {shutil.disk_usage(sent).free >> 20} MiB", flush=True)


def peak_mib(pid: int, field: str = "VmHWM") -> float:
    """Resident memory of a process, in MiB: the most it ever had, unless another field is asked (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(field))) / 1024


def wrongs(place: Path, uids: set[str]) -> list[str]:
    """What is lost, doubled or damaged in a workspace, in words."""
    stored = [row.sop_instance_uid for row in Workspace(place).catalogue.select(Query("patient"))]
    found = []
    if missing := uids - set(stored):
        found.append(f"{len(missing)} lost")
    if len(stored) != len(set(stored)) or len(stored) > len(uids):
        found.append(f"{len(stored) - len(uids)} doubled")
    command = [sys.executable, "-m", "tapetum", "verify", "-w", str(place), "--json"]
    told = json.loads(subprocess.run(command, check=False, stdout=subprocess.PIPE).stdout)
    if told["wrong"] or told["whole"] != len(uids):
        found.append(f"verify: {told['whole']} whole, {len(told['wrong'])} wrong")
    return found


def main() -> None:
    """Send, compare, tell."""
    count = 2000 if arguments(__doc__ or "").quick else 100_000
    with tempfile.TemporaryDirectory() as folder:
        sent = Path(folder) / "sent"
        uids = make(sent, count)
        with tapetum(Path(folder) / "hospital", "listen") as here:
            idle, stop = peak_mib(here.pid), threading.Event()
            threading.Thread(target=watch, args=(here.pid, sent, stop), daemon=True).start()
            with spending(here.pid) as spent:
                senders = [
                    subprocess.Popen([STORESCU, "+sd", "-aec", "TAPETUM", "127.0.0.1", str(here.port), str(place)])
                    for place in sorted(sent.iterdir())
                ]
                failed = [sender.args for sender in senders if sender.wait()]
            stop.set()
            peak = peak_mib(here.pid)
        objects = sum(1 for _ in sent.rglob("*.dcm"))
        start = time.perf_counter()
        found = wrongs(here.workspace, uids) + [f"{len(failed)} senders failed"] * bool(failed)
        checked = time.perf_counter() - start
    print(machine())
    print(f"sent {objects} objects of {count} instances over {SENDERS} associations")
    print(f"rate {objects / spent.wall:.0f} a second, {spent.cpu / objects * 1000:.2f} ms CPU an object in the server")
    print(f"memory {peak:.0f} MiB at most, {idle:.0f} MiB idle")
    print(f"checked in {checked:.0f} s: {', '.join(found) or 'none lost, none doubled, every blob whole'}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
