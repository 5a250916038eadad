import asyncio
import gzip
import json

import pytest
from fastapi import Request

from tapetum.errors import InvalidQuery, NotFound, RefusedRequest, RejectedInput, TapetumError
from tapetum.web.answer import etag_of, json_answer, takes_gzip, told, uid_in_path, unchanged


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": pairs, "query_string": b""})


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(request(accept_encoding=accepted)) is takes
    answer = json_answer(request(accept_encoding=accepted), {"a": "x" * 2000})
    assert ("content-encoding" in answer.headers) is takes
    data = gzip.decompress(bytes(answer.body)) if takes else bytes(answer.body)
    assert json.loads(data) == {"a": "x" * 2000}


def test_a_short_answer_is_not_worth_compressing() -> None:
    assert "content-encoding" not in json_answer(request(accept_encoding="gzip"), {}).headers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("gone"), 404, "not-found"),
        (InvalidQuery("what"), 400, "invalid-query"),
        (RefusedRequest("too-large", "no"), 413, "too-large"),
        (RejectedInput("unsupported"), 422, "unsupported"),
        (TapetumError("the archive cannot write"), 500, "error"),
        (ValueError("Doe^Jane"), 500, "error"),
    ],
)
def test_an_error_is_told_with_its_code_and_no_more(error: Exception, status: int, code: str) -> None:
    answer = asyncio.run(told(request(), error))
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["code"]) == (status, code)
    assert set(body) == {"code", "message", "hint"}
    assert "Doe" not in str(body)


def test_facts_of_an_error_stay_inside() -> None:
    answer = asyncio.run(told(request(), NotFound("no such thing", patient="Doe^Jane")))
    assert b"Doe" not in bytes(answer.body)


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008", "2.25." + "9" * 39, "1" * 64])
def test_a_uid_is_taken(uid: str) -> None:
    assert uid_in_path(uid) == uid


@pytest.mark.parametrize("uid", ["", "1.", ".1", "1..2", "a", "1.2\n", "1" * 65, "١"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    with pytest.raises(RefusedRequest):
        uid_in_path(uid)


@pytest.mark.parametrize(
    ("known", "same"), [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("", False)]
)
def test_what_the_client_has_is_not_sent_again(known: str, same: bool) -> None:
    answer = unchanged(request(if_none_match=known), '"a"', cache="private")
    assert (answer is not None and answer.status_code == 304) is same


def test_names_of_answers_differ_where_what_they_are_made_of_does() -> None:
    assert etag_of("a", "b") == etag_of("a", "b") != etag_of("ab", "")
