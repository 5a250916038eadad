"""One connection: units in, bytes out, and a clock for each.

Two things make unmodified senders quick: nothing of ours waits for more (TCP_NODELAY), and what arrives is
acknowledged at once (TCP_QUICKACK, which the kernel forgets and has to be told again), because a sender with Nagle's
algorithm holds its next small packet back until then.  Start reading at `Wire.read`.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from contextlib import suppress

from tapetum.dimse.pdu import ABORT, ASSOCIATE_RQ, HEAD, INVALID_PARAMETER, MOST_BYTES, UNRECOGNISED_PDU, Fault
from tapetum.errors import TapetumError

__all__ = ["Gone", "Wire"]

TICK_S = 0.5
"""How often a thread that waits looks at its deadline and at whether the server stops."""
LINGER_S = 2.0
QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class Gone(TapetumError):
    """The peer went away, kept silent for too long, or the server stops; there is nobody left to answer."""

    code = "peer-gone"


class Wire:
    """A connected socket that is read unit by unit.

    Parameters
    ----------
    sock : connected; from now on the wire's own.
    stopping : set when the server ends; a wire that waits for a new unit then raises `Gone`.
    unit_s : seconds within which a unit that has begun must be there, and within which the peer must take a write.
    """

    def __init__(self, sock: socket.socket, *, stopping: threading.Event, unit_s: float) -> None:
        self._sock, self._stopping, self._unit_s = sock, stopping, unit_s
        sock.settimeout(TICK_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(2 * (MOST_BYTES + HEAD.size))
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def read(self, *, idle_s: float, interruptible: bool = True) -> tuple[int, memoryview]:
        """The next unit: its type and its body, a view that is valid until the next call.

        Parameters
        ----------
        idle_s : seconds to wait for its first byte.
        interruptible : give up when the server stops; not so in the middle of a message.

        Raises
        ------
        Fault : an unknown type, or a longer unit than was announced.
        Gone : closed, silent for too long, or stopping.
        """
        since = time.monotonic()
        begun = False
        while True:
            have = self._end - self._start
            if have and not begun:
                begun, since = True, time.monotonic()
                self._refuse_garbage()
            if have >= HEAD.size:
                kind, length = HEAD.unpack_from(self._buffer, self._start)
                if length > MOST_BYTES * (2 if kind == ASSOCIATE_RQ else 1):
                    raise Fault("a unit longer than was announced", reason=INVALID_PARAMETER)
                if have >= HEAD.size + length:
                    body = self._view[self._start + HEAD.size : self._start + HEAD.size + length]
                    self._start += HEAD.size + length
                    return kind, body
            filled = self._fill(HEAD.size + length if have >= HEAD.size else HEAD.size)
            if not filled and interruptible and not begun and self._stopping.is_set():
                raise Gone("the server stops")
            if time.monotonic() - since > (self._unit_s if begun else idle_s):
                raise Gone("the peer kept silent for too long")

    def waiting(self) -> bool:
        """Whether the peer has sent something that was not read yet."""
        if self._end > self._start or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
            return True
        return bool(select.select([self._sock], [], [], 0)[0])

    def send(self, data: bytes | bytearray) -> None:
        """Write all of it. Raises `Gone` when the peer does not take it in time."""
        view, since = memoryview(data), time.monotonic()
        while view:
            try:
                view = view[self._sock.send(view) :]
                since = time.monotonic()
            except TimeoutError as error:
                if time.monotonic() - since > self._unit_s:
                    raise Gone("the peer reads too slowly") from error
            except OSError as error:
                raise Gone("the connection is lost") from error

    def close(self) -> None:
        """Say goodbye so that what was written last arrives: a socket closed with unread bytes would reset."""
        with suppress(OSError, ValueError):
            self._sock.shutdown(socket.SHUT_WR)
            until = time.monotonic() + LINGER_S
            while time.monotonic() < until and self._sock.recv_into(self._view):
                pass
        self._sock.close()

    def drop(self) -> None:
        """Close without a word; the thread that reads finds out."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _refuse_garbage(self) -> None:
        if not ASSOCIATE_RQ <= self._buffer[self._start] <= ABORT:
            raise Fault("an unknown type of unit", reason=UNRECOGNISED_PDU)

    def _fill(self, wanted: int) -> bool:
        """Receive what is there; whether there was anything. ``wanted`` bytes shall fit behind the start."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + wanted > len(self._buffer):
            have = self._end - self._start
            self._buffer[:have] = self._buffer[self._start : self._end]
            self._start, self._end = 0, have
        try:
            count = self._sock.recv_into(self._view[self._end :])
            if QUICK_ACK is not None:
                self._sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
        except TimeoutError:
            return False
        except (OSError, ValueError) as error:
            raise Gone("the connection is lost") from error
        if not count:
            raise Gone("the peer closed the connection")
        self._end += count
        return True
