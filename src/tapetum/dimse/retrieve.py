"""C-MOVE and C-GET: objects out, to another entity or back over the same association. Start reading at `move`.

Definitions and statuses: PS3.4 C.4.2 and C.4.3. An object that cannot be sent is counted and named, and does not end
the operation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tapetum.dimse.classes import PLAIN
from tapetum.dimse.elements import element
from tapetum.dimse.identifier import read_identifier
from tapetum.dimse.messages import Message
from tapetum.dimse.pdu import Fault
from tapetum.dimse.request import MOST_CONTEXTS, Asked
from tapetum.dimse.sending import Held, Sender, held
from tapetum.dimse.session import Session
from tapetum.dimse.wire import Gone
from tapetum.errors import InvalidQuery, RejectedInput, TapetumError

__all__ = ["get", "move"]

SUCCESS, SOME_FAILED, PENDING, CANCELLED = 0x0000, 0xB000, 0xFF00, 0xFE00
CANNOT_COUNT, CANNOT_SEND, UNKNOWN_DESTINATION = 0xA701, 0xA702, 0xA801
DOES_NOT_MATCH = 0xA900
WARNINGS = range(0xB000, 0xC000)
MOST_COUNTED = 0xFFFF
MOST_NAMED = 1000


@dataclass(slots=True)
class _Progress:
    """How the sub-operations of one request stand."""

    left: int
    completed: int = 0
    warned: int = 0
    failed: list[str] = field(default_factory=list)

    def count(self, uid: str, status: int) -> None:
        self.left -= 1
        if status == SUCCESS:
            self.completed += 1
        elif status in WARNINGS:
            self.warned += 1
        else:
            self.failed.append(uid)

    def give_up(self, objects: list[Held]) -> None:
        """Count what is left as failed."""
        self.failed += [one.sop_instance_uid for one in objects[len(objects) - self.left :]]
        self.left = 0

    def numbers(self, *, with_left: bool) -> dict[str, int | str]:
        found = {
            "NumberOfCompletedSuboperations": self.completed,
            "NumberOfFailedSuboperations": len(self.failed),
            "NumberOfWarningSuboperations": self.warned,
        }
        if with_left:
            found["NumberOfRemainingSuboperations"] = self.left
        return {name: min(number, MOST_COUNTED) for name, number in found.items()}

    def status(self) -> int:
        if not self.failed and not self.warned:
            return SUCCESS
        return SOME_FAILED if self.completed or self.warned else CANNOT_SEND


def move(session: Session, message: Message) -> None:
    """Answer a C-MOVE-RQ: send to the peer of the destination's title over a new association."""
    title = message.text("MoveDestination")
    peer = session.peers.get(title)
    if peer is None:
        session.association.respond(message, UNKNOWN_DESTINATION, more={"ErrorComment": "unknown destination"})
        return
    objects = _wanted(session, message)
    if objects is None:
        return
    progress = _Progress(len(objects))
    if not objects:
        _finish(session, message, progress, SUCCESS)
        return
    try:
        asked = Asked(title, peer, _contexts(objects), session.rules, stopping=session.stopping)
    except (Fault, Gone):
        progress.give_up(objects)
        _finish(session, message, progress, CANNOT_SEND)
        return
    with asked as association:
        origin = (session.association.calling, message.message_id)
        sender = Sender(association, session.archive.blobs, origin=origin)
        status = _send_all(session, message, objects, sender, progress)
    _finish(session, message, progress, status)


def get(session: Session, message: Message) -> None:
    """Answer a C-GET-RQ: send back over the same association what the peer has said it can store."""
    objects = _wanted(session, message)
    if objects is None:
        return
    progress = _Progress(len(objects))
    sender = Sender(session.association, session.archive.blobs, cancellable=message.message_id)
    status = _send_all(session, message, objects, sender, progress)
    _finish(session, message, progress, status)


def _wanted(session: Session, message: Message) -> list[Held] | None:
    """What the request names; None when it was answered with a failure."""
    context = session.association.contexts[message.context_id]
    try:
        asked = read_identifier(message.data, context.abstract_syntax, context.transfer_syntax)
        return held(session.archive.catalogue.select(asked.retrieval()), session.archive.blobs)
    except (InvalidQuery, RejectedInput) as error:
        status, comment = DOES_NOT_MATCH, str(error.args[0])
    except TapetumError as error:
        status, comment = CANNOT_COUNT, error.code
    session.association.respond(message, status, more={"ErrorComment": comment[:64]})
    return None


def _contexts(objects: Iterable[Held]) -> list[tuple[str, tuple[str, ...]]]:
    """What to propose: each class in each encoding that it is stored in, and plain, so that it can be decoded."""
    stored = dict.fromkeys((one.sop_class_uid, one.transfer_syntax) for one in objects)
    plain = dict.fromkeys(sop_class for sop_class, _ in stored)
    wanted = [(sop_class, PLAIN) for sop_class in plain]
    wanted += [(sop_class, (PLAIN[1],)) for sop_class in plain if (sop_class, PLAIN[1]) in stored]
    wanted += [(sop_class, (syntax,)) for sop_class, syntax in stored if syntax not in PLAIN]
    return wanted[:MOST_CONTEXTS]


def _send_all(session: Session, message: Message, objects: list[Held], sender: Sender, progress: _Progress) -> int:
    """Send one after the other, telling how it stands after each; the status of the last answer."""
    for one in objects:
        if sender.cancelled or session.cancelled(message.message_id):
            return CANCELLED
        try:
            progress.count(one.sop_instance_uid, sender.send(one))
        except RejectedInput:
            progress.count(one.sop_instance_uid, CANNOT_SEND)
        except (Fault, Gone):
            if sender.cancellable:  # it is the peer's own association that has ended
                raise
            progress.give_up(objects)
            break
        if progress.left:
            session.association.respond(message, PENDING, more=progress.numbers(with_left=True))
    return progress.status()


def _finish(session: Session, message: Message, progress: _Progress, status: int) -> None:
    """The last answer, with the UIDs of what failed."""
    session.tally["retrieved"] += progress.completed + progress.warned
    session.tally["not retrieved"] += len(progress.failed)
    data = None
    if progress.failed:
        context = session.association.contexts[message.context_id]
        uids = tuple(progress.failed[:MOST_NAMED])
        data = element("FailedSOPInstanceUIDList", uids, implicit=context.transfer_syntax == PLAIN[1])
    more = progress.numbers(with_left=status == CANCELLED)
    session.association.respond(message, status, data, more=more)
