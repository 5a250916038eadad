from __future__ import annotations

import importlib
from copy import deepcopy
from datetime import datetime
from io import BytesIO
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, FileDataset

from tapetum.errors import IdentityExposed
from tapetum.formats import dicom
from tapetum.formats.foreign import from_pydicom
from tapetum.protect import Pseudonymiser, deidentify, identifiers, may_show_identity, patient_of, survivors
from tapetum.testing import dicom_series, radiograph, segmentation, structure_set, to_bytes, virtual_volume

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # the planted values break their VRs on purpose
NAMES = Pseudonymiser(bytes(range(32)))
OTHERS = Pseudonymiser(bytes(32))


def through(data: bytes, names: Pseudonymiser = NAMES) -> bytes:
    """The bytes that would be stored."""
    found = dicom.read(BytesIO(data))
    out = BytesIO()
    dicom.write(deidentify(found.header, names), found, out)
    return out.getvalue()


def cleaned(dataset: FileDataset, names: Pseudonymiser = NAMES) -> FileDataset:
    return pydicom.dcmread(BytesIO(through(to_bytes(dataset), names)))


def with_values(**values: Any) -> FileDataset:
    dataset = dicom_series(slices=1, rows=4, columns=4)[0]
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_no_planted_word_is_left_in_the_bytes_of_the_object(planted: Any) -> None:
    assert planted.places >= 64
    stored = through(planted.data)
    for encoding in ("latin-1", "utf-8", "gb18030", "utf-16-le"):
        for word in planted.words:
            needle = word.encode(encoding, "ignore")
            assert len(needle) < 3 or needle.lower() not in stored.lower(), (word, encoding)


def test_every_planted_word_stands_in_the_object_before(planted: Any) -> None:
    assert all(word.encode() in planted.data for word in planted.words if word != "羽毛小明")


def test_pixel_bytes_are_the_same_and_the_object_still_decodes(planted: Any) -> None:
    after = pydicom.dcmread(BytesIO(through(planted.data)))
    assert bytes(after.PixelData) == planted.pixels
    assert after.pixel_array.shape == (16, 16)


def test_the_object_says_what_was_done_to_it() -> None:
    after = cleaned(with_values())
    assert after.PatientIdentityRemoved == "YES"
    assert after.DeidentificationMethod
    codes = {item.CodeValue: item.CodingSchemeDesignator for item in after.DeidentificationMethodCodeSequence}
    assert codes == dict.fromkeys(("113100", "113105", "113107", "113108"), "DCM")
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"


def test_one_key_makes_the_same_pseudonyms_and_another_key_makes_others() -> None:
    once, again, elsewhere = (cleaned(with_values(), names) for names in (NAMES, NAMES, OTHERS))
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert once[keyword].value == again[keyword].value != elsewhere[keyword].value, keyword
    assert through(to_bytes(with_values())) == through(to_bytes(with_values()))


def test_intervals_of_one_patient_are_kept_and_the_dates_are_not() -> None:
    first, second = (cleaned(with_values(StudyDate=day)) for day in ("20200228", "20200601"))
    days = [datetime.strptime(item.StudyDate, "%Y%m%d") for item in (first, second)]
    assert (days[1] - days[0]).days == 94
    assert days[0].year < 2020 or days[0].month < 2
    moved = cleaned(with_values(AcquisitionDateTime="20200601101500.25+0800", StudyDate="20200601"))
    assert moved.AcquisitionDateTime == moved.StudyDate + "101500.25+0800"


@pytest.mark.parametrize("day", ["00010101", "20201399", "Tuesday", "99991231"])
def test_a_date_that_cannot_be_moved_is_dropped_or_moved_but_never_kept(day: str) -> None:
    assert cleaned(with_values(StudyDate=day)).get("StudyDate", "") != day


@pytest.mark.parametrize(
    ("before", "after"), [("089Y", "089Y"), ("090Y", "090Y"), ("103Y", "090Y"), ("006M", "006M"), ("old", "")]
)
def test_ages_over_89_become_90(before: str, after: str) -> None:
    assert cleaned(with_values(PatientAge=before)).PatientAge == after


def test_references_between_objects_still_match() -> None:
    series = dicom_series(slices=5)
    masks = {"lesion": virtual_volume((5, 32, 32)) > 1100}
    image_series, images = cleaned(series[0]).SeriesInstanceUID, {cleaned(item).SOPInstanceUID for item in series}
    outlined = cleaned(structure_set(series, centre_mm=(0, 0, -5), radii_mm=(5, 5, 5), name="GTV-1"))
    contours = outlined.ROIContourSequence[0].ContourSequence
    assert {item.ContourImageSequence[0].ReferencedSOPInstanceUID for item in contours} <= images
    assert outlined.StructureSetROISequence[0].ROIName == "GTV-1"
    drawn = cleaned(segmentation(series, masks))
    assert drawn.ReferencedSeriesSequence[0].SeriesInstanceUID == image_series
    assert drawn.SegmentSequence[0].SegmentLabel == "lesion"
    frame = outlined.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID
    assert drawn.FrameOfReferenceUID == cleaned(series[0]).FrameOfReferenceUID == frame


