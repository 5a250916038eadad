"""Listening: one thread for each connection, bounded in number. Start reading at `Server`."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from tapetum.dimse.accept import LOCAL_LIMIT, accept
from tapetum.dimse.commitment import Reporter
from tapetum.dimse.pdu import Fault, abort
from tapetum.dimse.services import serve
from tapetum.dimse.session import Archive, Peer, Rules, Session
from tapetum.dimse.wire import Gone, Wire

__all__ = ["Server"]

BACKLOG = 256


class Server:
    """A DICOM application entity over an archive. Use as a context manager, or `start` and `stop` it.

    Parameters
    ----------
    peers : where C-MOVE may send to, by title.
    tls : encrypts every connection; its settings say whether clients must show a certificate.
    port : 0 takes a free one; the attribute of this name says which.
    log : takes lines without patient data: who called, and how many objects ended how.

    Raises
    ------
    OSError : the address is taken or not ours.
    """

    def __init__(
        self,
        archive: Archive,
        rules: Rules | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        peers: Mapping[str, Peer] | None = None,
        tls: ssl.SSLContext | None = None,
        log: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._archive, self._rules, self._peers = archive, rules or Rules(), dict(peers or {})
        self._tls, self._log = tls, log
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._wires: dict[threading.Thread, Wire | None] = {}
        self._slots = threading.BoundedSemaphore(self._rules.most_associations)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._reporter = Reporter(self._stopping, log)
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._listen, name="dimse", daemon=True)

    def start(self) -> None:
        """Begin to listen; returns at once."""
        self._acceptor.start()

    def stop(self, *, grace_s: float = 30.0) -> None:
        """Refuse what is new, finish what is under way within ``grace_s`` seconds, and end."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        until = time.monotonic() + grace_s
        for thread, wire in self._running():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive() and wire is not None:
                wire.drop()
                thread.join(grace_s)
        self._reporter.close()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _running(self) -> list[tuple[threading.Thread, Wire | None]]:
        with self._lock:
            return list(self._wires.items())

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, address = self._listener.accept()
            except OSError:
                if not self._stopping.wait(0.1):  # too many open files: others will close
                    continue
                return
            if not self._serve(sock, f"dimse {address[0]}:{address[1]}"):
                _turn_away(sock)

    def _serve(self, sock: socket.socket, name: str) -> bool:
        """Give a connection its thread; False when there is no room for one."""
        thread = threading.Thread(target=self._connection, args=(sock,), name=name, daemon=True)
        with self._lock:
            if len(self._wires) >= self._rules.most_connections:
                return False
            self._wires[thread] = None
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads
            with self._lock:
                del self._wires[thread]
            return False
        return True

    def _connection(self, sock: socket.socket) -> None:
        try:
            wire = self._encrypted(sock)
            if wire is not None:
                with self._lock:
                    self._wires[threading.current_thread()] = wire
                self._talk(wire)
        finally:
            with self._lock:
                del self._wires[threading.current_thread()]

    def _encrypted(self, sock: socket.socket) -> Wire | None:
        """The wire over a connection; None when the peer does not speak TLS as we want it."""
        try:
            if self._tls is not None:
                sock.settimeout(self._rules.request_s)
                sock = self._tls.wrap_socket(sock, server_side=True)
            return Wire(sock, stopping=self._stopping, unit_s=self._rules.unit_s)
        except (OSError, ValueError):
            self._log("a connection that was lost at once, or without the TLS that is asked for, was closed")
            sock.close()
            return None

    def _talk(self, wire: Wire) -> None:
        """One association from its request to its end; whatever ends it, the connection is closed and the slot free."""
        slot = _Slot(self._slots)
        reason: int | None = 0
        try:
            association = accept(wire, self._rules, slot.take)
            if association is not None:
                session = Session(
                    association, self._archive, self._rules, self._peers, self._stopping, self._reporter.submit
                )
                began = time.monotonic()
                try:
                    serve(session)
                finally:
                    self._tell(session, time.monotonic() - began)
            reason = None
        except Fault as error:
            reason = error.reason
            self._log(f"an association was aborted: {error}")
        except Gone as error:
            self._log(f"an association ended: {error}")
        finally:
            slot.give_back()
            if reason is not None:
                with suppress(Gone):
                    wire.send(abort(reason))
            wire.close()

    def _tell(self, session: Session, seconds: float) -> None:
        if session.tally:
            ended = ", ".join(f"{name} {count}" for name, count in sorted(session.tally.items()))
            title = "".join(letter if letter.isalnum() else "_" for letter in session.association.calling)
            self._log(f"from {title} in {seconds:.1f} s: {ended}")


class _Slot:
    """The right to one association."""

    def __init__(self, slots: threading.BoundedSemaphore) -> None:
        self._slots, self._taken = slots, False

    def take(self) -> bool:
        self._taken = self._slots.acquire(blocking=False)
        return self._taken

    def give_back(self) -> None:
        if self._taken:
            self._taken = False
            self._slots.release()


def _turn_away(sock: socket.socket) -> None:
    """Say that there is no room, without waiting for anything."""
    sock.setblocking(False)
    with suppress(OSError):
        sock.send(LOCAL_LIMIT.encode())
    sock.close()
