"""Storage commitment: a sender asks whether we vouch for its objects, and is told. Start reading at `commit`.

Definitions: PS3.4 Annex J (push model). A caller whose title is among the peers is told over a new association, as most
modalities expect it; any other over the one on which it asked.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tapetum.dimse.association import Association
from tapetum.dimse.classes import COMMITMENT, COMMITMENT_INSTANCE, PLAIN
from tapetum.dimse.elements import element, item_sequence
from tapetum.dimse.identifier import read_data
from tapetum.dimse.messages import N_EVENT_REPORT_RQ, Message
from tapetum.dimse.pdu import Fault
from tapetum.dimse.request import Asked
from tapetum.dimse.session import Archive, Session
from tapetum.dimse.wire import Gone
from tapetum.errors import RejectedInput, TapetumError
from tapetum.formats.damage import parsing
from tapetum.model import Instance, Query

__all__ = ["Reporter", "commit"]

SUCCESS, NO_SUCH_ACTION, INVALID_ARGUMENT, PROCESSING_FAILURE = 0x0000, 0x0123, 0x0115, 0x0110
NO_SUCH_OBJECT, OTHER_CLASS = 0x0112, 0x0119
REQUEST_COMMITMENT = 1
ALL_COMMITTED, SOME_FAILED = 1, 2
ASKED_AT_ONCE = 200
TRIES, PAUSE_S = 3, 5.0

Reference = tuple[str, str]
"""SOP Class UID and SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class _Findings:
    """What we vouch for, and what not and why (Failure Reason (0008,1197))."""

    transaction_uid: str
    committed: list[Reference]
    failed: list[tuple[Reference, int]]

    @property
    def event(self) -> int:
        return SOME_FAILED if self.failed else ALL_COMMITTED

    def encode(self, ae_title: str, *, implicit: bool) -> bytes:
        """The event information (PS3.4 table J.3-2)."""

        def item(reference: Reference, *reason: int) -> bytes:
            sop_class, uid = reference
            return b"".join(
                (
                    element("ReferencedSOPClassUID", sop_class, implicit=implicit),
                    element("ReferencedSOPInstanceUID", uid, implicit=implicit),
                    *(element("FailureReason", each, implicit=implicit) for each in reason),
                )
            )

        parts = [
            element("RetrieveAETitle", ae_title, implicit=implicit),
            element("TransactionUID", self.transaction_uid, implicit=implicit),
        ]
        if self.failed:
            failed = [item(reference, reason) for reference, reason in self.failed]
            parts.append(item_sequence("FailedSOPSequence", failed, implicit=implicit))
        if self.committed:
            committed = [item(reference) for reference in self.committed]
            parts.append(item_sequence("ReferencedSOPSequence", committed, implicit=implicit))
        return b"".join(parts)


class Reporter:
    """Tells peers what must not wait for their association, one after the other in one thread.

    What a peer does not take is tried again, three times in all; a sender that hears nothing asks again (PS3.4 J.3.3).
    """

    def __init__(self, stopping: threading.Event, log: Callable[[str], object], *, pause_s: float = PAUSE_S) -> None:
        self._stopping, self._log, self._pause_s = stopping, log, pause_s
        self._queue: queue.SimpleQueue[Callable[[], bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="dimse reports", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], bool]) -> None:
        """Do the work soon, and again while it returns False."""
        self._queue.put(work)

    def close(self) -> None:
        """Finish what was submitted, without trying again, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if not any(self._done(work) for _ in range(TRIES)):
                self._log("a report of storage commitment could not be delivered")

    def _done(self, work: Callable[[], bool]) -> bool:
        return work() or self._stopping.wait(self._pause_s)


def commit(session: Session, message: Message) -> None:
    """Answer an N-ACTION-RQ and report what we vouch for."""
    if message.number("ActionTypeID") != REQUEST_COMMITMENT:
        session.association.respond(message, NO_SUCH_ACTION)
        return
    context = session.association.contexts[message.context_id]
    implicit = context.transfer_syntax == PLAIN[1]
    try:
        transaction, references = _read(message, context.transfer_syntax)
        found = _judged(session.archive, transaction, references)
    except RejectedInput:
        session.association.respond(message, INVALID_ARGUMENT)
        return
    except TapetumError:
        session.association.respond(message, PROCESSING_FAILURE)
        return
    session.association.respond(message, SUCCESS)
    session.tally["committed"] += len(found.committed)
    session.tally["not committed"] += len(found.failed)
    title = session.association.calling
    if title in session.peers:
        session.report(lambda: _report_anew(session, title, found))
    else:
        data = found.encode(session.rules.ae_title, implicit=implicit)
        _report(session.association, message.context_id, found.event, data)


def _read(message: Message, transfer_syntax: str) -> tuple[str, list[Reference]]:
    """Transaction UID and references. Raises RejectedInput when there are none."""
    if message.data is None or message.data.lost:
        raise RejectedInput("unreadable", "no references")
    with message.data.open() as file:
        asked = read_data(file, transfer_syntax)
    with parsing("the references"):
        references = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in asked.get("ReferencedSOPSequence") or ()
        ]
        transaction = str(asked.get("TransactionUID") or "")
    if not transaction or not references:
        raise RejectedInput("missing-attribute", "a transaction and its references are needed")
    return transaction, references


def _judged(archive: Archive, transaction: str, references: list[Reference]) -> _Findings:
    """Vouch for what the catalogue names under the same class and the store really holds."""
    stored: dict[str, Instance] = {}
    uids = [archive.stored_uid(uid) for _, uid in references]
    for start in range(0, len(uids), ASKED_AT_ONCE):
        some = [uid for uid in uids[start : start + ASKED_AT_ONCE] if uid and not set("*?\\") & set(uid)]
        if some:
            query = Query("instance", {"SOPInstanceUID": "\\".join(some)})
            stored |= {one.sop_instance_uid: one for one in archive.catalogue.select(query)}
    found = _Findings(transaction, [], [])
    for (sop_class, uid), known_as in zip(references, uids, strict=True):
        one = stored.get(known_as)
        if one is None or one.blob not in archive.blobs:
            found.failed.append(((sop_class, uid), NO_SUCH_OBJECT))
        elif one.attributes.get("SOPClassUID", sop_class) != sop_class:
            found.failed.append(((sop_class, uid), OTHER_CLASS))
        else:
            found.committed.append((sop_class, uid))
    return found


def _report(association: Association, context_id: int, event: int, data: bytes) -> None:
    command: dict[str, int | str] = {
        "AffectedSOPClassUID": COMMITMENT,
        "CommandField": N_EVENT_REPORT_RQ,
        "MessageID": association.next_id(),
        "AffectedSOPInstanceUID": COMMITMENT_INSTANCE,
        "EventTypeID": event,
    }
    association.send(context_id, command, data)


def _report_anew(session: Session, title: str, found: _Findings) -> bool:
    """Report over an association of our own, in which we are the provider; whether the peer has taken it."""
    roles = {COMMITMENT: (False, True)}
    wanted = [(COMMITMENT, PLAIN)]
    try:
        with Asked(
            title, session.peers[title], wanted, session.rules, stopping=session.stopping, roles=roles
        ) as association:
            for context in association.contexts.values():
                implicit = context.transfer_syntax == PLAIN[1]
                data = found.encode(session.rules.ae_title, implicit=implicit)
                _report(association, context.context_id, found.event, data)
                answer = association.receive()
                if answer is not None:
                    answer.close()
                    return answer.number("Status") == SUCCESS
    except (Fault, Gone):
        pass
    return False
