from __future__ import annotations

import pytest

from tapetum.model import Instance
from tapetum.store.rows import fold, instance_row, modalities, name_key, row_of, spread, study_row


def instance(**attributes: object) -> Instance:
    return Instance("2.25.3", "2.25.2", "2.25.1", "P-A", "b", "d", "dicom", 7, attributes=attributes)


def test_attributes_are_spread_over_the_levels() -> None:
    said = spread(instance(PatientSex="F", StudyDate="20200101", Modality="CT", InstanceNumber="1", PatientID="4711"))
    assert said == {
        "patient": {"PatientSex": "F"},
        "study": {"StudyDate": "20200101"},
        "series": {"Modality": "CT"},
        "instance": {"InstanceNumber": "1"},
    }


def test_a_text_that_databases_refuse_is_made_one_that_they_take() -> None:
    said = spread(instance(StudyDescription="a\x00b", SeriesDescription="\ud800x"))
    assert (said["study"]["StudyDescription"], said["series"]["SeriesDescription"]) == ("ab", "?x")


@pytest.mark.parametrize("number", ["01", "1a", "1.5", "99999999999", "٣", "+1"])
def test_a_number_that_would_not_come_back_as_it_was_stays_text(number: str) -> None:
    one = instance(InstanceNumber=number)
    row = instance_row(one, spread(one), {})
    assert (row["number"], row["attributes"]) == (None, {"InstanceNumber": number})


def test_an_instance_keeps_what_it_says_otherwise_than_its_series() -> None:
    one = instance(Modality="CT", SeriesDescription="two")
    row = instance_row(one, spread(one), {"Modality": "CT", "SeriesDescription": "one"})
    assert row["attributes"] == {"SeriesDescription": "two"}


def test_a_new_study_counts_nothing_yet_and_knows_its_physician_without_case() -> None:
    row = study_row(instance(), {"ReferringPhysicianName": "WHO^Doctor^^", "PatientAge": "050Y"})
    assert (row["referring_key"], row["series"], row["instances"]) == ("who^doctor", 0, 0)
    assert row["attributes"] == {"PatientAge": "050Y"}


def test_an_answer_has_numbers_as_numbers_and_several_values_as_a_tuple() -> None:
    one = instance(Rows="512", ImageType="ORIGINAL\\PRIMARY", PixelSpacing="1\\1")
    row = row_of("instance", instance_row(one, spread(one), {"PixelSpacing": "1\\1"}))
    assert (row["Rows"], row["ImageType"]) == (512, ("ORIGINAL", "PRIMARY"))
    assert "PixelSpacing" not in row


@pytest.mark.parametrize(
    ("text", "folded"), [("Müller^Jörg", "muller jorg"), ("王^小东", "王 小东"), ("Straße", "strasse")]
)
def test_texts_are_searched_without_case_and_accents(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_empty_parts_at_the_end_of_a_name_do_not_count() -> None:
    assert name_key("Doe^Jane^^") == name_key("DOE^JANE")


def test_modalities_come_back_as_they_were_joined() -> None:
    assert modalities("\\CT\\SEG\\") == ("CT", "SEG")
    assert modalities("\\") == ()
