"""The units that travel over an association, as bytes and as values: DICOM PS3.8 section 9.3.

In: the body of one unit, without its 6 byte head.  Out: a value, or `Fault` with the reason that A-ABORT names.
Start reading at `AssociateRequest`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tapetum.errors import TapetumError

__all__ = [
    "ABORT",
    "APPLICATION_CONTEXT",
    "ASSOCIATE_AC",
    "ASSOCIATE_RJ",
    "ASSOCIATE_RQ",
    "HEAD",
    "MOST_BYTES",
    "P_DATA",
    "RELEASE_RP",
    "RELEASE_RQ",
    "AssociateAccept",
    "AssociateRequest",
    "Fault",
    "Fragment",
    "Outcome",
    "Proposal",
    "Rejection",
    "abort",
    "data_pdus",
    "fragments",
    "release_reply",
    "release_request",
]

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEAD = struct.Struct(">BxL")
MOST_BYTES = 131072
"""Longest unit that is announced and taken: what dcmtk sends at most, so that a slice of CT needs five."""

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_VERSION = "TAPETUM"
TITLES = slice(4, 36)
FIXED_BYTES = 68  # protocol version, two reserved bytes, both titles and 32 reserved bytes
FRAGMENT_HEAD = struct.Struct(">LBB")
MOST_CONTEXTS = 128
# Sub-items of the user information (PS3.7 D.3.3, PS3.8 D.1).
LENGTH, CLASS_UID, ROLES, VERSION, EXTENDED = 0x51, 0x52, 0x54, 0x55, 0x56
CONTEXT_RQ, CONTEXT_AC, ABSTRACT, TRANSFER, APPLICATION, USER = 0x20, 0x21, 0x30, 0x40, 0x10, 0x50


class Fault(TapetumError):
    """The peer broke the protocol; the association ends with an A-ABORT that names the reason (PS3.8 table 9-26)."""

    code = "protocol"

    def __init__(self, message: str, *, reason: int = 0) -> None:
        super().__init__(message)
        self.reason = reason


UNRECOGNISED_PDU, UNEXPECTED_PDU, UNEXPECTED_PARAMETER, INVALID_PARAMETER = 1, 2, 5, 6


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context as it is proposed: one abstract syntax and the encodings in the proposer's order."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one proposal: 0 accepted, 3 abstract syntax and 4 transfer syntaxes not supported."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. ``roles`` maps a SOP class to (requestor is SCU, it is SCP); ``max_length`` 0: no limit."""

    called: str
    calling: str
    proposals: tuple[Proposal, ...]
    max_length: int = MOST_BYTES
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1
    implementation: str = ""

    def encode(self) -> bytes:
        """The whole unit."""
        contexts = b"".join(
            _item(
                CONTEXT_RQ,
                bytes((one.context_id, 0, 0, 0))
                + _item(ABSTRACT, one.abstract_syntax.encode())
                + b"".join(_item(TRANSFER, uid.encode()) for uid in one.transfer_syntaxes),
            )
            for one in self.proposals
        )
        body = _fixed(self.called, self.calling) + _item(APPLICATION, self.application_context.encode())
        return _unit(ASSOCIATE_RQ, body + contexts + _user(self))

    @classmethod
    def decode(cls, body: memoryview) -> AssociateRequest:
        """Raises `Fault` on anything that cannot be read."""
        version, called, calling, items = _opened(body)
        proposals: list[Proposal] = []
        application, user = "", _User()
        for kind, value in items:
            if kind == APPLICATION:
                application = _uid(value)
            elif kind == CONTEXT_RQ:
                proposals.append(_proposal(value))
            elif kind == USER:
                user = _read_user(value)
        if not proposals or len(proposals) > MOST_CONTEXTS:
            raise Fault("1 to 128 presentation contexts are proposed", reason=INVALID_PARAMETER)
        return cls(
            called, calling, tuple(proposals), user.max_length, user.roles, user.extended, application, version,
            user.implementation,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC, with the titles as they were asked for."""

    called: str
    calling: str
    outcomes: tuple[Outcome, ...]
    max_length: int = MOST_BYTES
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    implementation: str = ""

    def encode(self) -> bytes:
        """The whole unit."""
        contexts = b"".join(
            _item(CONTEXT_AC, bytes((one.context_id, 0, one.result, 0)) + _item(TRANSFER, one.transfer_syntax.encode()))
            for one in self.outcomes
        )
        body = _fixed(self.called, self.calling) + _item(APPLICATION, APPLICATION_CONTEXT.encode())
        return _unit(ASSOCIATE_AC, body + contexts + _user(self))

    @classmethod
    def decode(cls, body: memoryview) -> AssociateAccept:
        """Raises `Fault` on anything that cannot be read."""
        _, called, calling, items = _opened(body)
        outcomes: list[Outcome] = []
        user = _User()
        for kind, value in items:
            if kind == CONTEXT_AC:
                outcomes.append(_outcome(value))
            elif kind == USER:
                user = _read_user(value)
        return cls(called, calling, tuple(outcomes), user.max_length, user.roles, user.extended, user.implementation)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A-ASSOCIATE-RJ: result (1 permanent, 2 transient), source and reason of PS3.8 table 9-21."""

    result: int
    source: int
    reason: int

    def encode(self) -> bytes:
        """The whole unit."""
        return _unit(ASSOCIATE_RJ, bytes((0, self.result, self.source, self.reason)))

    @classmethod
    def decode(cls, body: memoryview) -> Rejection:
        """Raises `Fault` when it is too short."""
        if len(body) < 4:
            raise Fault("a rejection that is too short", reason=INVALID_PARAMETER)
        return cls(body[1], body[2], body[3])


@dataclass(frozen=True, slots=True)
class Fragment:
    """One presentation data value: a piece of a command set or of a data set. ``data`` is a view, valid until read."""

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


def fragments(body: memoryview) -> Iterator[Fragment]:
    """The presentation data values of one P-DATA-TF. Raises `Fault` when lengths do not fit."""
    at = 0
    while at < len(body):
        if len(body) - at < FRAGMENT_HEAD.size:
            raise Fault("a data value without its head", reason=INVALID_PARAMETER)
        length, context_id, control = FRAGMENT_HEAD.unpack_from(body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise Fault("a data value longer than its unit", reason=INVALID_PARAMETER)
        yield Fragment(context_id, bool(control & 1), bool(control & 2), body[at + 6 : end])
        at = end


def data_pdus(context_id: int, data: bytes, *, is_command: bool, is_last: bool, most: int) -> Iterator[bytes]:
    """The bytes as P-DATA-TF units with bodies of at most ``most`` bytes; empty data still makes one."""
    room = most - FRAGMENT_HEAD.size
    for at in range(0, max(len(data), 1), room):
        piece = data[at : at + room]
        control = is_command | (2 if is_last and at + room >= len(data) else 0)
        head = HEAD.pack(P_DATA, len(piece) + 6) + FRAGMENT_HEAD.pack(len(piece) + 2, context_id, control)
        yield head + piece


def release_request() -> bytes:
    """A-RELEASE-RQ."""
    return _unit(RELEASE_RQ, bytes(4))


def release_reply() -> bytes:
    """A-RELEASE-RP."""
    return _unit(RELEASE_RP, bytes(4))


def abort(reason: int = 0) -> bytes:
    """A-ABORT by the service provider."""
    return _unit(ABORT, bytes((0, 0, 2, reason)))


@dataclass(slots=True)
class _User:
    max_length: int = 0
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: dict[str, bytes] = field(default_factory=dict)
    implementation: str = ""


def _unit(kind: int, body: bytes) -> bytes:
    return HEAD.pack(kind, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _fixed(called: str, calling: str) -> bytes:
    titles = b"".join(title.encode("ascii", "replace")[:16].ljust(16) for title in (called, calling))
    return b"\0\1\0\0" + titles + bytes(32)


def _user(unit: AssociateRequest | AssociateAccept) -> bytes:
    out = _item(LENGTH, struct.pack(">L", unit.max_length)) + _item(CLASS_UID, unit.implementation.encode())
    for uid, (scu, scp) in unit.roles.items():
        out += _item(ROLES, struct.pack(">H", len(uid)) + uid.encode() + bytes((scu, scp)))
    out += _item(VERSION, IMPLEMENTATION_VERSION.encode())
    for uid, words in unit.extended.items():
        out += _item(EXTENDED, struct.pack(">H", len(uid)) + uid.encode() + words)
    return _item(USER, out)


def _opened(body: memoryview) -> tuple[int, str, str, Iterator[tuple[int, memoryview]]]:
    """Protocol version, called title, calling title and the items of a request or an acceptance."""
    if len(body) < FIXED_BYTES:
        raise Fault("an association unit that is too short", reason=INVALID_PARAMETER)
    titles = bytes(body[TITLES])
    called, calling = (title.decode("ascii", "replace").strip(" \0") for title in (titles[:16], titles[16:]))
    return int.from_bytes(body[:2], "big"), called, calling, _items(body[FIXED_BYTES:])


def _items(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(body):
        if len(body) - at < 4:
            raise Fault("an item without its head", reason=INVALID_PARAMETER)
        kind, length = struct.unpack_from(">BxH", body, at)
        if at + 4 + length > len(body):
            raise Fault("an item longer than its unit", reason=INVALID_PARAMETER)
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def _uid(value: memoryview) -> str:
    return bytes(value).decode("ascii", "replace").strip(" \0")


def _proposal(value: memoryview) -> Proposal:
    if len(value) < 4 or value[0] % 2 == 0:
        raise Fault("a presentation context without an odd number", reason=INVALID_PARAMETER)
    found = list(_items(value[4:]))
    abstract = next((_uid(uid) for kind, uid in found if kind == ABSTRACT), "")
    return Proposal(value[0], abstract, tuple(_uid(uid) for kind, uid in found if kind == TRANSFER))


def _outcome(value: memoryview) -> Outcome:
    if len(value) < 4:
        raise Fault("an answer to a presentation context that is too short", reason=INVALID_PARAMETER)
    syntax = next((_uid(uid) for kind, uid in _items(value[4:]) if kind == TRANSFER), "")
    return Outcome(value[0], value[2], syntax)


def _read_user(value: memoryview) -> _User:
    found = _User()
    for kind, item in _items(value):
        if kind == LENGTH and len(item) == 4:
            found.max_length = int.from_bytes(item, "big")
        elif kind == CLASS_UID:
            found.implementation = _uid(item)
        elif kind in (ROLES, EXTENDED):
            uid, rest = _named(item)
            if kind == EXTENDED:
                found.extended[uid] = rest
            elif len(rest) == 2:
                found.roles[uid] = (rest[0] == 1, rest[1] == 1)
    return found


def _named(item: memoryview) -> tuple[str, bytes]:
    """A UID with its length before it, and what follows."""
    length = int.from_bytes(item[:2], "big")
    if len(item) < 2 + length:
        raise Fault("a UID longer than its item", reason=INVALID_PARAMETER)
    return _uid(item[2 : 2 + length]), bytes(item[2 + length :])
