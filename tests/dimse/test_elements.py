"""Single elements, against pydicom."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.filereader import read_dataset

from tapetum.dimse.elements import element, file_head, item_sequence, peek, read_meta, tag_of
from tapetum.errors import RejectedInput

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
VALUES: dict[str, object] = {
    "SpecificCharacterSet": "ISO_IR 192", "ModalitiesInStudy": ("CT", "MR"), "PatientName": "Мария", "Rows": 512,
    "NumberOfFrames": 3, "RescaleSlope": "1.5", "StudyDate": None, "ProcedureCodeSequence": "x",
}  # fmt: skip


@pytest.mark.parametrize("implicit", [True, False])
def test_pydicom_reads_our_elements(implicit: bool) -> None:
    keywords = sorted(VALUES, key=tag_of)
    data = b"".join(element(keyword, VALUES[keyword], implicit=implicit) for keyword in keywords)
    found = read_dataset(io.BytesIO(data), implicit, True)
    assert found.ModalitiesInStudy == ["CT", "MR"]
    assert (found.PatientName, found.Rows, found.NumberOfFrames, found.RescaleSlope) == ("Мария", 512, 3, 1.5)
    assert not found.StudyDate
    assert not found.ProcedureCodeSequence


def test_pydicom_reads_our_sequence() -> None:
    item = element("ReferencedSOPInstanceUID", "1.2.3", implicit=False)
    data = item_sequence("ReferencedSOPSequence", [item, item], implicit=False)
    found = read_dataset(io.BytesIO(data), False, True)
    assert [one.ReferencedSOPInstanceUID for one in found.ReferencedSOPSequence] == ["1.2.3"] * 2


def test_a_word_that_is_no_keyword_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no DICOM keyword"):
        element("NoSuchThing", "", implicit=True)


def test_our_file_head_is_read_by_pydicom_and_by_us() -> None:
    head = file_head("1.2.840.10008.5.1.4.1.1.2", "1.2.3", EXPLICIT)
    meta = pydicom.dcmread(io.BytesIO(head + element("PatientID", "1", implicit=False))).file_meta
    assert (meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == ("1.2.3", EXPLICIT)
    assert read_meta(head) == (EXPLICIT, len(head))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm"])
def test_the_identity_of_a_data_set_is_found_in_its_first_bytes(name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom comes without {name}")
    data, whole = Path(path).read_bytes(), pydicom.dcmread(path)
    syntax, start = read_meta(data)
    assert syntax == whole.file_meta.TransferSyntaxUID
    assert peek(data[start : start + 1024], syntax) == (whole.SOPClassUID, whole.SOPInstanceUID)


def test_nothing_is_found_in_garbage() -> None:
    assert peek(b"\xff" * 100, EXPLICIT) == ("", "")
    for garbage in (b"", bytes(200), bytes(128) + b"DICM\x02\0\0\0UL\x04\0\x08\0\0\0" + bytes(8)):
        with pytest.raises(RejectedInput):
            read_meta(garbage)
