"""What is agreed on when an association begins. Refusals stand in test_server."""

from __future__ import annotations

from collections.abc import Callable

from tapetum.dimse import Rules, Server
from tapetum.dimse.pdu import AssociateAccept, Proposal

from .conftest import CT, EXPLICIT, IMPLICIT, Raw

Listening = Callable[..., Server]
Connect = Callable[[Server], Raw]
STUDY_FIND, STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def _agreed(client: Raw, *proposals: Proposal, **more: object) -> AssociateAccept:
    return AssociateAccept.decode(memoryview(client.associate(*proposals, **more)))  # type: ignore[arg-type]


def test_each_context_is_answered_by_itself(listening: Listening, raw: Connect) -> None:
    answer = _agreed(
        raw(listening()),
        Proposal(1, CT, (IMPLICIT, JPEG_2000)),
        Proposal(3, "1.2.3", (EXPLICIT,)),
        Proposal(5, CT, ("1.2.3",)),
        Proposal(7, STUDY_FIND, (EXPLICIT, IMPLICIT)),
    )
    results = {one.context_id: (one.result, one.transfer_syntax) for one in answer.outcomes}
    assert results[1] == (0, JPEG_2000)
    assert results[7] == (0, EXPLICIT)
    assert (results[3][0], results[5][0]) == (3, 4)


def test_a_hundred_and_twenty_eight_contexts_are_agreed_on(listening: Listening, raw: Connect) -> None:
    proposals = [Proposal(number, CT, (EXPLICIT, IMPLICIT)) for number in range(1, 256, 2)]
    assert len(_agreed(raw(listening()), *proposals).outcomes) == 128


def test_a_peer_may_store_what_it_gets_and_then_plain_is_chosen(listening: Listening, raw: Connect) -> None:
    roles = {CT: (False, True), STUDY_GET: (False, True)}
    answer = _agreed(
        raw(listening()), Proposal(1, CT, (JPEG_2000, EXPLICIT)), Proposal(3, STUDY_GET, (IMPLICIT,)), roles=roles
    )
    assert answer.roles == {CT: (False, True)}
    assert answer.outcomes[0].transfer_syntax == EXPLICIT


def test_of_extended_negotiation_what_we_can_is_agreed_on(listening: Listening, raw: Connect) -> None:
    asked = {STUDY_FIND: bytes((1, 1, 1, 1, 1)), STUDY_GET: bytes((1,)), CT: bytes((2, 0, 0))}
    answer = _agreed(
        raw(listening()), Proposal(1, STUDY_FIND, (IMPLICIT,)), Proposal(3, STUDY_GET, (IMPLICIT,)), extended=asked
    )
    assert answer.extended == {STUDY_FIND: bytes((1, 0, 1, 0)), STUDY_GET: bytes((1,))}


def test_titles_come_back_as_they_were_sent(listening: Listening, raw: Connect) -> None:
    answer = _agreed(raw(listening(Rules(ae_title="OTHER"))), called="WHOEVER", calling="CT1")
    assert (answer.called, answer.calling) == ("WHOEVER", "CT1")
