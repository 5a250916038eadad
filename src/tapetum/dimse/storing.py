"""C-STORE: one object in, and its status out only when it is durable. Start reading at `store`.

Statuses: PS3.4 table B.2-1, PS3.7 9.1.1.1.9. The comment of a status is the code that the quarantine lists.
"""

from __future__ import annotations

from tapetum.acquire.walk import Source
from tapetum.dimse.classes import is_deflated
from tapetum.dimse.elements import file_head, peek
from tapetum.dimse.messages import Message, Spool
from tapetum.dimse.session import Session
from tapetum.errors import TapetumError
from tapetum.model import Arrival

__all__ = ["status_of", "store"]

SUCCESS, KEPT_WITH_CONFLICT, OUT_OF_RESOURCES, NOT_AUTHORISED = 0x0000, 0xB000, 0xA700, 0x0124
DOES_NOT_MATCH, CANNOT_UNDERSTAND, INVALID_INSTANCE = 0xA900, 0xC000, 0x0117
STATUSES = {
    "conflicting-instance": KEPT_WITH_CONFLICT,
    "missing-attribute": DOES_NOT_MATCH,
    "missing-pixel-data": DOES_NOT_MATCH,
    "wrong-transfer-syntax": DOES_NOT_MATCH,
    "mixed-series": DOES_NOT_MATCH,
    "burned-in-text": NOT_AUTHORISED,
    "identifier-survived": NOT_AUTHORISED,
    "archive-bomb": OUT_OF_RESOURCES,
}
PEEK_BYTES = 1024


def store(session: Session, message: Message) -> None:
    """Take the object of a C-STORE-RQ in and answer it."""
    status, comment = _stored(session, message)
    session.tally[comment or "stored"] += 1
    session.association.respond(message, status, more={"ErrorComment": comment} if status else {})


def status_of(arrival: Arrival) -> tuple[int, str]:
    """Status and comment of how an object ended."""
    if arrival.outcome != "rejected" or arrival.rejected is None:
        return SUCCESS, arrival.outcome
    return STATUSES.get(arrival.rejected.code, CANNOT_UNDERSTAND), arrival.rejected.code


def _stored(session: Session, message: Message) -> tuple[int, str]:
    data, uid = message.data, message.text("AffectedSOPInstanceUID")
    if not uid or len(uid) > 64:
        return INVALID_INSTANCE, "no SOP Instance UID"
    if data is None:
        return CANNOT_UNDERSTAND, "no data set"
    if data.lost:
        return OUT_OF_RESOURCES, "no room for this object"
    if not _matches(session, message, data):
        return DOES_NOT_MATCH, "the data set is another object"
    source = Source(f"dimse://{session.association.calling}/{uid}", uid, "dicom", data.size, 0, data.open)
    try:
        return status_of(session.archive.take(source))
    except TapetumError as error:
        return OUT_OF_RESOURCES, error.code


def _matches(session: Session, message: Message, data: Spool) -> bool:
    """Whether the data set says of itself what the command says of it."""
    context = session.association.contexts[message.context_id]
    sop_class, uid = message.text("AffectedSOPClassUID"), message.text("AffectedSOPInstanceUID")
    if sop_class != context.abstract_syntax:
        return False
    if is_deflated(context.transfer_syntax):
        return True  # unfolded and judged by the intake
    with data.open() as file:
        file.seek(len(file_head(sop_class, uid, context.transfer_syntax)))
        found = peek(file.read(PEEK_BYTES), context.transfer_syntax)
    return all(said in ("", wanted) for said, wanted in zip(found, (sop_class, uid), strict=True))
