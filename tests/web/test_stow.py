"""Storing as PS3.18 10.5 has it."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from tapetum.errors import TapetumError
from tapetum.model import Arrival
from tapetum.testing import dicom_series, to_bytes
from tapetum.testing.objects import uid


@pytest.fixture(scope="module")
def client(make_client: Callable[..., Any]) -> Any:
    return make_client()


def answer(response: Any) -> Dataset:
    assert response.headers["content-type"] == "application/dicom+json"
    return Dataset.from_json(response.text)


def reasons(response: Any) -> list[int]:
    return [item.FailureReason for item in answer(response).FailedSOPSequence]


def test_objects_are_stored_and_named_with_where_they_are(client: Any) -> None:
    objects = dicom_series(slices=3, study="stow")
    response = client.store(*objects)
    assert response.status_code == 200
    found = answer(response)
    assert {item.ReferencedSOPInstanceUID for item in found.ReferencedSOPSequence} == {
        each.SOPInstanceUID for each in objects
    }
    for item in found.ReferencedSOPSequence:
        path = item.RetrieveURL.removeprefix(client.root)
        assert client.get(path, accept="application/dicom").status_code == 200
    assert found.RetrieveURL == f"{client.root}/studies/{objects[0].StudyInstanceUID}"


def test_bytes_come_back_as_they_were_sent(client: Any) -> None:
    data = to_bytes(dicom_series(slices=1, study="bytes")[0])
    item = answer(client.post(client.body([data]))).ReferencedSOPSequence[0]
    assert client.get(item.RetrieveURL.removeprefix(client.root), accept="application/dicom").content == data


def test_one_object_may_come_on_its_own(client: Any) -> None:
    data = to_bytes(dicom_series(slices=1, study="single")[0])
    assert client.post(data, "application/dicom").status_code == 200


def test_an_object_that_is_sent_twice_is_stored_once_and_both_are_told_so(client: Any) -> None:
    objects = dicom_series(slices=1, study="twice")
    for _ in range(2):
        response = client.store(*objects, *objects)
        assert response.status_code == 200
        assert len(answer(response).ReferencedSOPSequence) == 2
    assert len(client.get(f"/studies/{objects[0].StudyInstanceUID}/instances").json()) == 1


def test_a_body_in_chunks_of_unknown_length_is_taken(client: Any) -> None:
    body = client.body([to_bytes(each) for each in dicom_series(slices=2, study="chunked")])

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    assert client.post(pieces()).status_code == 200


def test_what_cannot_be_used_is_named_with_a_reason_and_the_rest_is_stored(client: Any) -> None:
    good, cut = (to_bytes(each) for each in dicom_series(slices=2, study="mixed"))
    response = client.post(client.body([good, cut[:-100]]))
    assert response.status_code == 202
    found = answer(response)
    assert len(found.ReferencedSOPSequence) == 1
    assert found.FailedSOPSequence[0].FailureReason == 0xC000
    assert found.FailedSOPSequence[0].ReferencedSOPInstanceUID == dcmread_uid(cut)
    assert "truncated: 1" in response.headers["Warning"]


def dcmread_uid(data: bytes) -> str:
    from io import BytesIO

    return str(dcmread(BytesIO(data), stop_before_pixels=True).SOPInstanceUID)


def test_a_body_of_which_nothing_can_be_used_is_a_conflict(client: Any) -> None:
    response = client.post(client.body([b"not DICOM at all"]))
    assert response.status_code == 409
    assert [item.FailureReason for item in answer(response)["OtherFailuresSequence"].value] == [0xC000]
    assert client.workspace.quarantine()


def test_a_part_of_another_type_fails_alone(client: Any) -> None:
    response = client.post(client.body([to_bytes(dicom_series(slices=1, study="html")[0])], "text/html"))
    assert (response.status_code, reasons(response)) == (409, [0xC000])


def test_an_object_of_another_study_than_the_path_names_is_refused(client: Any) -> None:
    objects = dicom_series(slices=2, study="named")
    body = client.body([to_bytes(each) for each in objects])
    response = client.post(body, path=f"/studies/{uid('another')}")
    assert (response.status_code, reasons(response)) == (409, [0xA900] * 2)
    assert client.get(f"/studies/{objects[0].StudyInstanceUID}/series").json() == []
    assert client.post(body, path=f"/studies/{objects[0].StudyInstanceUID}").status_code == 200


def test_other_bytes_under_a_known_uid_are_kept_and_flagged(client: Any) -> None:
    first = dicom_series(slices=1, study="conflict")[0]
    client.store(first)
    first.SeriesDescription = "other words"
    response = client.store(first)
    assert response.status_code == 202
    assert answer(response).ReferencedSOPSequence[0].WarningReason == 0xB000
    assert "conflicting-instance: 1" in response.headers["Warning"]
    assert "conflicting-instance" in [row["code"] for row in client.workspace.quarantine()]


def test_a_workspace_that_hides_identities_says_that_it_changed_the_object(make_client: Callable[..., Any]) -> None:
    client = make_client(deidentify=True)
    sent = dicom_series(slices=1)[0]
    response = client.store(sent)
    item = answer(response).ReferencedSOPSequence[0]
    assert (response.status_code, item.WarningReason) == (202, 0xB000)
    assert item.ReferencedSOPInstanceUID != sent.SOPInstanceUID
    assert client.get(item.RetrieveURL.removeprefix(client.root)).status_code == 200
    assert "Doe" not in client.get("/studies").text
    assert client.post(client.body([to_bytes(sent)]), path=f"/studies/{sent.StudyInstanceUID}").status_code == 202


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("text/plain", 415),
        ("", 415),
        ("multipart/form-data; boundary=x", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', 415),
        ('multipart/related; type="application/dicom"', 400),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 201}', 400),
    ],
)
def test_a_body_of_another_kind_is_refused(client: Any, media: str, status: int) -> None:
    response = client.post(b"x", media)
    assert response.status_code == status
    assert set(response.json()) == {"code", "message", "hint"}


@pytest.mark.parametrize("cut", [0, 1, 40, -1000, -30])
def test_a_body_that_is_cut_is_refused(client: Any, cut: int) -> None:
    body = client.body([to_bytes(dicom_series(slices=1, study="cut")[0])])[:cut]
    response = client.post(body)
    assert (response.status_code, response.json()["code"]) == (400, "bad-request")


def test_an_empty_object_is_refused(client: Any) -> None:
    assert client.post(b"", "application/dicom").status_code == 400


def test_a_compressed_body_is_refused(client: Any) -> None:
    assert client.post(b"x", **{"Content-Encoding": "gzip"}).status_code == 415


def test_an_answer_that_nobody_takes_is_refused_before_anything_is_stored(client: Any) -> None:
    objects = dicom_series(slices=1, study="unacceptable")
    response = client.post(client.body([to_bytes(objects[0])]), Accept="application/dicom+xml")
    assert response.status_code == 406
    assert client.get(f"/studies/{objects[0].StudyInstanceUID}/series").json() == []


def test_a_disk_that_is_full_acknowledges_nothing(
    make_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()

    def full(_: object) -> list[Arrival]:
        raise TapetumError("the archive cannot write", hint="send again")

    monkeypatch.setattr(client.workspace.catalogue, "record", full)
    response = client.store(*dicom_series(slices=2))
    assert (response.status_code, reasons(response)) == (503, [0xA700] * 2)
    monkeypatch.undo()
    assert client.store(*dicom_series(slices=2)).status_code == 200


def test_a_part_larger_than_allowed_is_refused(
    make_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    object.__setattr__(client.workspace.settings, "acquire_max_bytes", 1000)
    for body, media in ((client.body([bytes(2000)]), None), (bytes(2000), "application/dicom")):
        response = client.post(body, media) if media else client.post(body)
        assert (response.status_code, response.json()["code"]) == (413, "too-large")


def test_every_transfer_syntax_that_comes_is_stored_as_it_is(client: Any) -> None:
    for name in (
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPEG2000.dcm",
        "MR_small_RLE.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
    ):
        data = Path(str(get_testdata_file(name))).read_bytes()
        response = client.post(client.body([data]))
        assert response.status_code in (200, 202), name


def test_ten_thousand_tiny_parts_are_answered_and_memory_stays_where_it_is(client: Any) -> None:
    client.post(client.body([b"x%d" % number for number in range(100)]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = client.post(client.body([b"x%d" % number for number in range(10_000)]))
    assert response.status_code == 409
    assert len(answer(response)["OtherFailuresSequence"].value) == 10_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 << 10
