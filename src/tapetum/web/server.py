"""Runs the application with uvicorn: whom it listens to, how long it waits, how it ends. Start at `serve`."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httptools
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tapetum.errors import InvalidStudy

__all__ = ["Server", "config_of", "listen", "serve"]

MOST_HEADER_BYTES = 64 << 10
HEAD_SECONDS = 20.0
MOST_CONNECTIONS = 512
GRACE_SECONDS = 30
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def serve(
    app: FastAPI,
    *,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
    insecure: bool = False,
    on_ready: Callable[[str], object] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished first.

    Parameters
    ----------
    app : made by `application`.
    host, port : where to listen; port 0 takes a free one.
    certificate, key : PEM files for TLS.
    insecure : listen beyond this machine without TLS.
    on_ready : told the address as soon as it answers.

    Raises
    ------
    InvalidStudy : others could listen in (no TLS, not only this machine), or the address or certificate is impossible.
    """
    if not (insecure or certificate or _is_loopback(host)):
        raise InvalidStudy(
            "without TLS only this machine is served",
            hint="name --tls-certificate and --tls-key, or say --insecure in a network that nobody can listen to",
        )
    with listen(host, port) as listening:
        scheme, place = ("https" if certificate else "http"), listening.getsockname()
        name = f"[{place[0]}]" if ":" in place[0] else place[0]
        config = config_of(app, certificate=certificate, key=key)
        try:
            config.load()
        except OSError as error:
            raise InvalidStudy("the certificate or its key cannot be used", hint="name two PEM files") from error
        with _ended_by_signals():
            Server(config, lambda: on_ready(f"{scheme}://{name}:{place[1]}")).run([listening])


def config_of(app: FastAPI, *, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Config:
    """How uvicorn is to run the application. No access log: what is asked for holds names of patients."""
    return uvicorn.Config(
        app, http=_Careful, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
        limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=GRACE_SECONDS, ssl_certfile=certificate,
        ssl_keyfile=key,
    )  # fmt: skip


class Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()


class _Careful(HttpToolsProtocol):
    """uvicorn's own protocol with two bounds that it does not have: how long a request's head is, in bytes and time."""

    parser: httptools.HttpRequestParser
    _head_bytes = 0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        in_head = self._late is not None
        super().data_received(data)
        if in_head and self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # Half a megabyte is copied twice less when what came is handed on as it is.
        if self.cycle.body or self.cycle.response_complete:
            super().on_body(body)
            return
        # Its length is asked, it is added to, and made to bytes, which of bytes costs nothing.
        self.cycle.body = body  # type: ignore[assignment]
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def _wait_for_head(self) -> None:
        self._head_came()
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_came(self) -> None:
        self._head_bytes = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """uvicorn ends in good order and then raises the signal again; to be asked to end is no failure."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are of the main thread
        return
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes a free one.

    Raises
    ------
    InvalidStudy : the address is impossible or taken.
    """
    listening = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise InvalidStudy("cannot listen there", hint="name another address or port", reason=error.strerror) from error
    return listening
