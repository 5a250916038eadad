"""Searching as PS3.18 10.6 has it."""

from typing import Any

import pytest

STUDY_UID, SERIES_UID, INSTANCE_UID, NAME, PATIENT = "0020000D", "0020000E", "00080018", "00100010", "00100020"


def values(rows: list[dict[str, Any]], tag: str) -> list[Any]:
    return [row[tag].get("Value", [None])[0] for row in rows]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/studies", 2),
        ("/series", 3),
        ("/instances", 6),
        ("{study}/series", 2),
        ("{study}/instances", 5),
        ("{series}/instances", 3),
    ],
)
def test_every_path_finds_what_is_below_it(hospital: Any, ct: dict[str, str], path: str, count: int) -> None:
    response = hospital.get(path.format(**ct))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    assert (len(response.json()), response.headers["X-Total-Count"]) == (count, str(count))


@pytest.mark.parametrize(
    ("question", "patients"),
    [
        ("PatientID=PAT-1", ["PAT-1"]),
        ("00100020=PAT-1", ["PAT-1"]),
        ("PatientID=PAT-*", ["PAT-1", "PAT-2"]),
        ("PatientID=PAT-%2A", ["PAT-1", "PAT-2"]),
        ("PatientID=PAT-%3F", ["PAT-1", "PAT-2"]),
        ("PatientID=nobody", []),
        ("PatientID=", ["PAT-1", "PAT-2"]),
        ("PatientName=DOE^JANE", ["PAT-1"]),
        ("PatientName=Doe*", ["PAT-1"]),
        ("PatientName=jane&fuzzymatching=true", ["PAT-1"]),
        ("PatientName=muller&fuzzymatching=true", ["PAT-2"]),
        ("PatientName=jane", []),
        ("StudyDate=20200607", ["PAT-1"]),
        ("StudyDate=20200101-20201231", ["PAT-1"]),
        ("StudyDate=20201231-", ["PAT-2"]),
        ("StudyDate=-20201231", ["PAT-1"]),
        ("ModalitiesInStudy=MR", ["PAT-1"]),
        ("StudyDescription=Thor*", ["PAT-1"]),
        ("AccessionNumber=ACC-77", ["PAT-1", "PAT-2"]),
    ],
)
def test_studies_are_found_by_what_is_asked(hospital: Any, question: str, patients: list[str]) -> None:
    assert sorted(values(hospital.get(f"/studies?{question}").json(), PATIENT)) == patients


def test_a_list_of_uids_finds_each(hospital: Any) -> None:
    uids = values(hospital.get("/studies").json(), STUDY_UID)
    assert len(uids) == 2
    for separator in (",", "%5C"):
        found = hospital.get(f"/studies?StudyInstanceUID={separator.join(uids)}").json()
        assert sorted(values(found, STUDY_UID)) == sorted(uids)


def test_attributes_of_levels_above_are_searched_and_answered(hospital: Any) -> None:
    (row,) = hospital.get("/series?PatientID=PAT-1&Modality=MR").json()
    assert row[NAME]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert row["00201209"]["Value"] == [2]
    assert row["00081190"]["Value"] == [
        f"{hospital.root}/studies/{row[STUDY_UID]['Value'][0]}/series/{row[SERIES_UID]['Value'][0]}"
    ]


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        ("/studies", "00080020 00080030 00080050 00080061 00080090 00081190 00100010 00100020 00100030 00100040 "
         "0020000D 00200010 00201206 00201208"),
        ("/series", "00080060 00081190 0020000E 00200011 00201209"),
        ("/instances", "00080016 00080018 00081190 00200013 00280010 00280011 00280100"),
    ],
)  # fmt: skip
def test_an_answer_holds_what_the_standard_demands(hospital: Any, path: str, tags: str) -> None:
    for row in hospital.get(path).json():
        assert not set(tags.split()) - row.keys()
        assert list(row) == sorted(row)


def test_attributes_that_the_catalogue_does_not_have_are_read_from_the_header(hospital: Any) -> None:
    (row, *_) = hospital.get("/instances?Modality=CT&includefield=KVP,00180050&includefield=PixelSpacing").json()
    assert row["00180060"] == {"vr": "DS", "Value": [120.0]}
    assert row["00180050"]["Value"] == [2.5]
    assert row["00280030"]["Value"] == [0.8, 0.8]


def test_all_attributes_are_answered_when_all_are_asked_for(hospital: Any) -> None:
    few, many = (hospital.get(f"/series?Modality=CT{more}").json()[0] for more in ("", "&includefield=all"))
    assert few.keys() < many.keys()
    assert many["00080070"]["Value"] == ["Tapetum"]


def test_pages_are_disjoint_and_say_how_much_there_is(hospital: Any) -> None:
    pages = [hospital.get(f"/instances?limit=4&offset={offset}") for offset in (0, 4, 8)]
    assert [len(page.json()) for page in pages] == [4, 2, 0]
    assert {page.headers["X-Total-Count"] for page in pages} == {"6"}
    uids = [uid for page in pages for uid in values(page.json(), INSTANCE_UID)]
    assert len(set(uids)) == 6
    assert hospital.get("/instances?limit=0").json() == []


def test_more_than_one_answer_may_hold_is_said(hospital: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapetum.web.search.MOST_ROWS", 4)
    response = hospital.get("/instances")
    assert len(response.json()) == 4
    assert "There are 2 additional results that can be requested" in response.headers["Warning"]


@pytest.mark.parametrize(
    "question",
    [
        "Nonsense=1",
        "00091001=1",
        "RequestAttributesSequence=1",
        "includefield=Nonsense",
        "includefield=00091001",
        "limit=-1",
        "limit=many",
        "offset=1e3",
        "limit=99999999999999999999",
        "PatientID=1&00100020=2",
        "StudyDate=yesterday",
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_words(hospital: Any, question: str) -> None:
    response = hospital.get(f"/studies?{question}")
    assert response.status_code == 400
    assert response.json()["message"]


def test_a_path_and_a_parameter_that_contradict_each_other_are_refused(hospital: Any, ct: dict[str, str]) -> None:
    assert hospital.get(f"{ct['study']}/series?StudyInstanceUID=1.2.3").status_code == 400


def test_a_flood_of_parameters_is_refused(hospital: Any) -> None:
    assert hospital.get("/studies?" + "&".join(["PatientID="] * 300)).status_code == 400


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/dicom+json"),
        ("application/json", "application/json"),
        ("application/dicom+json", "application/dicom+json"),
        ('multipart/related; type="application/dicom+xml", application/dicom+json; q=0.2', "application/dicom+json"),
    ],
)
def test_json_is_answered_under_both_of_its_names(hospital: Any, accept: str, media: str) -> None:
    assert hospital.get("/studies", accept=accept).headers["content-type"] == media


def test_xml_is_not_there_and_it_is_said_what_is(hospital: Any) -> None:
    response = hospital.get("/studies", accept='multipart/related; type="application/dicom+xml"')
    assert response.status_code == 406
    assert "application/dicom+json" in response.json()["hint"]


def test_the_query_parameter_accept_counts_before_the_header(hospital: Any) -> None:
    assert hospital.get("/studies?accept=application/json", accept="text/html").status_code == 200


def test_what_is_not_there_is_an_empty_list(hospital: Any) -> None:
    assert hospital.get("/studies/1.2.3/series").json() == []
