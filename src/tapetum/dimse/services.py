"""Which service answers which message. Start reading at `serve`."""

from __future__ import annotations

from collections.abc import Callable

from tapetum.dimse import messages
from tapetum.dimse.classes import Service, service_of
from tapetum.dimse.commitment import commit
from tapetum.dimse.messages import RESPONSE, Message
from tapetum.dimse.query import find
from tapetum.dimse.retrieve import get, move
from tapetum.dimse.session import Session
from tapetum.dimse.storing import store
from tapetum.dimse.wire import Gone

__all__ = ["serve"]

SUCCESS, UNRECOGNISED_OPERATION = 0x0000, 0x0211


def serve(session: Session) -> None:
    """Answer messages until the peer releases the association.

    Raises
    ------
    Fault, Gone : it ended otherwise.
    """
    while (message := session.association.receive()) is not None:
        try:
            _answer(session, message)
        finally:
            message.close()
        if session.stopping.is_set():
            raise Gone("the server stops")


def _echo(session: Session, message: Message) -> None:
    session.association.respond(message, SUCCESS)


ANSWERS: dict[tuple[Service, int], Callable[[Session, Message], None]] = {
    ("echo", messages.C_ECHO_RQ): _echo,
    ("store", messages.C_STORE_RQ): store,
    ("find", messages.C_FIND_RQ): find,
    ("move", messages.C_MOVE_RQ): move,
    ("get", messages.C_GET_RQ): get,
    ("commit", messages.N_ACTION_RQ): commit,
}


def _answer(session: Session, message: Message) -> None:
    if message.kind == messages.C_CANCEL_RQ or message.kind & RESPONSE:
        return  # too late: what it speaks of has been answered
    context = session.association.contexts[message.context_id]
    service = service_of(context.abstract_syntax, unknown=session.rules.unknown_classes)
    answer = ANSWERS.get((service, message.kind)) if service else None
    if answer is None:
        session.association.respond(message, UNRECOGNISED_OPERATION)
    else:
        answer(session, message)
