from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from tapetum.errors import RejectedInput
from tapetum.formats import foreign
from tapetum.formats.elements import tag_of
from tapetum.formats.foreign import from_pydicom, read, to_pydicom, turned, word_bytes
from tapetum.testing import dicom_series, to_bytes


def one() -> pydicom.FileDataset:
    return dicom_series(slices=1, rows=8, columns=8)[0]


def big_endian() -> bytes:
    dataset, out = one(), io.BytesIO()
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    dataset.add_new(0x00281201, "OW", b"\x01\x02\x03\x04")
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.2")
    pydicom.dcmwrite(out, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    return out.getvalue()


def test_a_header_goes_to_pydicom_and_back_unchanged() -> None:
    header = from_pydicom(one())
    assert header.text("PatientName") == "Doe^Jane"
    assert not header.has("PixelData")
    assert from_pydicom(to_pydicom(header)) == header


def test_big_endian_becomes_little_endian_in_numbers_and_words() -> None:
    found = read(io.BytesIO(big_endian()))
    assert found.header.integer("Rows") == 8
    assert found.header.raw(0x00281201) == b"\x02\x01\x04\x03"
    assert found.syntax == found.arrived == "1.2.840.10008.1.2.2"


def test_a_sequence_that_was_sent_as_unknown_is_a_sequence() -> None:
    item = b"\xfe\xff\0\xe0\x0c\0\0\0" + b"\x08\0\0\x01\x04\0\0\x00121 "
    body = b"\x40\0\x43\xa0UN\0\0" + len(item).to_bytes(4, "little") + item
    data = to_bytes(one())
    at = data.index(b"\xe0\x7f\x10\0")
    found = read(io.BytesIO(data[:at] + body + data[at:]))
    assert found.header.first("ConceptNameCodeSequence").text("CodeValue") == "121"


def test_words_are_turned_around_and_a_rest_stays() -> None:
    assert turned(b"abcde", 2) == b"badce"
    assert turned(b"abcd", 4) == b"dcba"
    assert turned(b"abc", 1) == b"abc"


@pytest.mark.parametrize(
    ("vr", "bits", "size"), [("OW", 8, 2), ("OW", 16, 2), ("OW", 32, 4), ("OF", 32, 4), ("OB", 8, 1)]
)
def test_the_size_of_a_pixel_word_follows_its_representation(vr: str, bits: int, size: int) -> None:
    dataset = one()
    dataset.BitsAllocated = bits
    assert word_bytes(vr, from_pydicom(dataset)) == size


def test_a_value_that_pydicom_cannot_convert_is_unreadable() -> None:
    data = to_bytes(one())[132:]
    at = data.index(b"\x28\0\x10\0US")  # Rows
    with pytest.raises(RejectedInput) as caught:
        read(io.BytesIO(data[: at + 6] + b"\3\0abc" + data[at + 10 :]))
    assert caught.value.code == "unreadable"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_or_read_and_never_crash(data: bytes) -> None:
    for start in (b"", bytes(128) + b"DICM\2\0\0\0UL\4\0"):
        try:
            found = foreign.read(io.BytesIO(start + data))
        except RejectedInput:
            continue
        assert tag_of("PixelData") not in found.header