def test_what_analysts_need_stays() -> None:
    before = with_values(
        SeriesDescription="T1 axial 1.5/2.0", BodyPartExamined="CHEST", PatientWeight="71.5", ConvolutionKernel="B30f"
    )
    after = cleaned(before)
    for keyword in (
        "SeriesDescription", "BodyPartExamined", "PatientWeight", "ConvolutionKernel", "ImageType", "Manufacturer",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
        "StudyTime", "PatientSex", "SOPClassUID", "KVP",
    ):  # fmt: skip
        assert after[keyword].value == before[keyword].value, keyword


def test_a_short_number_as_patient_id_does_not_take_the_rescale_or_the_character_set_away() -> None:
    after = cleaned(with_values(PatientID="1024", RescaleIntercept="-1024", StudyDescription="Kopf für alle"))
    assert after.RescaleIntercept == -1024
    after = cleaned(with_values(PatientID="192", SpecificCharacterSet="ISO_IR 192", StudyDescription="头部"))
    assert after.StudyDescription == "头部"
    assert cleaned(with_values(PatientID="10008")).SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


def test_unregistered_uids_under_the_root_of_dicom_are_mapped() -> None:
    after = cleaned(with_values(IrradiationEventUID="1.2.840.10008.7734512"))
    assert after.IrradiationEventUID.startswith("2.25.")


def test_a_palette_of_an_implicit_object_survives() -> None:
    dataset = with_values(PhotometricInterpretation="PALETTE COLOR")
    for number in (0x00281101, 0x00281102, 0x00281103):
        dataset.add_new(number, "US", [256, 0, 16])
    for number in (0x00281201, 0x00281202, 0x00281203):
        dataset.add_new(number, "OW", bytes(range(256)) * 2)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    out = BytesIO()
    dataset.save_as(out, implicit_vr=True, little_endian=True)
    after = pydicom.dcmread(BytesIO(through(out.getvalue())))
    assert after.RedPaletteColorLookupTableDescriptor == [256, 0, 16]
    assert after.BluePaletteColorLookupTableData == bytes(range(256)) * 2


def test_real_dates_do_not_stay_in_descriptions() -> None:
    for text in ("follow-up of 2020-06-07", "vs 7.6.2020", "06/07/2020", "20200607"):
        assert "StudyDescription" not in cleaned(with_values(StudyDescription=text)), text


def test_the_second_look_says_no_to_whatever_survived() -> None:
    own = identifiers(from_pydicom(with_values(PatientName="Quillfeather^Zebedee", PatientID="MRN7734512")))
    for keyword, value in {
        "StudyDescription": "quillfeathers head",
        "SeriesTime": "zebedee",
        "AcquisitionNumber": "7734512",
        "WindowCenter": "7734512.0",
        "IrradiationEventUID": "1.2.7734512",
        "BodyPartExamined": "ZEBEDEE",
    }.items():
        dataset = Dataset()
        setattr(dataset, keyword, value)
        assert survivors(from_pydicom(dataset), own), keyword
        parent = Dataset()
        parent.SourceImageSequence = [dataset]
        assert survivors(from_pydicom(parent), own), f"nested {keyword}"
    table = Dataset()
    table.add_new(0x00281201, "OW", b"xxQUILLFEATHERxx")
    assert survivors(from_pydicom(table), own)
    harmless = Dataset()
    harmless.StudyDescription, harmless.PatientName, harmless.StudyInstanceUID = "Head", "Else^Someone", "2.25.7734512"
    assert not survivors(from_pydicom(harmless), own)


def test_nothing_is_returned_when_an_identifier_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    # The package re-exports the function of the same name, so the module is found by its import path.
    module = importlib.import_module("tapetum.protect.deidentify")
    monkeypatch.setattr(module, "_fate", module._fate.__wrapped__)  # decisions are remembered from image to image
    monkeypatch.setattr(module, "_may_stay", lambda *_: True)
    with pytest.raises(IdentityExposed) as caught:
        deidentify(from_pydicom(with_values(StudyDescription="Jane Doe")), NAMES)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize(("tag", "value"), [(0x00180050, b"Mr. Else"), (0x00200013, b"1A"), (0x00281050, b"40\\Else ")])
