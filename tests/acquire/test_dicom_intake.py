from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from blake3 import blake3
from pydicom import Dataset, FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from tapetum.acquire.dicom_intake import KEPT_ATTRIBUTES, DicomIntake
from tapetum.acquire.policy import Policy
from tapetum.errors import RejectedInput
from tapetum.model import Arrival, Instance, Rejected
from tapetum.protect import Pseudonymiser, RealNames
from tapetum.store import LocalBlobs, SqlCatalogue
from tapetum.testing import dicom_series, radiograph, segmentation, structure_set, to_bytes, virtual_volume

NAMES = Pseudonymiser(bytes(32))
INSIDE = Policy(deidentify=False)
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
# PS3.18 Table 10.6.1-5: what a QIDO-RS server shall match; and the return keys of Tables 10.6.3-3 to 10.6.3-5.
MATCHED = {
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "StudyID", "Modality",
    "SeriesNumber", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "SOPClassUID",
    "InstanceNumber", "PatientBirthDate", "PatientSex", "SeriesDescription", "StudyDescription", "Rows", "Columns",
    "BitsAllocated", "NumberOfFrames", "TimezoneOffsetFromUTC",
}  # fmt: skip


@pytest.fixture
def take(tmp_path: Path) -> Iterator[Any]:
    blobs, catalogue = LocalBlobs(tmp_path / "blobs"), SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")

    def taken(data: bytes, policy: Policy = INSIDE) -> tuple[Instance, bytes]:
        names = NAMES if policy.deidentify else RealNames(bytes(32), issuer="Own")
        instance, is_new = DicomIntake(blobs, catalogue, names, policy).take(io.BytesIO(data), len(data))
        assert is_new
        with blobs.open(instance.blob) as file:
            return instance, file.read()

    yield taken
    catalogue.close()


def one(**values: object) -> FileDataset:
    dataset = dicom_series(slices=1, rows=8, columns=8)[0]
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def report() -> bytes:
    dataset = one(SOPClassUID=REPORT, Modality="SR", CompletionFlag="COMPLETE")
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(dataset, keyword)
    return to_bytes(dataset)


def in_syntax(syntax: str, **values: object) -> bytes:
    dataset, out = one(**values), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == DeflatedExplicitVRLittleEndian:
        return to_bytes(dataset)
    pydicom.dcmwrite(
        out, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True, force_encoding=True
    )
    return out.getvalue()


def test_the_same_object_from_a_folder_and_from_a_sender_is_one(tmp_path: Path) -> None:
    blobs, catalogue = LocalBlobs(tmp_path / "blobs"), SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")
    intake = DicomIntake(blobs, catalogue, RealNames(bytes(32), issuer="Own"), INSIDE)
    stored, sent, changed = one(), one(), one(KVP="140")
    sent.file_meta.ImplementationVersionName = "ANOTHER"
    for data, is_new, outcome in (
        (to_bytes(stored), True, "stored"),
        (to_bytes(sent), False, "duplicate"),
        (to_bytes(stored), True, "duplicate"),  # put again, in case that its bytes were damaged
        (to_bytes(changed), True, "rejected"),
    ):
        instance, found = intake.take(io.BytesIO(data), len(data))
        assert found is is_new
        if is_new:
            spare = Rejected(f"{len(data)}{outcome}", "mixed-series", "", b"", 0)
            (ended,) = catalogue.record([Arrival("stored", instance, spare, spare.arrived)])
            assert ended.outcome == outcome
    assert len(list(blobs.keys())) == 2  # the stored one, and the bytes of the conflict
    catalogue.close()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_an_archive_inside_keeps_every_byte_and_the_names(take: Any, syntax: str) -> None:
    data = b"a preamble".ljust(128, b"\0") + in_syntax(syntax)[128:]
    instance, stored = take(data)
    assert stored == data
    assert instance.blob == hashlib.sha256(data).hexdigest()
    assert instance.sop_instance_uid == one().SOPInstanceUID
    assert instance.patient_key == "PAT-1"
    assert instance.size_bytes == len(data)
    assert instance.attributes["PatientName"] == "Doe^Jane"
    assert instance.attributes["PatientBirthDate"] == "19610314"
    assert instance.attributes["TransferSyntaxUID"] == syntax
    assert instance.attributes["site"] == "General Hospital"


