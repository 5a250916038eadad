"""What one client may cost: bytes, time and silence. An ASGI layer around the application. Start at `Limits`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tapetum.errors import RefusedRequest

__all__ = ["Bounds", "Limits"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may cost.

    ``body_bytes`` is the longest body. A client may be silent for ``silence_s`` seconds, while it sends and while it
    takes the answer. After ``grace_s`` seconds of waiting its body must have come at ``bytes_per_s`` on average, which
    a modem reaches and one byte a second does not.
    """

    body_bytes: int = 1 << 38
    silence_s: float = 30.0
    grace_s: float = 20.0
    bytes_per_s: int = 512


class Limits:
    """Counts and times what goes through; whoever exceeds its bounds is refused and the connection closed.

    A body that is too large or too slow is a `RefusedRequest` where the application reads it. A client that does not
    take its answer is cut off.
    """

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        self._app, self._bounds = app, bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._bounds)

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(self._bounds.silence_s):
                await send(message)

        await self._app(scope, body.receive, patiently)


class _Body:
    """The body of one request on its way in."""

    def __init__(self, receive: Receive, bounds: Bounds) -> None:
        self._receive, self._bounds = receive, bounds
        self._bytes, self._waited_s, self._ended = 0, 0.0, False

    async def receive(self) -> Message:
        if self._ended:  # what comes now is the client's leaving, and there is no hurry
            return await self._receive()
        bounds, began = self._bounds, time.monotonic()
        try:
            async with asyncio.timeout(bounds.silence_s):
                message = await self._receive()
        except TimeoutError:
            raise RefusedRequest("too-slow", "the body stopped coming", hint="send it again") from None
        self._waited_s += time.monotonic() - began
        self._bytes += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._bytes > bounds.body_bytes:
            raise RefusedRequest("too-large", "the body is larger than allowed", hint="send it in several requests")
        late = self._waited_s > bounds.grace_s and self._bytes < self._waited_s * bounds.bytes_per_s
        if late and not self._ended:
            raise RefusedRequest("too-slow", "the body comes too slowly", hint="send it from nearer by")
        return message
