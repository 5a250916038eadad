"""An association that stands: messages in, messages out. Start reading at `Association.receive`.

How it came to stand is told in `accept` (the peer asked us) and `request` (we asked the peer).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO

from tapetum.dimse.elements import file_head
from tapetum.dimse.messages import (
    C_STORE_RQ,
    NO_DATA,
    RESPONSE,
    Command,
    Message,
    Spool,
    decode_command,
    encode_command,
)
from tapetum.dimse.pdu import (
    ABORT,
    INVALID_PARAMETER,
    MOST_BYTES,
    P_DATA,
    RELEASE_RQ,
    UNEXPECTED_PDU,
    Fault,
    Fragment,
    data_pdus,
    fragments,
    release_reply,
)
from tapetum.dimse.wire import Gone, Wire

__all__ = ["Association", "Context"]

MOST_COMMAND_BYTES = 65536
MOST_IDENTIFIER_BYTES = 16 << 20
"""Of a query, or of a request for commitment: about a hundred thousand references."""
GATHERED_BYTES = 65536
HAS_DATA = 0x0001


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context. ``we_send``: the peer stores what we send over it."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    we_send: bool = False


@dataclass(slots=True)
class Association:
    """Who is at the other end, what was agreed, and the wire.

    Parameters
    ----------
    contexts : the accepted ones by their number.
    peer_length : the longest body of a unit that the peer takes; 0: any.
    extended : what was agreed on by extended negotiation, by SOP class.
    idle_s : seconds that the peer may keep silent between messages.
    most_bytes : largest data set of an object that is taken.
    """

    wire: Wire
    calling: str
    called: str
    contexts: Mapping[int, Context]
    peer_length: int
    idle_s: float
    most_bytes: int
    extended: Mapping[str, bytes] = field(default_factory=dict)
    _left: Iterator[Fragment] = field(default_factory=lambda: iter(()))
    _gathered: bytearray = field(default_factory=bytearray)
    _last_id: int = 0

    def receive(self) -> Message | None:
        """The next message; None when the peer has released the association (it is answered).

        Raises
        ------
        Fault, Gone : see `Wire.read`; also fragments that do not belong together.
        """
        fragment = self._fragment(begun=False)
        if fragment is None:
            self.wire.send(release_reply())
            return None
        context = self.contexts.get(fragment.context_id)
        if context is None:
            raise Fault("a message over a context that was not accepted", reason=INVALID_PARAMETER)
        command = decode_command(self._whole_command(fragment))
        if command["CommandDataSetType"] == NO_DATA:
            return Message(context.context_id, command)
        return Message(context.context_id, command, self._data(context, command))

    def send(self, context_id: int, command: Command, data: bytes | None = None, *, flush: bool = True) -> None:
        """Send a message. Without ``flush`` small ones gather until there is enough for a write."""
        self._put_command(context_id, command, has_data=data is not None)
        if data is not None:
            self._put(context_id, data, is_last=True)
        if flush:
            self.flush()

    def stream(self, context_id: int, command: Command, data: BinaryIO) -> None:
        """Send a message whose data set is the rest of a file."""
        self._put_command(context_id, command, has_data=True)
        room = self._room() - 6
        piece = data.read(room)
        while True:
            following = data.read(room) if len(piece) == room else b""
            self._put(context_id, piece, is_last=not following)
            if not following:
                break
            piece = following
        self.flush()

    def respond(
        self,
        message: Message,
        status: int,
        data: bytes | None = None,
        *,
        more: Command = MappingProxyType({}),
        flush: bool = True,
    ) -> None:
        """Answer a request with a status; ``more`` are further elements of the command."""
        sop_class = message.text("AffectedSOPClassUID") or message.text("RequestedSOPClassUID")
        command: dict[str, int | str] = {
            "AffectedSOPClassUID": sop_class,
            "CommandField": message.kind | RESPONSE,
            "MessageIDBeingRespondedTo": message.message_id,
            "Status": status,
            **more,
        }
        instance = message.text("AffectedSOPInstanceUID") or message.text("RequestedSOPInstanceUID")
        if instance:
            command["AffectedSOPInstanceUID"] = instance
        self.send(message.context_id, command, data, flush=flush)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._gathered:
            self.wire.send(self._gathered)
            self._gathered = bytearray()

    def next_id(self) -> int:
        """A Message ID for a request of ours."""
        self._last_id = self._last_id % 0xFFFF + 1
        return self._last_id

    def _fragment(self, *, begun: bool) -> Fragment | None:
        """The next fragment; None for a release between messages."""
        while True:
            for fragment in self._left:
                return fragment
            kind, body = self.wire.read(idle_s=self.idle_s, interruptible=not begun)
            if kind == P_DATA:
                self._left = fragments(body)
            elif kind == RELEASE_RQ and not begun:
                return None
            elif kind == ABORT:
                raise Gone("the peer aborted")
            else:
                raise Fault("a unit that has no place here", reason=UNEXPECTED_PDU)

    def _following(self, context_id: int, *, is_command: bool) -> Fragment:
        fragment = self._fragment(begun=True)
        if fragment is None or fragment.context_id != context_id or fragment.is_command != is_command:
            raise Fault("a fragment that belongs to no message", reason=INVALID_PARAMETER)
        return fragment

    def _whole_command(self, fragment: Fragment) -> bytes:
        if not fragment.is_command:
            raise Fault("a data set without a command", reason=INVALID_PARAMETER)
        found = bytes(fragment.data)
        context_id = fragment.context_id
        while not fragment.is_last:
            fragment = self._following(context_id, is_command=True)
            found += fragment.data
            if len(found) > MOST_COMMAND_BYTES:
                raise Fault("a command set without end", reason=INVALID_PARAMETER)
        return found

    def _data(self, context: Context, command: Command) -> Spool:
        if command["CommandField"] == C_STORE_RQ:
            sop_class, uid = (str(command.get(f"AffectedSOP{kind}UID", "")) for kind in ("Class", "Instance"))
            spool = Spool(file_head(sop_class, uid, context.transfer_syntax), most=self.most_bytes)
        else:
            spool = Spool(most=MOST_IDENTIFIER_BYTES)
        try:
            while True:
                fragment = self._following(context.context_id, is_command=False)
                spool.write(fragment.data)
                if fragment.is_last:
                    return spool
        except BaseException:
            spool.close()
            raise

    def _put_command(self, context_id: int, command: Command, *, has_data: bool) -> None:
        data = encode_command({**command, "CommandDataSetType": HAS_DATA if has_data else NO_DATA})
        for unit in data_pdus(context_id, data, is_command=True, is_last=True, most=self._room()):
            self._gathered += unit

    def _put(self, context_id: int, data: bytes, *, is_last: bool) -> None:
        for unit in data_pdus(context_id, data, is_command=False, is_last=is_last, most=self._room()):
            self._gathered += unit
        if len(self._gathered) > GATHERED_BYTES:
            self.flush()

    def _room(self) -> int:
        """Bytes of a unit's body: not more than the peer takes, and even, because data sets are."""
        return min(self.peer_length or MOST_BYTES, MOST_BYTES) & ~1
