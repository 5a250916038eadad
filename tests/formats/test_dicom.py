from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from tapetum.errors import RejectedInput
from tapetum.formats import dicom, foreign
from tapetum.testing import dicom_series, to_bytes


def one(**values: object) -> FileDataset:
    dataset = dicom_series(slices=1, rows=8, columns=8)[0]
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def code_of(data: bytes) -> str:
    with pytest.raises(RejectedInput) as caught:
        dicom.read(io.BytesIO(data))
    return caught.value.code


def rewritten(data: bytes) -> FileDataset:
    found = dicom.read(io.BytesIO(data))
    out = io.BytesIO()
    dicom.write(found.header, found, out)
    out.seek(0)
    return pydicom.dcmread(out)


def compressed(syntax: UID, frame: bytes, **values: object) -> FileDataset:
    dataset = one(**values)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def saved(dataset: FileDataset, *, implicit: bool, little: bool = True) -> bytes:
    out = io.BytesIO()
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2{'' if implicit else '.1' if little else '.2'}")
    pydicom.dcmwrite(out, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return out.getvalue()


def deflated(data: bytes) -> bytes:
    whole = pydicom.dcmread(io.BytesIO(data))
    whole.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return to_bytes(whole)


@pytest.mark.parametrize(
    "data",
    [
        to_bytes(one()),
        to_bytes(one())[132:],
        saved(one(), implicit=True),
        saved(one(), implicit=False, little=False),
        deflated(to_bytes(one())),
    ],
    ids=["explicit", "no preamble", "implicit", "big endian", "deflated"],
)
def test_every_uncompressed_encoding_keeps_its_pixels(data: bytes) -> None:
    after = rewritten(data)
    assert np.array_equal(after.pixel_array, one().pixel_array)
    assert after.SOPInstanceUID == one().SOPInstanceUID


def test_compressed_pixels_are_the_same_bytes() -> None:
    dataset = one()
    dataset.compress(RLELossless)
    after = rewritten(to_bytes(dataset))
    assert after.PixelData == dataset.PixelData
    assert after.file_meta.TransferSyntaxUID == RLELossless
    assert np.array_equal(after.pixel_array, one().pixel_array)


def test_the_same_object_gives_the_same_bytes_and_the_same_pixel_digest() -> None:
    found = [dicom.read(io.BytesIO(to_bytes(one(PatientName=name)))) for name in ("A^B", "C^D")]
    assert found[0].pixel_digest() == found[1].pixel_digest()
    outs = [io.BytesIO(), io.BytesIO()]
    for out in outs:
        dicom.write(found[0].header, found[0], out)
    assert outs[0].getvalue() == outs[1].getvalue()


def test_what_stands_around_the_object_is_not_copied() -> None:
    data = b"A preamble with a name".ljust(128, b"\0") + to_bytes(one())[128:] + b"bytes after the end"
    out = io.BytesIO()
    found = dicom.read(io.BytesIO(data))
    dicom.write(found.header, found, out)
    assert out.getvalue()[:128] == bytes(128)
    assert b"after the end" not in out.getvalue()


def test_a_file_cut_anywhere_is_refused() -> None:
    data = to_bytes(one())
    for length in (200, 300, 400, 700, 1000, len(data) - 100, len(data) - 1):
        assert code_of(data[:length]) in ("truncated", "missing-pixel-data", "missing-attribute"), length
    assert code_of(data[: len(data) - 1]) == "truncated"


def test_a_value_that_is_shorter_than_its_length_is_truncated() -> None:
    data = to_bytes(one())
    assert code_of(data[: data.index(b"General Hospital") + 7]) == "truncated"


def test_a_deflated_bomb_is_refused_before_it_unfolds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MAX_INFLATED", 1 << 20)
    bomb = deflated(to_bytes(one()))
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(bytes(8 << 20)) + deflate.flush()
    end = 144 + struct.unpack_from("<I", bomb, 140)[0]
    assert code_of(bomb[:end] + body) == "archive-bomb"
    assert code_of(bomb[:-20]) == "truncated"


def test_missing_pixels_and_attributes_are_named() -> None:
    dataset = one()
    del dataset.PixelData
    assert code_of(to_bytes(dataset)) == "missing-pixel-data"
    assert code_of(to_bytes(one(PixelData=b""))) == "missing-pixel-data"
    assert code_of(to_bytes(one(SeriesInstanceUID=""))) == "missing-attribute"
    assert code_of(to_bytes(one(StudyInstanceUID=""))) == "missing-attribute"


def test_too_few_pixel_bytes_are_truncated_and_too_many_are_refused_unless_blank() -> None:
    pixels = bytes(one().PixelData)
    assert code_of(to_bytes(one(PixelData=pixels[:-2]))) == "truncated"
    assert code_of(to_bytes(one(PixelData=pixels + b"Doe^Jane"))) == "unreadable"
    assert rewritten(to_bytes(one(PixelData=pixels + bytes(8)))).PixelData == pixels + bytes(8)


def test_pixels_in_another_encoding_than_named_are_refused() -> None:
    jpeg, native = to_bytes(compressed(JPEGBaseline8Bit, b"\xff\xd8\xff\xd9")), to_bytes(one())
    meta_end = [144 + struct.unpack_from("<I", data, 140)[0] for data in (jpeg, native)]
    assert code_of(jpeg[: meta_end[0]] + native[meta_end[1] :]) == "wrong-transfer-syntax"
    assert code_of(native[: meta_end[1]] + jpeg[meta_end[0] :]) == "wrong-transfer-syntax"
    assert code_of(to_bytes(compressed(JPEGBaseline8Bit, b"no jpeg at all, but something"))) == "wrong-transfer-syntax"


def test_a_private_transfer_syntax_and_a_dicomdir_are_not_taken_in() -> None:
    dataset = one()
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.113619.5.2")
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=True, little_endian=True)
    assert code_of(out.getvalue()) == "unsupported"
    directory = one()
    directory.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1.3.10")
    out = io.BytesIO()
    directory.save_as(out, enforce_file_format=False)
    assert code_of(out.getvalue()) == "unsupported"


def test_a_compressed_frame_without_end_is_truncated() -> None:
    data = to_bytes(compressed(JPEGBaseline8Bit, b"\xff\xd8" + bytes(60) + b"\xff\xd9"))
    assert code_of(data[:-8]) == "truncated"
    assert code_of(data[:-20]) == "truncated"


def test_the_comments_of_every_compressed_frame_are_at_hand() -> None:
    dataset = compressed(JPEGBaseline8Bit, b"\xff\xd8")
    frames = [b"\xff\xd8\xff\xfe\0\x0a" + name + b"\xff\xd9" for name in (b"Doe^Jane", b"Roe^Jack")]
    dataset.PixelData = encapsulate(frames)
    assert list(dicom.read(io.BytesIO(to_bytes(dataset))).words()) == [b"Doe^Jane", b"Roe^Jack"]
    assert list(dicom.read(io.BytesIO(to_bytes(one()))).words()) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_is_a_refusal_or_an_object_and_never_a_crash(data: st.DataObject) -> None:
    whole = bytearray(to_bytes(one()))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        dicom.read(io.BytesIO(bytes(whole)))
    except RejectedInput:
        return
