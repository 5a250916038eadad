"""Identifiers as they come over the wire."""

from __future__ import annotations

import io

import pytest

from tapetum.dimse.elements import element
from tapetum.dimse.identifier import read_data, read_identifier
from tapetum.dimse.messages import Spool
from tapetum.errors import InvalidQuery, RejectedInput

IMPLICIT = "1.2.840.10008.1.2"
PATIENT_ROOT, STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"


def _spool(**values: object) -> Spool:
    spool = Spool(most=1 << 20)
    spool.write(b"".join(element(keyword, value, implicit=True) for keyword, value in values.items()))
    return spool


def test_keys_with_a_value_are_matched_and_all_are_returned() -> None:
    asked = read_identifier(
        _spool(StudyDate="20200101-", QueryRetrieveLevel="STUDY", PatientID="", StudyInstanceUID=("1.2", "1.3")),
        STUDY_ROOT,
        IMPLICIT,
    )
    assert (asked.level, asked.level_name) == ("study", "STUDY")
    assert asked.keys == ("StudyDate", "QueryRetrieveLevel", "PatientID", "StudyInstanceUID")
    assert asked.match == {"StudyDate": "20200101-", "StudyInstanceUID": "1.2\\1.3"}


def test_a_retrieval_goes_by_the_unique_keys_of_its_level_and_above() -> None:
    asked = read_identifier(
        _spool(QueryRetrieveLevel="SERIES", Modality="CT", PatientID="1", StudyInstanceUID="1.2",
               SeriesInstanceUID="1.3", SOPInstanceUID="1.4"),
        STUDY_ROOT,
        IMPLICIT,
    )  # fmt: skip
    assert asked.retrieval().match == {"PatientID": "1", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}


@pytest.mark.parametrize("level", ["", "PATIENT", "WORKLIST"])
def test_a_level_that_the_model_does_not_have_is_refused(level: str) -> None:
    with pytest.raises(InvalidQuery):
        read_identifier(_spool(QueryRetrieveLevel=level), STUDY_ROOT, IMPLICIT)
    if level == "PATIENT":
        assert read_identifier(_spool(QueryRetrieveLevel=level), PATIENT_ROOT, IMPLICIT).level == "patient"


def test_no_identifier_and_a_damaged_one_are_refused() -> None:
    with pytest.raises(InvalidQuery):
        read_identifier(None, STUDY_ROOT, IMPLICIT)
    with pytest.raises(RejectedInput):
        read_data(io.BytesIO(b"\x28\0\x10\0\x03\0\0\0abc"), IMPLICIT)
