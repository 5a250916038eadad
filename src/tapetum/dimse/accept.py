"""How an association begins when a peer asks for one. Start reading at `accept`.

Definitions: PS3.8 section 7.1 and 9.3, PS3.7 Annex D.3 (roles, extended negotiation). The asynchronous operations
window and user identities are not answered, which means one operation at a time and nobody's identity confirmed.
"""

from __future__ import annotations

from collections.abc import Callable

from tapetum.dimse.association import Association, Context
from tapetum.dimse.classes import FIND, GET, MOVE, PLAIN, choose, service_of
from tapetum.dimse.pdu import (
    ABORT,
    APPLICATION_CONTEXT,
    ASSOCIATE_RQ,
    UNEXPECTED_PDU,
    AssociateAccept,
    AssociateRequest,
    Fault,
    Outcome,
    Rejection,
)
from tapetum.dimse.session import Rules
from tapetum.dimse.wire import Gone, Wire
from tapetum.formats.dicom import IMPLEMENTATION_CLASS_UID

__all__ = ["LOCAL_LIMIT", "accept"]

# Result, source, reason: PS3.8 table 9-21.
VERSION_UNSUPPORTED, CONTEXT_UNSUPPORTED = Rejection(1, 2, 2), Rejection(1, 1, 2)
CALLED_UNKNOWN, CALLING_UNKNOWN, LOCAL_LIMIT = Rejection(1, 1, 7), Rejection(1, 1, 3), Rejection(2, 3, 2)
ABSTRACT_UNSUPPORTED, TRANSFER_UNSUPPORTED = 3, 4
# Extended negotiation (PS3.4 C.5.1.1.1.2): relational queries and fuzzy names, no combined dates or time zones.
QUERIES, RETRIEVALS = bytes((1, 0, 1, 0)), bytes((1,))


def accept(wire: Wire, rules: Rules, admit: Callable[[], bool]) -> Association | None:
    """Wait for a request and answer it; None when it was refused.

    Parameters
    ----------
    admit : called for a request that is otherwise right; False refuses it for the moment ("local limit exceeded").

    Raises
    ------
    Fault, Gone : no request came.
    """
    kind, body = wire.read(idle_s=rules.request_s)
    if kind == ABORT:
        raise Gone("the peer aborted")
    if kind != ASSOCIATE_RQ:
        raise Fault("the first unit is no request for an association", reason=UNEXPECTED_PDU)
    request = AssociateRequest.decode(body)
    refusal = _refusal(request, rules)
    if refusal is None and not admit():
        refusal = LOCAL_LIMIT
    if refusal is not None:
        wire.send(refusal.encode())
        return None
    contexts, outcomes = _contexts(request, rules)
    extended = {uid: _agreed(uid, words) for uid, words in request.extended.items() if uid in FIND + MOVE + GET}
    stored = {uid for uid in request.roles if service_of(uid, unknown=rules.unknown_classes) == "store"}
    wire.send(
        AssociateAccept(
            request.called,
            request.calling,
            outcomes,
            roles={uid: roles for uid, roles in request.roles.items() if uid in stored},
            extended=extended,
            implementation=IMPLEMENTATION_CLASS_UID,
        ).encode()
    )
    return Association(
        wire,
        request.calling,
        request.called,
        contexts,
        request.max_length,
        idle_s=rules.idle_s,
        most_bytes=rules.most_bytes,
        extended=extended,
    )


def _refusal(request: AssociateRequest, rules: Rules) -> Rejection | None:
    if not request.protocol_version & 1:
        return VERSION_UNSUPPORTED
    if request.application_context != APPLICATION_CONTEXT:
        return CONTEXT_UNSUPPORTED
    if rules.strict and request.called != rules.ae_title:
        return CALLED_UNKNOWN
    if rules.callers and request.calling not in rules.callers:
        return CALLING_UNKNOWN
    return None


def _contexts(request: AssociateRequest, rules: Rules) -> tuple[dict[int, Context], tuple[Outcome, ...]]:
    contexts: dict[int, Context] = {}
    outcomes: list[Outcome] = []
    for one in request.proposals:
        service = service_of(one.abstract_syntax, unknown=rules.unknown_classes)
        we_send = request.roles.get(one.abstract_syntax, (True, False))[1]
        syntax = choose(one.transfer_syntaxes, service, we_send=we_send) if service else None
        if syntax is not None:
            contexts[one.context_id] = Context(one.context_id, one.abstract_syntax, syntax, we_send)
            outcomes.append(Outcome(one.context_id, 0, syntax))
        else:  # the transfer syntax of a refused context is not looked at, but has to be one (PS3.8 9.3.3.2)
            result = TRANSFER_UNSUPPORTED if service else ABSTRACT_UNSUPPORTED
            outcomes.append(Outcome(one.context_id, result, (one.transfer_syntaxes or PLAIN)[0]))
    return contexts, tuple(outcomes)


def _agreed(sop_class_uid: str, asked: bytes) -> bytes:
    ours = QUERIES if sop_class_uid in FIND else RETRIEVALS
    return bytes(one & other for one, other in zip(asked, ours, strict=False))
