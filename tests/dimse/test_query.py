"""C-FIND as dcmtk's findscu and pynetdicom ask it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind as PatientRoot
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRoot

from tapetum.dimse import Rules, Server
from tapetum.dimse.elements import element
from tapetum.dimse.identifier import Identifier, read_data
from tapetum.dimse.messages import C_CANCEL_RQ, C_FIND_RQ, NO_DATA, decode_command, encode_command
from tapetum.dimse.pdu import P_DATA, Proposal, data_pdus
from tapetum.dimse.query import _answer
from tapetum.errors import TapetumError
from tapetum.model import Query, Row

from .conftest import IMPLICIT, Hospital, Raw

Fill = Callable[..., Hospital]
Connect = Callable[[Server], Raw]
Dcmtk = Callable[..., subprocess.CompletedProcess[str]]


def _found(ran: subprocess.CompletedProcess[str], tag: str) -> list[str]:
    """The values of an element in what findscu prints."""
    return [value.strip(" \0") for value in re.findall(rf"I: \({tag}\) \w\w \[(.*?)\]", ran.stdout + ran.stderr)]


def _ask(
    server_port: int, identifier: dict[str, str], *, model: str = PatientRoot, fuzzy: bool = False
) -> tuple[list[Dataset], list[int]]:
    """Answers and statuses of a C-FIND by pynetdicom."""
    ae = AE("ASKER")
    ae.add_requested_context(model)
    negotiation = SOPClassExtendedNegotiation()
    negotiation.sop_class_uid, negotiation.service_class_application_information = model, bytes((1, 1, fuzzy, 1))
    association = ae.associate("127.0.0.1", server_port, ext_neg=[negotiation] if fuzzy else [])
    assert association.is_established
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in identifier.items():
        setattr(dataset, keyword, value)
    answers, statuses = [], []
    for status, answer in association.send_c_find(dataset, model):
        statuses.append(status.Status)
        if answer is not None:
            answers.append(answer)
    association.release()
    return answers, statuses


@pytest.mark.parametrize(
    ("level", "tag", "expected"),
    [("PATIENT", "0010,0020", 2), ("STUDY", "0020,000d", 2), ("SERIES", "0020,000e", 3), ("IMAGE", "0008,0018", 7)],
)
def test_everything_is_found_at_each_level(level: str, tag: str, expected: int, hospital: Fill, dcmtk: Dcmtk) -> None:
    model = "-P" if level == "PATIENT" else "-S"
    port = hospital().server.port
    ran = dcmtk("findscu", model, "-k", f"QueryRetrieveLevel={level}", "-k", f"({tag})", "localhost", port)
    assert ran.returncode == 0, ran.stderr
    assert len(set(_found(ran, tag))) == len(_found(ran, tag)) == expected


def test_an_answer_holds_what_was_asked_for_and_counts(hospital: Fill, dcmtk: Dcmtk) -> None:
    keys = ("PatientName", "PatientID=4711", "ModalitiesInStudy", "NumberOfStudyRelatedInstances", "AdmissionID")
    words = [word for key in ("QueryRetrieveLevel=STUDY", *keys) for word in ("-k", key)]
    ran = dcmtk("findscu", "-S", *words, "localhost", hospital().server.port)
    assert _found(ran, "0010,0010") == ["Müller^Jürgen"]
    assert _found(ran, "0008,0061") == ["CT\\MR"]
    assert _found(ran, "0020,1208") == ["5"]
    assert _found(ran, "0008,0005") == ["ISO_IR 192"]
    assert "(0038,0010) LO (no value available)" in ran.stdout + ran.stderr
    assert _found(ran, "0008,0060") == []


def test_wildcards_ranges_and_names_match_as_the_standard_says(hospital: Fill) -> None:
    port = hospital().server.port
    for match, expected in (
        ({"PatientName": "m?ller*"}, 1),
        ({"PatientName": "doe^jane"}, 1),
        ({"PatientID": "0815\\4711"}, 2),
        ({"StudyDate": "19000101-19010101"}, 0),
        ({"StudyDate": "19000101-"}, 2),
    ):
        answers, statuses = _ask(port, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", **match})
        assert len(answers) == expected, match
        assert statuses[-1] == 0


def test_fuzzy_names_match_where_they_were_negotiated(hospital: Fill) -> None:
    port = hospital().server.port
    asked = {"QueryRetrieveLevel": "PATIENT", "PatientName": "jurg", "PatientID": ""}
    assert _ask(port, asked)[0] == []
    assert [one.PatientID for one in _ask(port, asked, fuzzy=True)[0]] == ["4711"]


def test_the_patient_level_is_refused_in_study_root(hospital: Fill) -> None:
    asked = {"QueryRetrieveLevel": "PATIENT", "PatientID": ""}
    assert _ask(hospital().server.port, asked, model=StudyRoot) == ([], [0xA900])


def test_an_unknown_level_and_a_date_that_is_none_are_refused_with_a900(hospital: Fill) -> None:
    port = hospital().server.port
    assert _ask(port, {"QueryRetrieveLevel": "PLANET", "StudyInstanceUID": ""})[1] == [0xA900]
    assert _ask(port, {"QueryRetrieveLevel": "STUDY", "SeriesNumber": "7"})[1][-1] == 0


def test_a_key_that_cannot_be_matched_is_said_to_be_so(hospital: Fill) -> None:
    item = Dataset()
    item.CodeValue = "T-D1100"
    asked: dict[str, object] = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "ProcedureCodeSequence": [item]}
    assert _ask(hospital().server.port, asked)[1] == [0xFF01, 0xFF01, 0]  # type: ignore[arg-type]


def test_a_cancelled_query_ends_with_fe00(hospital: Fill, raw: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = hospital()
    endless: Row = {"PatientID": "4711", "PatientName": "x" * 2000}
    monkeypatch.setattr(filled.archive.catalogue, "find", lambda query: [endless] * (query.limit or 1))
    client = raw(filled.server)
    client.associate(Proposal(1, PatientRoot, (IMPLICIT,)))
    command: dict[str, int | str] = {"AffectedSOPClassUID": str(PatientRoot), "MessageID": 5, "CommandField": C_FIND_RQ}
    asked = element("QueryRetrieveLevel", "PATIENT", implicit=True) + element("PatientName", "", implicit=True)
    client.send(_units(encode_command({**command, "Priority": 0, "CommandDataSetType": 1})))
    client.send(_units(asked, is_command=False))
    assert _status(client) == 0xFF00
    cancel: dict[str, int | str] = {"CommandField": C_CANCEL_RQ, "MessageIDBeingRespondedTo": 5}
    client.send(_units(encode_command({**cancel, "CommandDataSetType": NO_DATA})))
    assert next(status for _ in range(5000) if (status := _status(client)) != 0xFF00) == 0xFE00


def _units(data: bytes, *, is_command: bool = True) -> bytes:
    return b"".join(data_pdus(1, data, is_command=is_command, is_last=True, most=16384))


def _status(client: Raw) -> int:
    """The status of the next answer; its data set is read and let go."""
    while True:
        kind, body = client.unit()
        assert kind == P_DATA
        if body[5] & 1:
            return int(decode_command(body[6:])["Status"])


def test_an_answer_of_many_pages_is_whole(hospital: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = hospital()

    def find(query: Query) -> list[Row]:
        everything: list[Row] = [{"PatientID": str(number)} for number in range(2500)]
        return everything[query.offset : query.offset + (query.limit or 0)]

    monkeypatch.setattr(filled.archive.catalogue, "find", find)
    answers, _ = _ask(filled.server.port, {"QueryRetrieveLevel": "PATIENT", "PatientID": ""})
    assert [one.PatientID for one in answers] == [str(number) for number in range(2500)]


def test_a_catalogue_that_fails_is_answered_c000_with_its_code(hospital: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Query) -> list[Row]:
        raise TapetumError("the database is gone")

    filled = hospital()
    monkeypatch.setattr(filled.archive.catalogue, "find", gone)
    assert _ask(filled.server.port, {"QueryRetrieveLevel": "PATIENT", "PatientID": ""})[1] == [0xC000]


def test_implicit_and_explicit_answers_say_the_same(hospital: Fill) -> None:
    asked = Identifier("study", ("StudyDate", "NumberOfStudyRelatedSeries", "PatientName"), {}, ())
    row: Row = {
        "StudyDate": "20200101",
        "NumberOfStudyRelatedSeries": 3,
        "PatientName": "Мария",
        "StudyInstanceUID": "1.2",
    }
    explicit = read_data(BytesIO(_answer(asked, row, "ME", implicit=False)), "1.2.840.10008.1.2.1")
    implicit = read_data(BytesIO(_answer(asked, row, "ME", implicit=True)), "1.2.840.10008.1.2")
    assert explicit == implicit
    assert explicit.PatientName == "Мария"
    assert explicit.NumberOfStudyRelatedSeries == 3


def test_rules_name_us_in_the_answers(hospital: Fill) -> None:
    answers, _ = _ask(
        hospital(rules=Rules(ae_title="ARCHIVE")).server.port, {"QueryRetrieveLevel": "PATIENT", "PatientID": ""}
    )
    assert {one.RetrieveAETitle for one in answers} == {"ARCHIVE"}
