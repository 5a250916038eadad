"""How an association begins when we ask a peer for one. Start reading at `request`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence

from tapetum.dimse.association import Association, Context
from tapetum.dimse.pdu import (
    ASSOCIATE_AC,
    RELEASE_RP,
    AssociateAccept,
    AssociateRequest,
    Fault,
    Proposal,
    abort,
    release_request,
)
from tapetum.dimse.session import Peer, Rules
from tapetum.dimse.wire import Gone, Wire
from tapetum.formats.dicom import IMPLEMENTATION_CLASS_UID

__all__ = ["MOST_CONTEXTS", "Asked"]

MOST_CONTEXTS = 128


class Asked:
    """An association that we asked for, released or aborted at the end of its ``with``.

    Parameters
    ----------
    wanted : SOP class and encodings of each context, 128 at most.
    roles : SOP class -> (we are SCU, we are SCP), where it is not the usual (True, False).

    Raises
    ------
    Gone : the peer cannot be reached, or does not want us.
    Fault : what it answers is no answer.
    """

    def __init__(
        self,
        title: str,
        peer: Peer,
        wanted: Sequence[tuple[str, Sequence[str]]],
        rules: Rules,
        *,
        stopping: threading.Event,
        roles: Mapping[str, tuple[bool, bool]] | None = None,
    ) -> None:
        self._rules = rules
        self._wire = Wire(_connected(peer, rules.request_s), stopping=stopping, unit_s=rules.unit_s)
        proposals = tuple(
            Proposal(2 * number + 1, sop_class, tuple(syntaxes))
            for number, (sop_class, syntaxes) in enumerate(wanted[:MOST_CONTEXTS])
        )
        asked = AssociateRequest(
            title, rules.ae_title, proposals, roles=roles or {}, implementation=IMPLEMENTATION_CLASS_UID
        )
        try:
            self._wire.send(asked.encode())
            kind, body = self._wire.read(idle_s=rules.request_s)
            if kind != ASSOCIATE_AC:
                raise Gone("the peer refused the association")
            answer = AssociateAccept.decode(body)
        except (Fault, Gone):
            self._wire.close()
            raise
        classes = {one.context_id: one.abstract_syntax for one in proposals}
        self.association = Association(
            self._wire,
            rules.ae_title,
            title,
            {
                one.context_id: Context(one.context_id, classes[one.context_id], one.transfer_syntax, we_send=True)
                for one in answer.outcomes
                if one.result == 0 and one.context_id in classes
            },
            answer.max_length,
            idle_s=rules.idle_s,
            most_bytes=rules.most_bytes,
        )

    def __enter__(self) -> Association:
        return self.association

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._wire.send(abort() if kind else release_request())
            while not kind and self._wire.read(idle_s=self._rules.request_s)[0] != RELEASE_RP:
                pass
        except (Fault, Gone):
            pass  # it ends anyway
        finally:
            self._wire.close()


def _connected(peer: Peer, timeout_s: float) -> socket.socket:
    try:
        sock = socket.create_connection((peer.host, peer.port), timeout=timeout_s)
    except OSError as error:
        raise Gone("the peer cannot be reached") from error
    if peer.tls is None:
        return sock
    try:
        return peer.tls.wrap_socket(sock, server_hostname=peer.host)
    except (OSError, ValueError) as error:
        sock.close()
        raise Gone("the peer does not speak TLS as we want it") from error
