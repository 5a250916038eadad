"""Associations that we ask for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tapetum.dimse import Peer, Rules, Server
from tapetum.dimse.request import Asked
from tapetum.dimse.wire import Gone

from .conftest import CT, EXPLICIT, IMPLICIT, free_port

RULES = Rules(ae_title="US", request_s=1.0)


def _asked(peer: Peer) -> Asked:
    return Asked("THEM", peer, [(CT, (EXPLICIT, IMPLICIT)), ("1.2.3", (IMPLICIT,))], RULES, stopping=threading.Event())


def test_what_dcmtk_accepts_can_be_sent_and_is_released(receiving: tuple[Peer, Path]) -> None:
    with _asked(receiving[0]) as association:
        (context,) = association.contexts.values()
        assert (context.abstract_syntax, context.transfer_syntax, context.we_send) == (CT, EXPLICIT, True)
        assert association.calling == "US"


def test_a_peer_that_is_not_there_or_does_not_want_us_is_gone(listening: Callable[..., Server]) -> None:
    with pytest.raises(Gone, match="reached"):
        _asked(Peer("127.0.0.1", free_port()))
    choosy = listening(Rules(callers=frozenset({"SOMEBODY"})))
    with pytest.raises(Gone, match="refused"):
        _asked(Peer("127.0.0.1", choosy.port))


def test_a_peer_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Gone, match="silent"):
        _asked(Peer("127.0.0.1", silent.getsockname()[1]))