def test_words_in_the_place_of_a_number_do_not_stay(tag: int, value: bytes) -> None:
    header = from_pydicom(with_values())
    header[tag] = ("IS" if tag == 0x00200013 else "DS"), value
    assert tag not in deidentify(header, NAMES)


def test_a_chinese_name_in_gb2312_leaves_every_description() -> None:
    """PS3.5 K.2 writes the name so; the escape sequence is no part of it."""
    header = from_pydicom(with_values())
    header[0x00080005] = "CS", b"\\ISO 2022 IR 58"
    header[0x00100010] = "PN", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab "
    header[0x0008103E] = "LO", b"\x1b$)A\xd5\xc5\xd0\xa1\xb6\xab\xcd\xb7"  # head of Zhang XiaoDong
    header[0x00081030] = "LO", b"\x1b$)A\xcd\xb7\xb2\xbf"  # head
    after = deidentify(header, NAMES)
    assert not after.has("SeriesDescription")
    assert after.text("StudyDescription") == "头部"


def test_what_was_decided_for_one_patient_does_not_hold_for_another() -> None:
    said = {"StudyDescription": "Quillfeather", "StudyDate": "20200607"}
    one = deidentify(from_pydicom(with_values(PatientName="Doe^Jane", PatientID="1234", **said)), NAMES)
    other = deidentify(from_pydicom(with_values(PatientName="Quillfeather^Z", PatientID="5678", **said)), NAMES)
    assert one.text("StudyDescription") == "Quillfeather"
    assert not other.has("StudyDescription")
    assert one.text("StudyDate") != other.text("StudyDate")
    elsewhere = deidentify(from_pydicom(with_values(PatientName="Doe^Jane", PatientID="1234", **said)), OTHERS)
    assert elsewhere.text("StudyInstanceUID") != one.text("StudyInstanceUID")


def test_the_original_is_not_changed(planted: Any) -> None:
    header = dicom.read(BytesIO(planted.data)).header
    before = deepcopy(header)
    deidentify(header, NAMES)
    assert header == before


def test_an_object_without_patient_id_belongs_to_its_own_study() -> None:
    one, other = with_values(PatientID=""), with_values(PatientID="", StudyInstanceUID="1.2.3")
    assert patient_of(from_pydicom(one), NAMES) != patient_of(from_pydicom(other), NAMES)
    assert patient_of(from_pydicom(one), NAMES) == patient_of(from_pydicom(with_values(PatientID=" ")), NAMES)


def test_a_number_of_another_issuer_is_another_patient() -> None:
    assert patient_of(from_pydicom(with_values(IssuerOfPatientID="North")), NAMES) != patient_of(
        from_pydicom(with_values()), NAMES
    )


def test_screens_and_ultrasound_may_show_a_name_but_photographs_of_the_eye_do_not() -> None:
    capture, ultrasound, eye = (
        with_values(SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{kind}") for kind in ("7", "6.1", "77.1.5.1")
    )
    assert may_show_identity(from_pydicom(capture))
    assert may_show_identity(from_pydicom(ultrasound))
    assert not may_show_identity(from_pydicom(eye))
    assert not may_show_identity(from_pydicom(radiograph()))
    assert not may_show_identity(from_pydicom(with_values(SOPClassUID=capture.SOPClassUID, BurnedInAnnotation="NO")))
    assert may_show_identity(from_pydicom(with_values(BurnedInAnnotation="YES")))


LETTERS = st.text(st.characters(categories=("Lu", "Ll", "Lo")), min_size=3, max_size=12).filter(
    lambda word: word.casefold() not in ("original", "primary", "axial")
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(family=LETTERS, given_name=LETTERS, separator=st.sampled_from([" ", "_", ", ", "-", "^", ""]))
def test_whatever_the_name_is_it_leaves_every_description(family: str, given_name: str, separator: str) -> None:
    text = f"{given_name}{separator}{family}"
    after = deidentify(from_pydicom(with_values(PatientName=f"{family}^{given_name}", StudyDescription=text)), NAMES)
    assert not after.has("StudyDescription")


@settings(max_examples=40, deadline=None)
@given(number=st.from_regex(r"[A-Z]{0,3}[0-9]{6,9}", fullmatch=True))
def test_whatever_the_number_is_it_leaves_every_element(number: str) -> None:
    digits = number.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    planted = with_values(
        PatientID=number,
        ProtocolName=f"p{digits}x",
        InstanceNumber=digits,
        SequenceName=number,
        SoftwareVersions=digits,
    )
    stored = through(to_bytes(planted))
    after = pydicom.dcmread(BytesIO(stored))
    assert not any(name in after for name in ("ProtocolName", "InstanceNumber", "SequenceName", "SoftwareVersions"))
