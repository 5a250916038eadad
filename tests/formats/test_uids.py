from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from tapetum.errors import RejectedInput
from tapetum.formats import dicom, foreign
from tapetum.formats.pixels import decode
from tapetum.formats.uids import NEWER, uid_of
from tapetum.protect import Pseudonymiser, deidentify
from tapetum.testing import dicom_series, to_bytes

JPEG_2000 = "1.2.840.10008.1.2.4.90"
JPEG_XL = "1.2.840.10008.1.2.4.110"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


def jpeg_xl(pixels: Any) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(pixels.astype(np.uint16), lossless=True))


def deflated(pixels: Any) -> bytes:
    return bytes(imagecodecs.deflate_encode(pixels.tobytes(), raw=True))


def packed(syntax: str, stream: bytes) -> bytes:
    dataset = dicom_series(slices=1, rows=16, columns=16)[0]
    dataset.PixelRepresentation = 0
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless  # pydicom does not write what it does not know
    named = syntax + "\0" * (len(syntax) % 2)
    old, new = (b"UI" + struct.pack("<H", len(uid)) + uid.encode() for uid in (JPEG_2000, named))
    return to_bytes(dataset).replace(old, new, 1)


def test_registered_uids_are_known_and_others_are_not() -> None:
    for uid in (*NEWER, "1.2.840.10008.1.2.4.50"):
        assert uid_of(uid).type
        assert uid_of(uid).name != uid
    assert uid_of("1.2.840.10008.1.2.4.4711").type == ""
    assert uid_of("1.2.840.10008.1.2.4.4711").name == "1.2.840.10008.1.2.4.4711"


@pytest.mark.parametrize("uid", [uid for uid, (kind, _) in NEWER.items() if kind == "Transfer Syntax"])
def test_newer_transfer_syntaxes_are_encapsulated_explicit_and_little_endian(uid: str) -> None:
    found = uid_of(uid)
    assert found.is_transfer_syntax
    assert found.is_encapsulated
    assert found.is_little_endian
    assert not found.is_implicit_VR


@pytest.mark.parametrize(("syntax", "encode"), [(JPEG_XL, jpeg_xl), (DEFLATED_FRAMES, deflated)])
def test_objects_in_newer_transfer_syntaxes_come_in_and_keep_their_pixels(syntax: str, encode: Any) -> None:
    pixels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    found = dicom.read(io.BytesIO(packed(syntax, encode(pixels))))
    assert found.transfer_syntax == found.stored_syntax == syntax
    out = io.BytesIO()
    dicom.write(deidentify(found.header, Pseudonymiser(bytes(32))), found, out)
    out.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = pydicom.dcmread(out)
    assert stored.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(decode(stored)[0], pixels)


def test_they_come_in_as_well_where_pydicom_reads_the_header() -> None:
    stream = jpeg_xl(np.zeros((16, 16)))
    data = packed(JPEG_XL, stream)
    assert foreign.read(io.BytesIO(data)).syntax == JPEG_XL


def test_a_frame_that_is_no_jpeg_xl_is_refused() -> None:
    with pytest.raises(RejectedInput) as caught:
        dicom.read(io.BytesIO(packed(JPEG_XL, b"\xff\xd8no such stream")))
    assert caught.value.code == "wrong-transfer-syntax"
