"""Whether an operation shall stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.dimse.messages import C_CANCEL_RQ, C_ECHO_RQ, Message
from tapetum.dimse.pdu import Fault
from tapetum.dimse.session import Rules, Session
from tapetum.dimse.wire import Gone


def _session(*messages: Message | None) -> Session:
    """A session whose peer has sent these messages; None is a release."""
    left: Iterator[Message | None] = iter(messages)
    waiting = list(messages)

    def receive() -> Message | None:
        waiting.pop()
        return next(left)

    wire = SimpleNamespace(waiting=lambda: bool(waiting))
    association: Any = SimpleNamespace(wire=wire, receive=receive)
    archive: Any = None
    return Session(association, archive, Rules(), {}, threading.Event())


def _cancel(message_id: int) -> Message:
    return Message(1, {"CommandField": C_CANCEL_RQ, "MessageIDBeingRespondedTo": message_id})


def test_nothing_sent_is_nothing_cancelled() -> None:
    assert not _session().cancelled(5)


def test_only_a_cancel_of_this_operation_counts() -> None:
    assert _session(_cancel(4), _cancel(5)).cancelled(5)
    assert not _session(_cancel(4)).cancelled(5)


def test_another_request_in_the_middle_is_a_fault() -> None:
    with pytest.raises(Fault):
        _session(Message(1, {"CommandField": C_ECHO_RQ})).cancelled(5)


def test_a_release_and_a_stopping_server_end_the_operation() -> None:
    with pytest.raises(Gone, match="released"):
        _session(None).cancelled(5)
    stopping = _session()
    stopping.stopping.set()
    with pytest.raises(Gone, match="stops"):
        stopping.cancelled(5)
