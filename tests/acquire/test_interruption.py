"""A run that is killed or stopped anywhere and started again ends like one that was left in peace."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tapetum.acquire import read_mapping
from tapetum.testing import dicom_series, to_bytes

RUN = """
import sys
from pathlib import Path
from tapetum.acquire import Policy, acquire, ingest, read_mapping
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, ObservationTable, SqlCatalogue

ingest.BATCH = 16
folder, inbox, mapping = map(Path, sys.argv[1:])
folder.mkdir(exist_ok=True)
def told(progress):
    print(progress.done_bytes, flush=True)
acquire([inbox], blobs=LocalBlobs(folder / "blobs"), catalogue=SqlCatalogue(f"sqlite:///{folder / 'catalogue.db'}"),
        observe=ObservationTable(folder / "t").append, names=Pseudonymiser(bytes(range(32))), policy=Policy(),
        mapping=read_mapping(mapping), on_progress=told)
"""
MAPPING = """
[columns]
patient = "id"
file = "file"
[[observation]]
column = "grade"
level = "image"
[[observation]]
column = "age"
"""
FILES = 90


@pytest.fixture
def work(inbox: Path, tmp_path: Path) -> list[str]:
    rows = ["id,file,grade,age"]
    for patient in range(6):
        for index, dataset in enumerate(dicom_series(patient_id=f"P{patient}", slices=FILES // 6, rows=4, columns=4)):
            (inbox / f"{patient}-{index:02d}.dcm").write_bytes(to_bytes(dataset))
            rows.append(f"P{patient},{patient}-{index:02d}.dcm,{index},{50 + patient}")
    (inbox / "9-letter.dcm").write_bytes(b"Dear colleague")
    (inbox / "facts.csv").write_text("\n".join(rows))
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return [str(inbox), str(tmp_path / "mapping.toml")]


def interrupted(folder: Path, work: list[str], *, after_files: int, with_signal: signal.Signals) -> None:
    """Start a run and send it the signal when it has told of so many files (-1: as soon as it breathes)."""
    command = [sys.executable, "-c", RUN, str(folder), *work]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for _ in range(after_files):
            process.stdout.readline()
        time.sleep(0.003 * (after_files % 3))  # not always at the same point of a file
        process.send_signal(with_signal)
        process.stdout.read()
    assert process.returncode != 0


@pytest.mark.slow
def test_a_killed_or_stopped_run_ends_like_an_undisturbed_one(hospital: Any, work: list[str], tmp_path: Path) -> None:
    inbox, mapping = Path(work[0]), read_mapping(Path(work[1]))
    disturbed = tmp_path / "disturbed"
    kinds = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGINT, signal.SIGKILL)
    for after, kind in zip((1, 15, 17, 33, 50, 85), kinds, strict=True):
        interrupted(disturbed, work, after_files=after, with_signal=kind)
    finished = subprocess.run([sys.executable, "-c", RUN, str(disturbed), *work], check=False, capture_output=True)
    assert finished.returncode == 0, finished.stderr
    hospital.take(inbox, mapping=mapping)
    other = type(hospital)(
        disturbed,
        hospital.names,
        type(hospital.blobs)(disturbed / "blobs"),
        type(hospital.catalogue)(f"sqlite:///{disturbed / 'catalogue.db'}"),
        type(hospital.table)(disturbed / "t"),
    )
    other.blobs.sweep()
    left, right = hospital.state(), other.state()
    other.catalogue.close()
    for part in left:
        assert left[part] == right[part], part
    assert sum(map(len, left["instances"])) == FILES == len(left["blobs"])
    assert len(left["observations"]) == 6 + 6  # a grade for each series and an age for each patient
