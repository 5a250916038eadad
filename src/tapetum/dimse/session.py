"""What a service has at hand while it answers: the association, the archive and the server's rules."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tapetum.acquire.walk import Source
from tapetum.dimse.association import Association
from tapetum.dimse.messages import C_CANCEL_RQ
from tapetum.dimse.pdu import UNEXPECTED_PDU, Fault
from tapetum.dimse.wire import Gone
from tapetum.model import Arrival
from tapetum.ports import BlobStore, Catalogue

__all__ = ["Archive", "Peer", "Rules", "Session"]


@dataclass(frozen=True, slots=True)
class Archive:
    """Where objects go and come from.

    Parameters
    ----------
    take : stores one object and returns when it is durable (`acquire.Door.take`).
    stored_uid : the UID under which the catalogue knows an object that was sent under another (a pseudonym).
    """

    take: Callable[[Source], Arrival]
    catalogue: Catalogue
    blobs: BlobStore
    stored_uid: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Peer:
    """Where another application entity listens; with ``tls`` the connection is encrypted."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the server.

    Parameters
    ----------
    strict : refuse associations that call another title than ``ae_title``.
    callers : titles that may call; empty: all.
    unknown_classes : store objects of SOP classes that the standard does not name.
    most_associations : as many at once; one more is refused for the moment.
    most_connections : as many sockets at once, those that have not asked for anything yet included.
    request_s : seconds within which a new connection must have asked for an association (ARTIM of PS3.8 9.1.5).
    unit_s : seconds within which one unit must have come, or been taken by the peer.
    idle_s : seconds that an association may be silent.
    """

    ae_title: str = "TAPETUM"
    strict: bool = False
    callers: frozenset[str] = frozenset()
    unknown_classes: bool = False
    most_associations: int = 64
    most_connections: int = 512
    request_s: float = 30.0
    unit_s: float = 60.0
    idle_s: float = 600.0
    most_bytes: int = 16 << 30


@dataclass(slots=True)
class Session:
    """One association at work. ``tally`` counts how objects ended.

    Parameters
    ----------
    report : does work later, and again while it returns False: what must not wait for this association.
    """

    association: Association
    archive: Archive
    rules: Rules
    peers: Mapping[str, Peer]
    stopping: threading.Event
    report: Callable[[Callable[[], bool]], object] = lambda work: work()
    tally: Counter[str] = field(default_factory=Counter)

    def cancelled(self, message_id: int) -> bool:
        """Whether the peer has asked to stop the operation. Waits for nothing.

        Raises
        ------
        Gone : the server stops, or the peer went away.
        """
        if self.stopping.is_set():
            raise Gone("the server stops")
        while self.association.wire.waiting():
            message = self.association.receive()
            if message is None:
                raise Gone("the peer released in the middle of an operation")
            message.close()
            if message.kind != C_CANCEL_RQ:
                raise Fault("a request in the middle of an operation", reason=UNEXPECTED_PDU)
            if message.number("MessageIDBeingRespondedTo") == message_id:
                return True
        return False
