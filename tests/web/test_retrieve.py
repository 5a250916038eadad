"""Retrieving as PS3.18 10.4 has it."""

from collections.abc import Callable
from email import message_from_bytes
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from tapetum.testing import dicom_series, enhanced

OBJECTS = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
PLAIN, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.91"


def parts(response: Any) -> list[tuple[str, bytes]]:
    """Media type and content of each part, as the standard library finds them."""
    assert response.status_code == 200, response.text
    whole = message_from_bytes(
        b"Content-Type: " + response.headers["content-type"].encode() + b"\r\n\r\n" + response.content
    )
    return [(str(part["Content-Type"]), part.get_payload(decode=True)) for part in whole.get_payload()]  # type: ignore[misc]


@pytest.fixture(scope="module")
def compressed(make_client: Callable[..., Any]) -> tuple[Any, str, Any]:
    """A client, the path of a JPEG 2000 object, and the object."""
    client = make_client()
    data = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
    item = client.post(client.body([data])).json()["00081199"]["Value"][0]
    return client, item["00081190"]["Value"][0].removeprefix(client.root), dcmread(BytesIO(data))


@pytest.mark.parametrize(("level", "count"), [("study", 5), ("series", 3), ("instance", 1)])
def test_all_objects_of_a_level_come_as_parts(hospital: Any, ct: dict[str, str], level: str, count: int) -> None:
    found = parts(hospital.get(ct[level], accept=OBJECTS))
    assert len(found) == count
    assert {media for media, _ in found} == {f"application/dicom; transfer-syntax={PLAIN}"}
    assert len({dcmread(BytesIO(data)).SOPInstanceUID for _, data in found}) == count


def test_one_object_comes_on_its_own_when_it_is_asked_so(hospital: Any, ct: dict[str, str]) -> None:
    response = hospital.get(ct["instance"], accept="application/dicom")
    assert response.headers["content-type"] == f"application/dicom; transfer-syntax={PLAIN}"
    assert dcmread(BytesIO(response.content)).PatientName == "Doe^Jane"


def test_several_objects_on_their_own_are_not_acceptable(hospital: Any, ct: dict[str, str]) -> None:
    response = hospital.get(ct["series"], accept="application/dicom")
    assert response.status_code == 406
    assert "multipart/related" in response.json()["hint"]


