"""C-FIND: a question, an answer for each match. Start reading at `find`.

Definitions and statuses: PS3.4 C.4.1. Answers are in UTF-8 (ISO_IR 192) and hold the keys that were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tapetum.dimse.classes import PLAIN
from tapetum.dimse.elements import element, tag_of
from tapetum.dimse.identifier import UNIQUE_KEYS, Identifier, read_identifier
from tapetum.dimse.messages import Message
from tapetum.dimse.session import Session
from tapetum.errors import InvalidQuery, RejectedInput, TapetumError
from tapetum.model import Query, Row

__all__ = ["find"]

SUCCESS, PENDING, PENDING_IN_PART, CANCELLED = 0x0000, 0xFF00, 0xFF01, 0xFE00
DOES_NOT_MATCH, CANNOT_PROCESS = 0xA900, 0xC000
PAGE_ROWS = 1000
LOOK_EVERY = 64
"""After so many answers it is looked whether the peer has cancelled."""
FUZZY_BYTE = 2


def find(session: Session, message: Message) -> None:
    """Answer a C-FIND-RQ."""
    try:
        status, comment = _answered(session, message)
    except (InvalidQuery, RejectedInput) as error:
        status, comment = DOES_NOT_MATCH, str(error.args[0])
    session.association.respond(message, status, more={"ErrorComment": comment[:64]} if comment else {})


def _answered(session: Session, message: Message) -> tuple[int, str]:
    """Send the matches; status and comment of the last answer."""
    context = session.association.contexts[message.context_id]
    asked = read_identifier(message.data, context.abstract_syntax, context.transfer_syntax)
    agreed = session.association.extended.get(context.abstract_syntax, b"")
    query = Query(asked.level, asked.match, fuzzy=len(agreed) > FUZZY_BYTE and bool(agreed[FUZZY_BYTE]))
    implicit = context.transfer_syntax == PLAIN[1]
    pending = PENDING_IN_PART if asked.unsupported else PENDING
    try:
        for number, row in enumerate(_rows(session, query)):
            if number % LOOK_EVERY == 0 and session.cancelled(message.message_id):
                return CANCELLED, ""
            data = _answer(asked, row, session.rules.ae_title, implicit=implicit)
            session.association.respond(message, pending, data, flush=False)
    except (InvalidQuery, RejectedInput):
        raise
    except TapetumError as error:
        if error.code in ("protocol", "peer-gone"):
            raise
        return CANNOT_PROCESS, error.code
    return SUCCESS, ""


def _rows(session: Session, query: Query) -> Iterator[Row]:
    """The matches, a page at a time, so that a question for everything needs no more memory than another."""
    offset = 0
    while True:
        page = session.archive.catalogue.find(replace(query, limit=PAGE_ROWS, offset=offset))
        yield from page
        if len(page) < PAGE_ROWS:
            return
        offset += PAGE_ROWS


def _answer(asked: Identifier, row: Row, ae_title: str, *, implicit: bool) -> bytes:
    said = {
        **row,
        "SpecificCharacterSet": "ISO_IR 192",
        "QueryRetrieveLevel": asked.level_name,
        "RetrieveAETitle": ae_title,
        "InstanceAvailability": "ONLINE",
    }
    wanted = {*asked.keys, "SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle"}
    wanted.add(UNIQUE_KEYS[asked.level])
    return b"".join(element(keyword, said.get(keyword), implicit=implicit) for keyword in sorted(wanted, key=tag_of))
