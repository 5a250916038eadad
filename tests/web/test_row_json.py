import json

import pytest
from pydicom import Dataset

from tapetum.web.row_json import RowWriter, keyword_of_name, representation

ROW = {
    "PatientName": "Yamada^Tarou=山田^太郎",
    "PatientID": 'a "quoted" id',
    "ModalitiesInStudy": ("CT", "SEG"),
    "NumberOfStudyRelatedSeries": 2,
    "StudyDate": "20200607",
    "ImagePositionPatient": "-1.5\\2\\\\x",
    "StudyComments": "one\\text",
    "role": "image",
    "AccessionNumber": "",
}


def test_a_row_is_the_json_that_pydicom_reads() -> None:
    row = {**ROW, "ImagePositionPatient": "-1.5\\2\\3"}
    found = Dataset.from_json(RowWriter(None, always=["AccessionNumber"]).text(row, {}))
    assert str(found.PatientName) == ROW["PatientName"]
    assert found.PatientID == ROW["PatientID"]
    assert list(found.ModalitiesInStudy) == ["CT", "SEG"]
    assert found.NumberOfStudyRelatedSeries == 2
    assert "AccessionNumber" in found


def test_attributes_stand_in_the_order_of_their_tags() -> None:
    tags = list(json.loads(RowWriter(None, always=[]).text(ROW, {})))
    assert tags == sorted(tags)


def test_numbers_are_numbers_and_an_empty_value_among_several_is_null() -> None:
    model = json.loads(RowWriter(["ImagePositionPatient"], always=[]).text(ROW, {}))
    assert model == {"00200032": {"vr": "DS", "Value": [-1.5, 2, None, "x"]}}


def test_names_have_their_groups() -> None:
    model = json.loads(RowWriter(["PatientName"], always=[]).text(ROW, {}))
    assert model["00100010"]["Value"] == [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]


def test_a_backslash_belongs_to_a_long_text() -> None:
    assert json.loads(RowWriter(["PatientComments"], always=[]).text({"PatientComments": "a\\b"}, {})) == {
        "00104000": {"vr": "LT", "Value": ["a\\b"]}
    }


def test_what_the_row_does_not_have_comes_from_elsewhere_and_own_words_never() -> None:
    model = json.loads(RowWriter(["KVP", "role"], always=["StudyTime"]).text(ROW, {"KVP": '{"vr":"DS","Value":[120]}'}))
    assert model == {"00080030": {"vr": "TM"}, "00180060": {"vr": "DS", "Value": [120]}}


@pytest.mark.parametrize(
    ("name", "keyword"),
    [
        ("PatientID", "PatientID"),
        ("00100020", "PatientID"),
        ("0020000d", "StudyInstanceUID"),
        ("00091001", ""),
        ("Nonsense", ""),
        ("", ""),
        ("Modality", "Modality"),
    ],
)
def test_attributes_are_named_by_keyword_or_tag(name: str, keyword: str) -> None:
    assert keyword_of_name(name) == keyword


def test_an_unknown_keyword_has_no_representation() -> None:
    assert (representation("PatientName"), representation("role")) == ("PN", "")
