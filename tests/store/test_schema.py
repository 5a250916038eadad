import pytest

from tapetum.model import Level
from tapetum.store.schema import COLUMNS, COUNTED, level_of, metadata


@pytest.mark.parametrize(
    ("keyword", "level"),
    [
        ("PatientName", "patient"),
        ("OtherPatientIDs", "patient"),
        ("StudyDescription", "study"),
        ("PatientAge", "study"),  # DICOM PS3.3 C.7.2.2: the age is of the study
        ("SeriesDescription", "series"),
        ("KVP", "series"),
        ("SOPClassUID", "instance"),
        ("ImageType", "instance"),
        ("NumberOfStudyRelatedSeries", "study"),
    ],
)
def test_an_attribute_stands_at_the_level_of_its_module(keyword: str, level: Level) -> None:
    assert level_of(keyword) == level


def test_every_keyword_with_a_column_has_that_column() -> None:
    for names in (COLUMNS, COUNTED):
        for level, columns in names.items():
            assert set(columns.values()) <= set(metadata.tables[level].columns.keys())