def test_large_answers_are_streamed(hospital: Any, ct: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapetum.web.retrieve.WHOLE_BYTES", 100)
    response = hospital.get(ct["study"], accept=OBJECTS)
    assert response.headers["transfer-encoding"] == "chunked"
    assert len(parts(response)) == 5
    single = hospital.get(ct["instance"], accept="application/dicom")
    assert single.headers["transfer-encoding"] == "chunked"
    assert dcmread(BytesIO(single.content)).Rows == 16


@pytest.mark.parametrize("accept", ["*/*", OCTETS, 'multipart/related; type="*/*"', f"{OCTETS}; transfer-syntax=*",
                                    f'{OCTETS}; transfer-syntax="{PLAIN}"'])  # fmt: skip
def test_a_frame_comes_as_plain_bytes(hospital: Any, ct: dict[str, str], accept: str) -> None:
    ((media, data),) = parts(hospital.get(f"{ct['instance']}/frames/1", accept=accept))
    assert media == f"application/octet-stream; transfer-syntax={PLAIN}"
    assert data == dicom_series(slices=3, rows=16, columns=24)[0].PixelData


def test_one_frame_may_come_on_its_own_and_several_may_not(hospital: Any, ct: dict[str, str]) -> None:
    single = hospital.get(f"{ct['instance']}/frames/1", accept="application/octet-stream")
    assert len(single.content) == 16 * 24 * 2


@pytest.mark.parametrize(("numbers", "status"), [("2", 404), ("0", 400), ("1,x", 400), ("", 404), ("-1", 400),
                                                 ("9" * 30, 400), ("1%2C1", 200)])  # fmt: skip
def test_frames_are_numbers_from_one(hospital: Any, ct: dict[str, str], numbers: str, status: int) -> None:
    assert hospital.get(f"{ct['instance']}/frames/{numbers}").status_code == status


def test_the_same_frame_is_answered_alike_the_second_time(hospital: Any, ct: dict[str, str]) -> None:
    answers = [hospital.get(f"{ct['instance']}/frames/1", accept="application/octet-stream") for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["ETag"] == answers[1].headers["ETag"]
    again = {"If-None-Match": answers[0].headers["ETag"]}
    assert hospital.get(f"{ct['instance']}/frames/1", accept="application/octet-stream", **again).status_code == 304
    assert hospital.get(f"{ct['instance']}/frames/2").status_code == 404
    assert hospital.get(f"{ct['instance']}/frames/1", accept="image/gif").status_code == 406


def test_frames_of_one_object_come_in_the_order_asked(make_client: Callable[..., Any]) -> None:
    client = make_client()
    planes = dicom_series(slices=4, rows=8, columns=8, noise=20.0)
    item = client.store(enhanced(planes)).json()["00081199"]["Value"][0]
    path = item["00081190"]["Value"][0].removeprefix(client.root)
    found = [data for _, data in parts(client.get(f"{path}/frames/4,1", accept=OCTETS))]
    assert found == [planes[0].PixelData, planes[3].PixelData]


@pytest.mark.parametrize(
    ("accept", "media", "syntax"),
    [
        ("*/*", "application/octet-stream", PLAIN),
        (OCTETS, "application/octet-stream", PLAIN),
        (f"{OCTETS}; transfer-syntax=*", "application/octet-stream", J2K),
        ('multipart/related; type="image/jp2"', "image/jp2", J2K),
        (f'multipart/related; type="image/jp2"; transfer-syntax={J2K}, {OCTETS}; q=0.1', "image/jp2", J2K),
    ],
)
def test_a_compressed_frame_comes_as_it_is_or_decoded(
    compressed: tuple[Any, str, Any], accept: str, media: str, syntax: str
) -> None:
    client, path, sent = compressed
    ((said, data),) = parts(client.get(f"{path}/frames/1", accept=accept))
    assert said == f"{media}; transfer-syntax={syntax}"
    if syntax == PLAIN:
        assert data == np.ascontiguousarray(sent.pixel_array).tobytes()
    else:
        assert data[:4] == b"\xff\x4f\xff\x51"


@pytest.mark.parametrize(
    "accept", ['multipart/related; type="image/jls"', f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.5"]
)
def test_an_encoding_that_is_not_kept_is_not_acceptable(compressed: tuple[Any, str, Any], accept: str) -> None:
    client, path, _ = compressed
    assert client.get(f"{path}/frames/1", accept=accept).status_code == 406


@pytest.mark.parametrize(
    ("parameter", "syntax"),
    [
        ("", PLAIN),
        (f"; transfer-syntax={PLAIN}", PLAIN),
        ("; transfer-syntax=*", J2K),
        (f'; transfer-syntax="{J2K}"', J2K),
    ],
)
def test_a_compressed_object_comes_as_it_is_or_decompressed(
    compressed: tuple[Any, str, Any], parameter: str, syntax: str
) -> None:
    client, path, sent = compressed
    ((media, data),) = parts(client.get(path, accept=f"{OBJECTS}{parameter}"))
    found = dcmread(BytesIO(data))
    assert media.endswith(f"transfer-syntax={syntax}")
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.SOPInstanceUID == sent.SOPInstanceUID
    np.testing.assert_array_equal(found.pixel_array, sent.pixel_array)


def test_an_object_in_a_transfer_syntax_that_is_not_kept_is_not_acceptable(compressed: tuple[Any, str, Any]) -> None:
    client, path, _ = compressed
    response = client.get(path, accept=f"{OBJECTS}; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert response.status_code == 406
    assert J2K in response.json()["hint"]


def test_implicit_and_big_endian_objects_come_in_the_default_encoding(make_client: Callable[..., Any]) -> None:
    client = make_client()
    for name in ("MR_small_implicit.dcm", "MR_small_bigendian.dcm"):
        sent = dcmread(str(get_testdata_file(name)))
        item = client.post(client.body([Path(str(get_testdata_file(name))).read_bytes()])).json()["00081199"]["Value"][
            0
        ]
        path = item["00081190"]["Value"][0].removeprefix(client.root)
        ((media, data),) = parts(client.get(path, accept=OBJECTS))
        assert media.endswith(PLAIN)
        np.testing.assert_array_equal(dcmread(BytesIO(data)).pixel_array, sent.pixel_array)
        ((_, frame),) = parts(client.get(f"{path}/frames/1", accept=OCTETS))
        assert frame == sent.pixel_array.astype("<i2").tobytes()


def test_bulk_data_is_where_the_metadata_say(hospital: Any, ct: dict[str, str]) -> None:
    (model,) = hospital.get(f"{ct['instance']}/metadata").json()
    path = model["7FE00010"]["BulkDataURI"].removeprefix(hospital.root)
    ((media, data),) = parts(hospital.get(path, accept='multipart/related; type="*/*"'))
    assert (media, len(data)) == ("application/octet-stream", 16 * 24 * 2)
    assert hospital.get(path, accept="application/octet-stream").content == data


@pytest.mark.parametrize("path", ["00420011", "x", "00081140/9/00081155", "../../..", "7FE00010/0"])
def test_bulk_data_that_is_not_there_is_not_found(hospital: Any, ct: dict[str, str], path: str) -> None:
    assert hospital.get(f"{ct['instance']}/bulkdata/{path.replace('/', '%2F')}").status_code == 404


def test_what_does_not_change_is_not_sent_twice(hospital: Any, ct: dict[str, str]) -> None:
    for path in (ct["instance"], f"{ct['instance']}/frames/1", ct["study"]):
        first = hospital.get(path)
        assert hospital.get(path, **{"If-None-Match": first.headers["ETag"]}).status_code == 304
        assert hospital.get(path, **{"If-None-Match": '"other"'}).status_code == 200
    assert "immutable" in hospital.get(ct["instance"]).headers["Cache-Control"]
    assert "no-cache" in hospital.get(ct["study"]).headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/studies/1.2.3", "/studies/1.2.3/series/1.2", "/studies/1.2.3/series/1.2/instances/1"]
)
def test_what_is_not_stored_is_not_found(hospital: Any, path: str) -> None:
    response = hospital.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    "uid", ["1.2.x", "1" * 65, "1..2", "%2e%2e%2f%2e%2e%2fetc", "..%5c..", "1.2.3%00", "%EF%BC%91"]
)
def test_a_uid_that_is_none_is_refused_before_anybody_looks_for_it(hospital: Any, uid: str) -> None:
    assert hospital.get(f"/studies/{uid}/metadata").status_code in (400, 404)
    assert hospital.get(f"/studies/{uid}").status_code in (400, 404)


def test_an_object_whose_bytes_are_gone_is_said_to_be_missing(make_client: Callable[..., Any]) -> None:
    client = make_client()
    item = client.store(dicom_series(slices=1)[0]).json()["00081199"]["Value"][0]
    for path in (client.workspace.folder / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    response = client.get(item["00081190"]["Value"][0].removeprefix(client.root))
    assert response.status_code == 404
    assert "verify" in response.json()["hint"]


def test_head_answers_as_get_without_a_body(hospital: Any, ct: dict[str, str]) -> None:
    for path in ("/studies", ct["instance"], ct["study"], f"{ct['series']}/metadata", f"{ct['instance']}/rendered"):
        response = hospital.session.head(hospital.root + path, timeout=20)
        assert (response.status_code, response.content) == (200, b"")
    assert hospital.session.head(f"{hospital.root}/studies/1.2.3", timeout=20).status_code == 404
