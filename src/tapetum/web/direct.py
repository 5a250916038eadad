"""The routes that are asked most, answered without the router. Start at `Direct`.

Matching a path against every route and checking parameters costs more than a frame does. The routes stand in the
application all the same, which documents them and answers whatever is asked of them in another way.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from tapetum.errors import TapetumError
from tapetum.web.answer import told

__all__ = ["Direct", "Route"]

Route = tuple[str, re.Pattern[str], Callable[..., Awaitable[Response]]]
"""Method, path with the names of its parameters, and what answers."""


class Direct:
    """An ASGI layer: what it does not know goes on to the application."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        for method, path, answer in self._routes if scope["type"] == "http" else ():
            if scope["method"] == method and (found := path.fullmatch(scope["path"])):
                request = Request(scope, receive)
                try:
                    response = await answer(request, **found.groupdict())
                except (TapetumError, ClientDisconnect) as error:
                    response = await told(request, error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
