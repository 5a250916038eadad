"""Units of PS3.8: what is encoded is decoded as it was, and nothing damaged is believed."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from tapetum.dimse.pdu import (
    HEAD,
    AssociateAccept,
    AssociateRequest,
    Fault,
    Outcome,
    Proposal,
    Rejection,
    abort,
    data_pdus,
    fragments,
    release_reply,
    release_request,
)

REQUEST = AssociateRequest(
    "ARCHIVE",
    "CT1",
    (Proposal(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)), Proposal(3, "1.2.3", ("1.2.840.10008.1.2.1", "1.2.4"))),
    16384,
    roles={"1.2.3": (False, True)},
    extended={"1.2.3": b"\1\0\1"},
    implementation="1.2.9",
)


def test_a_request_is_decoded_as_it_was_encoded() -> None:
    assert AssociateRequest.decode(memoryview(REQUEST.encode())[6:]) == REQUEST


def test_an_acceptance_is_decoded_as_it_was_encoded() -> None:
    sent = AssociateAccept("A", "B", (Outcome(1, 0, "1.2.840.10008.1.2"), Outcome(3, 4, "1.2.4")), implementation="1.2")
    assert AssociateAccept.decode(memoryview(sent.encode())[6:]) == sent


def test_pynetdicom_reads_our_request_and_acceptance() -> None:
    request = A_ASSOCIATE_RQ()
    request.decode(REQUEST.encode())
    assert request.called_ae_title.strip() == "ARCHIVE"
    assert [item.transfer_syntax for item in request.presentation_context][1] == ["1.2.840.10008.1.2.1", "1.2.4"]
    answer = A_ASSOCIATE_AC()
    answer.decode(AssociateAccept("A", "B", (Outcome(1, 0, "1.2.840.10008.1.2"),), implementation="1.2").encode())
    assert answer.presentation_context[0].result == 0


def test_short_units_are_as_the_standard_spells_them() -> None:
    # PS3.8 tables 9-21, 9-24, 9-25 and 9-26.
    assert Rejection(2, 3, 2).encode() == b"\3\0\0\0\0\4\0\2\3\2"
    assert Rejection.decode(memoryview(b"\0\2\3\2")) == Rejection(2, 3, 2)
    assert release_request() == b"\5\0\0\0\0\4\0\0\0\0"
    assert release_reply() == b"\6\0\0\0\0\4\0\0\0\0"
    assert abort(6) == b"\7\0\0\0\0\4\0\0\2\6"


@given(st.binary(max_size=300), st.integers(8, 100))
def test_data_is_cut_into_units_no_longer_than_allowed_and_put_together_again(data: bytes, most: int) -> None:
    whole = b""
    units = list(data_pdus(5, data, is_command=False, is_last=True, most=most))
    for unit in units:
        kind, length = HEAD.unpack_from(unit)
        assert (kind, length) == (4, len(unit) - 6)
        assert length <= most
        (fragment,) = fragments(memoryview(unit)[6:])
        assert (fragment.context_id, fragment.is_command) == (5, False)
        assert fragment.is_last == (unit is units[-1])
        whole += fragment.data
    assert whole == data


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_read_but_never_fail_otherwise(data: bytes) -> None:
    for read in (AssociateRequest.decode, AssociateAccept.decode, Rejection.decode, lambda body: list(fragments(body))):
        with suppress(Fault):
            read(memoryview(data))


def test_every_cut_of_a_request_is_refused() -> None:
    body = REQUEST.encode()[6:]
    whole = [len(body)]
    for end in range(len(body)):
        try:
            AssociateRequest.decode(memoryview(body)[:end])
        except Fault:
            continue
        whole.append(end)
    assert len(whole) <= 3  # between two items it is a shorter, but whole request


def test_a_request_without_contexts_or_with_an_even_number_is_refused() -> None:
    with pytest.raises(Fault):
        AssociateRequest.decode(memoryview(AssociateRequest("A", "B", ()).encode())[6:])
    even = AssociateRequest("A", "B", (Proposal(2, "1.2", ("1.3",)),))
    with pytest.raises(Fault):
        AssociateRequest.decode(memoryview(even.encode())[6:])


def test_a_data_value_longer_than_its_unit_is_refused() -> None:
    with pytest.raises(Fault):
        list(fragments(memoryview(struct.pack(">LBB", 100, 1, 3) + b"abc")))
