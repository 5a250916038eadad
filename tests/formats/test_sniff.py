from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from tapetum.formats.sniff import HEAD_BYTES, sniff
from tapetum.testing import dicom_series, to_bytes


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, kind)
    return out.getvalue()


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", "b")
    return out.getvalue()


def nifti(version: int, shape: tuple[int, ...]) -> bytes:
    head = bytearray(HEAD_BYTES + 28)
    if version == 1:
        head[0:4], head[344:348] = (348).to_bytes(4, "little"), b"n+1\0"
        head[40:56] = np.array([len(shape), *shape, *[1] * (7 - len(shape))], "<i2").tobytes()
    else:
        head[0:4], head[4:8] = (540).to_bytes(4, "little"), b"n+2\0"
        head[16:80] = np.array([len(shape), *shape, *[1] * (7 - len(shape))], "<i8").tobytes()
    return bytes(head)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (to_bytes(dicom_series(slices=1)[0]), "dicom"),
        (to_bytes(dicom_series(slices=1)[0])[132:], "dicom"),
        (nifti(1, (2, 3, 4)), "nifti"),
        (nifti(2, (2, 3, 4)), "nifti"),
        (b"NRRD0005\n", "nrrd"),
        *((picture(kind), "picture") for kind in ("PNG", "JPEG", "TIFF", "BMP")),
        (zipped(), "zip"),
        (tar(), "tar"),
        (bz2.compress(tar()), "tar"),
        (gzip.compress(tar(), mtime=0), "gzip"),
        (b"", ""),
        (b"a discharge letter", ""),
        (b"BM is how this sentence begins, but it is no bitmap", ""),
        (b"\0" * 512, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_the_first_bytes_say_what_a_file_is(data: bytes, kind: str) -> None:
    assert sniff(data[:HEAD_BYTES]) == kind


def test_a_dicom_file_whose_preamble_is_a_tiff_header_is_dicom() -> None:
    data = to_bytes(dicom_series(slices=1)[0])
    assert sniff(b"II*\0" + data[4:HEAD_BYTES]) == "dicom"


def test_the_name_decides_about_tables_and_nothing_else() -> None:
    assert sniff(b"patient,age\n1,2\n", name="Facts.CSV") == "table"
    assert sniff(b"patient,age\n1,2\n", name="facts.dcm") == ""
    assert sniff(b"\0\1\2", name="facts.csv") == ""
    assert sniff(picture("PNG"), name="facts.csv") == "picture"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b'{"resourceType": "Patient"}', "x", "fhir"),
        (b'\xef\xbb\xbf \n{"resourceType": "Patient"}', "x", "fhir"),
        (b'[{"resourceType": "Patient"}]', "x", "fhir"),
        (b'{"entry": []', "bundle.json", "fhir"),
        (b"{}", "Patient.ndjson", "fhir"),
        (b"{}", "x", ""),
        (b"resourceType", "x.json", ""),
        (b'{"a"\0', "x.json", ""),
        (b"PAR1\x15", "x", "parquet"),
    ],
)
def test_fhir_and_parquet_are_known_by_their_beginning(head: bytes, name: str, kind: str) -> None:
    assert sniff(head, name=name) == kind
