"""What is taken in is not held: peak memory of a run over many small files and one large object."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tapetum.testing import dicom_series, to_bytes

FILES, LARGE_BYTES, ALLOWED_MIB = 2000, 300 << 20, 120
RUN = """
import resource, sys
from pathlib import Path
from tapetum.acquire import Policy, acquire
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, ObservationTable, SqlCatalogue

def take(inbox):
    tally = acquire([inbox], blobs=LocalBlobs(folder / "blobs"), catalogue=catalogue,
                    observe=ObservationTable(folder / "t").append, names=Pseudonymiser(bytes(32)), policy=Policy())
    return tally.outcomes["stored"]

folder = Path(sys.argv[1])
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
    finished = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], check=True, capture_output=True, text=True)
    stored, grown_mib = map(int, finished.stdout.split())
    assert stored == FILES + 1
    assert grown_mib < ALLOWED_MIB
