"""Stored objects in the encoding that a peer takes."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from tapetum.dimse.sending import held, transcoded
from tapetum.errors import RejectedInput
from tapetum.formats.pixels import decode
from tapetum.model import Instance
from tapetum.store import LocalBlobs

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
NAMES = (
    "CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm",
    "MR_small_RLE.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_rle_2frame.dcm", "OBXXXX1A_rle.dcm",
)  # fmt: skip


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", NAMES)
def test_a_transcoded_object_shows_the_same_pixels_and_says_what_they_are(name: str, syntax: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom comes without {name}")
    original = pydicom.dcmread(path)
    found = read_dataset(io.BytesIO(transcoded(io.BytesIO(Path(path).read_bytes()), syntax)), syntax == IMPLICIT, True)
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = UID(syntax)
    assert (decode(found) == decode(original)).all()
    assert found.SOPInstanceUID == original.SOPInstanceUID
    assert found.get("WindowCenter") == original.get("WindowCenter")


def test_what_cannot_be_read_cannot_be_transcoded() -> None:
    cut = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()[:1600]
    for damaged in (cut, b"", b"\xff" * 300):
        with pytest.raises(RejectedInput):
            transcoded(io.BytesIO(damaged), EXPLICIT)


def test_only_dicom_objects_are_sent_and_their_encoding_is_found_in_them(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    key = blobs.put(Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes())

    def instance(kind: str, **attributes: str) -> Instance:
        return Instance("1.1", "1.2", "1.3", "P", key, "", kind, 0, attributes=attributes)

    found = held([instance("nifti"), instance("dicom"), instance("dicom", TransferSyntaxUID=IMPLICIT)], blobs)
    assert [one.transfer_syntax for one in found] == ["1.2.840.10008.1.2.4.91", IMPLICIT]
