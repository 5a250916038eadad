"""``tapetum listen``."""

from __future__ import annotations

import signal
import ssl
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

from cyclopts import Parameter

from tapetum.acquire import Door
from tapetum.cli.talk import WorkspaceOption, open_workspace, stderr
from tapetum.cli.work import following
from tapetum.dimse import Archive, Peer, Rules, Server
from tapetum.errors import InvalidStudy, TapetumError
from tapetum.flow import Workspace
from tapetum.flow.exchange import door_of

__all__ = ["listen"]

Flag = Annotated[bool, Parameter(negative="")]


def listen(
    *,
    port: int | None = None,
    host: str | None = None,
    peer: list[str] | None = None,
    caller: list[str] | None = None,
    strict: Flag = False,
    unknown_classes: Flag = False,
    associations: int = 64,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    tls_clients: Path | None = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Store, find and give back DICOM objects over the network, until stopped.

    Parameters
    ----------
    port
        The port to listen on; 0 takes a free one and prints it.
    host
        The address to listen on; 0.0.0.0 is all of them.
    peer
        Where C-MOVE and reports of commitment may go, beside [peers]: TITLE=host:port. Repeat it for each.
    caller
        A title that may call. Repeat it for each; without it all may.
    strict
        Refuse whoever calls another title than ours.
    unknown_classes
        Store objects of private and unknown SOP classes, too.
    associations
        As many at once; one more is refused for the moment.
    tls_certificate
        Our certificate, with the chain that leads to it (PEM); everything is encrypted then.
    tls_key
        Its key, when that is in a file of its own.
    tls_clients
        Certificates of those whom clients' certificates must come from; without it clients need none.
    """
    opened = open_workspace(workspace, dimse_port=port, dimse_host=host)
    rules = Rules(
        ae_title=opened.settings.dimse_ae_title,
        strict=strict,
        callers=frozenset(caller or ()),
        unknown_classes=unknown_classes,
        most_associations=associations,
        most_bytes=opened.settings.acquire_max_bytes,
    )
    known = [each for each in opened.settings.peers.values() if each.ae_title]
    peers = {each.ae_title: Peer(each.host, each.port) for each in known} | dict(_peer(text) for text in peer or ())
    tls = _tls(tls_certificate, tls_key, tls_clients) if tls_certificate else None
    opened.blobs.sweep()
    with (
        following(opened) as on_stored,
        door_of(opened, on_stored) as door,
        _server(opened, door, rules, peers, tls) as server,
    ):
        threading.excepthook = _tell_where
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _setter(stop))
        sys.stdout.write(f"{rules.ae_title} listens on {opened.settings.dimse_host}:{server.port}\n")
        sys.stdout.flush()
        stop.wait()
        _log("stopping: what is under way is finished")


def _server(opened: Workspace, door: Door, rules: Rules, peers: dict[str, Peer], tls: ssl.SSLContext | None) -> Server:
    settings = opened.settings
    stored_uid = opened.names.uid if settings.protect_deidentify else str
    archive = Archive(door.take, opened.catalogue, opened.blobs, stored_uid)
    try:
        return Server(
            archive, rules, host=settings.dimse_host, port=settings.dimse_port, peers=peers, tls=tls, log=_log
        )
    except OSError as error:
        door.close()
        hint = "choose another with --port or --host, or stop whoever has it"
        raise TapetumError("cannot listen there", hint=hint, port=settings.dimse_port) from error


def _peer(text: str) -> tuple[str, Peer]:
    title, _, place = text.partition("=")
    host, _, port = place.rpartition(":")
    if not (title and len(title) <= 16 and host and port.isdecimal()):
        raise InvalidStudy("a peer is TITLE=host:port", hint="correct --peer", peer=text)
    return title, Peer(host.strip("[]"), int(port))


def _tls(certificate: Path, key: Path | None, clients: Path | None) -> ssl.SSLContext:
    """At least TLS 1.2 (BCP 195 profile, PS3.15 B.12)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise InvalidStudy("a certificate or key cannot be read", hint="name PEM files that fit together") from error
    return context


def _setter(stop: threading.Event) -> Callable[[int, FrameType | None], None]:
    return lambda _number, _frame: stop.set()


def _log(line: str) -> None:
    stderr.print(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {line}", markup=False)


def _tell_where(failure: threading.ExceptHookArgs) -> None:
    """Say where a connection's thread failed, not with what: messages of parsers quote values of patients."""
    place = traceback.extract_tb(failure.exc_traceback)[-1:]
    where = f"{Path(place[0].filename).name}:{place[0].lineno}" if place else "an unknown place"
    _log(f"an association failed inside: {failure.exc_type.__name__} at {where}; please report it")