def test_the_same_pixels_have_one_digest_in_every_uncompressed_encoding_and_under_every_policy(take: Any) -> None:
    syntaxes = ("1.2.840.10008.1.2.1", ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    digests = {
        take(in_syntax(syntax), policy)[0].attributes["pixel_digest"]
        for syntax in syntaxes
        for policy in (INSIDE, Policy())
    }
    assert digests == {blake3(one().PixelData).hexdigest()}


def test_numbers_of_different_issuers_are_different_patients_inside_too(take: Any) -> None:
    keys = {take(to_bytes(one(IssuerOfPatientID=issuer)))[0].patient_key for issuer in ("", "Own", "North", "South")}
    assert keys == {"PAT-1", "PAT-1^^^North", "PAT-1^^^South"}


def test_an_object_without_a_number_belongs_to_its_own_study_inside_too(take: Any) -> None:
    first, second = (take(to_bytes(one(PatientID=" ", StudyInstanceUID=uid)))[0] for uid in ("1.2.3", "1.2.4"))
    assert first.patient_key != second.patient_key


def test_inside_nothing_is_refused_for_the_names_it_shows(take: Any) -> None:
    ultrasound = to_bytes(one(SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1", BurnedInAnnotation="YES"))
    assert take(ultrasound)[1] == ultrasound
    with pytest.raises(RejectedInput) as caught:
        take(ultrasound, Policy())
    assert caught.value.code == "burned-in-text"
    assert take(ultrasound, Policy(allow_burned_in=True))[1] != ultrasound


def test_damage_is_refused_inside_too(take: Any) -> None:
    data = to_bytes(one())
    without = one()
    del without.PixelData
    for bad, code in ((data[:-9], "truncated"), (to_bytes(without), "missing-pixel-data")):
        with pytest.raises(RejectedInput) as caught:
            take(bad)
        assert caught.value.code == code


def test_an_archive_inside_keeps_reports_too_and_they_are_no_images(take: Any) -> None:
    instance, stored = take(report())
    assert (instance.role, stored) == ("other", report())
    assert instance.attributes["CompletionFlag"] == "COMPLETE"
    with pytest.raises(RejectedInput) as caught:
        take(report(), Policy())
    assert caught.value.code == "unsupported"


def test_masks_name_the_series_or_the_frame_they_were_drawn_on(take: Any) -> None:
    series = dicom_series(slices=4)
    drawn = segmentation(series, {"lesion": virtual_volume((4, 32, 32)) > 1000})
    outlined = structure_set(series, centre_mm=(0, 0, -5), radii_mm=(5, 5, 5), name="GTV-1")
    for policy in (INSIDE, Policy()):
        image = take(to_bytes(series[0]), policy)[0]
        masks = [take(to_bytes(mask), policy)[0] for mask in (drawn, outlined)]
        assert [mask.role for mask in masks] == ["mask", "mask"]
        assert masks[0].attributes["ReferencedSeriesInstanceUID"] == image.series_instance_uid
        assert {mask.attributes["FrameOfReferenceUID"] for mask in masks} == {image.attributes["FrameOfReferenceUID"]}


def test_every_attribute_that_peers_ask_for_is_kept() -> None:
    assert set(KEPT_ATTRIBUTES) >= MATCHED


def test_a_peer_finds_what_the_scanner_wrote(take: Any) -> None:
    request = Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "S7", "R7"
    said = {"StationName": "CT01", "OperatorsName": "Smith^A", "OtherPatientIDs": ["A1", "B2"], "SeriesNumber": "4"}
    instance, _ = take(to_bytes(one(**said, RequestAttributesSequence=[request])))
    wanted = {
        **said,
        "OtherPatientIDs": "A1\\B2",
        "ScheduledProcedureStepID": "S7",
        "RequestedProcedureID": "R7",
        "ImageType": "ORIGINAL\\PRIMARY\\AXIAL",
        "Rows": "8",
        "Modality": "CT",
    }
    assert {keyword: instance.attributes[keyword] for keyword in wanted} == wanted


def test_de_identified_attributes_are_those_of_the_stored_object_only(take: Any) -> None:
    said = {"StationName": "CT01", "OperatorsName": "Smith^A", "StudyDescription": "Jane Doe", "SeriesNumber": "4"}
    data = in_syntax(ImplicitVRLittleEndian, **said)
    instance, stored = take(data, Policy())
    after = pydicom.dcmread(io.BytesIO(stored))
    kept = {name: value for name, value in instance.attributes.items() if name not in ("site", "pixel_digest")}
    assert kept.pop("TransferSyntaxUID") == after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert kept["PatientName"] == instance.patient_key == after.PatientID
    assert "Smith" not in str(instance)
    assert not {"StationName", "OperatorsName", "StudyDescription", "PatientBirthDate", "AccessionNumber"} & set(kept)
    for name, value in kept.items():
        values = after[name].value if after[name].VM > 1 else [after[name].value]
        assert "\\".join(map(str, values)) == value, name


def test_large_objects_are_taken_in_as_a_stream(take: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [take(to_bytes(radiograph()), policy) for policy in (INSIDE, Policy())]
    monkeypatch.setattr("tapetum.acquire.dicom_intake.SPOOL_BYTES", 100)
    assert [take(to_bytes(radiograph()), policy) for policy in (INSIDE, Policy())] == small
