"""What a validator of others (dicom3tools' dciodvfy) says of objects before and after they were de-identified."""

from __future__ import annotations

import io
import subprocess
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from tapetum.acquire import Policy
from tapetum.acquire.dicom_intake import DicomIntake
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, SqlCatalogue
from tapetum.testing import dicom_series, enhanced, radiograph, segmentation, structure_set, to_bytes

VALIDATOR = Path("/usr/bin/dciodvfy")
pytestmark = pytest.mark.skipif(not VALIDATOR.exists(), reason="no dciodvfy: apt install dicom3tools")

REAL = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "693_J2KR.dcm", "MR_small_RLE.dcm")


def errors(path: Path) -> Counter[str]:
    """The validator's lines of errors, without the values that they quote."""
    said = subprocess.run([VALIDATOR, path], capture_output=True, text=True, check=False, errors="replace")
    lines = [line.split("Error - ", 1)[1] for line in said.stderr.splitlines() if line.startswith("Error - ")]
    return Counter(line.partition(" = <")[0] for line in lines)


def phantoms() -> dict[str, Any]:
    slices = dicom_series(slices=3)
    x, y, z = (float(value) for value in slices[1].ImagePositionPatient)
    centre = (x + 12.0, y + 12.0, z)
    return {
        "slice": slices[0],
        "enhanced": enhanced(slices),
        "radiograph": radiograph(),
        "segmentation": segmentation(slices, {"lesion": np.ones((3, *slices[0].pixel_array.shape), bool)}),
        "structure set": structure_set(slices, centre_mm=centre, radii_mm=(8.0, 6.0, 6.0)),
    }


def stored(data: bytes, folder: Path) -> bytes:
    blobs, catalogue = LocalBlobs(folder / "blobs"), SqlCatalogue(f"sqlite:///{folder / 'catalogue.db'}")
    intake = DicomIntake(blobs, catalogue, Pseudonymiser(bytes(32)), Policy(allow_burned_in=True))
    instance, _ = intake.take(io.BytesIO(data), len(data))
    catalogue.close()
    with blobs.open(instance.blob) as file:
        return file.read()


def compared(data: bytes, folder: Path) -> Counter[str]:
    """The errors that de-identifying added."""
    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(data)
    after.write_bytes(stored(data, folder))
    return errors(after) - errors(before)


@pytest.mark.parametrize("name", ["slice", "enhanced", "radiograph", "segmentation", "structure set"])
def test_deidentified_phantoms_have_no_new_errors(name: str, tmp_path: Path) -> None:
    assert compared(to_bytes(phantoms()[name]), tmp_path) == Counter()


@pytest.mark.parametrize("name", REAL)
def test_deidentified_scans_have_no_new_errors(name: str, tmp_path: Path) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom came without {name}: install pydicom-data")
    assert compared(Path(str(path)).read_bytes(), tmp_path) == Counter()


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broken = pydicom.dcmread(io.BytesIO(to_bytes(phantoms()["slice"])))
    del broken.PatientID
    path = tmp_path / "broken.dcm"
    path.write_bytes(to_bytes(broken))
    assert any("PatientID" in line for line in errors(path))
