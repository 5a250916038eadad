"""What is taken in is not held: peak memory of a run over many small files and one large object or volume."""

from __future__ import annotations

import gzip
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
import pytest

from tapetum.testing import dicom_series, to_bytes

FILES, LARGE_BYTES, ALLOWED_MIB = 2000, 300 << 20, 120
ALLOWED_VOLUME_MIB = 40
SLICE = np.tile(np.arange(64, dtype="<f4"), 4096).tobytes()
RUN = """
import resource, sys
from pathlib import Path
from tapetum.acquire import Policy, acquire, read_mapping
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, ObservationTable, SqlCatalogue

def take(inbox):
    tally = acquire([inbox], blobs=LocalBlobs(folder / "blobs"), catalogue=catalogue,
                    observe=ObservationTable(folder / "t").append, names=Pseudonymiser(bytes(32)), policy=Policy(),
                    mapping=mapping)
    return tally.outcomes["stored"]

folder = Path(sys.argv[1])
mapping = read_mapping(folder / "mapping.toml") if (folder / "mapping.toml").exists() else None
catalogue = SqlCatalogue(f"sqlite:///{folder / 'catalogue.db'}")
take(folder / "warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stored = take(folder / "in")
print(stored, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.slow
def test_two_thousand_files_and_a_large_film_are_not_held_in_memory(tmp_path: Path) -> None:
    inbox, warm = tmp_path / "in", tmp_path / "warm"
    inbox.mkdir()
    warm.mkdir()
    first = dicom_series(slices=1, rows=4, columns=4)[0]
    (warm / "a.dcm").write_bytes(to_bytes(first))
    data, uid = to_bytes(first), str(first.SOPInstanceUID).encode()
    for number in range(FILES):
        new = b"1.2.3." + str(10 ** (len(uid) - 7) + number).encode()
        (inbox / f"{number}.dcm").write_bytes(data.replace(uid, new))
    film = dicom_series(slices=1, rows=512, columns=512, series="film")[0]
    frames = LARGE_BYTES // len(film.PixelData)
    film.NumberOfFrames = str(frames)
    frame, film.PixelData = bytes(film.PixelData), b""
    head = to_bytes(film)[:-4]  # the length of the pixel element stands last
    with (inbox / "film.dcm").open("wb") as out:
        out.write(head + (frames * len(frame)).to_bytes(4, "little"))
        for _ in range(frames):
            out.write(frame)
    stored, grown_mib = taken_in(tmp_path)
    assert stored == FILES + 1
    assert grown_mib < ALLOWED_MIB


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nii", "nii.gz", "nrrd", "gzip.nrrd"])
def test_a_large_volume_is_not_held_in_memory(tmp_path: Path, kind: str) -> None:
    for folder, slices in (("warm", 1), ("in", LARGE_BYTES // len(SLICE))):
        (tmp_path / folder).mkdir()
        with (tmp_path / folder / f"p1.{kind}").open("wb") as out:
            write_volume(out, kind, slices)
    (tmp_path / "mapping.toml").write_text("[files]\npattern = '(?P<patient>p1)'\n")
    stored, grown_mib = taken_in(tmp_path)
    assert stored == 1
    assert grown_mib < ALLOWED_VOLUME_MIB


def write_volume(out: BinaryIO, kind: str, slices: int) -> None:
    """float32, 512 x 512 x slices."""
    nifti = nib.Nifti1Header()
    nifti.set_data_shape((512, 512, slices))
    nifti.set_data_dtype(np.float32)
    nifti["vox_offset"], nifti["magic"] = 352, b"n+1"
    encoding = "gzip" if kind.startswith("gzip") else "raw"
    nrrd = f"NRRD0004\ntype: float\ndimension: 3\nsizes: 512 512 {slices}\nendian: little\nencoding: {encoding}\n\n"
    head = bytes(nifti.binaryblock) + bytes(4) if kind.startswith("nii") else nrrd.encode()
    if kind.endswith("nrrd"):
        out.write(head)
        head = b""
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) if "g" in kind else nullcontext(out) as inner:
        inner.write(head)
        for _ in range(slices):
            inner.write(SLICE)


def taken_in(folder: Path) -> tuple[int, int]:
    """How many files a process of its own stores, and by how many MiB the large run exceeds a small one before it."""
    finished = subprocess.run([sys.executable, "-c", RUN, str(folder)], check=True, capture_output=True, text=True)
    stored, grown_mib = map(int, finished.stdout.split())
    return stored, grown_mib
