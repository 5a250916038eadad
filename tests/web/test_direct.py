import asyncio
import re
from typing import Any

from fastapi import Request, Response

from tapetum.errors import NotFound
from tapetum.web.direct import Direct


async def _answer(_: Request, name: str) -> Response:
    if name == "none":
        raise NotFound("not here", hint="look elsewhere")
    return Response(name)


async def _application(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "the application"})


def _told(method: str, path: str, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    direct = Direct(_application, routes=[("GET", re.compile("/one/(?P<name>[a-z]+)"), _answer)])
    asyncio.run(direct({"type": kind, "method": method, "path": path, "headers": []}, receive, send))
    return sent


def test_a_route_that_is_known_is_answered_at_once() -> None:
    assert _told("GET", "/one/thing")[1]["body"] == b"thing"


def test_its_errors_are_told_as_those_of_all_routes() -> None:
    start, body = _told("GET", "/one/none")
    assert start["status"] == 404
    assert b'"not-found"' in body["body"]


def test_everything_else_is_left_to_the_application() -> None:
    for method, path, kind in (
        ("POST", "/one/thing", "http"),
        ("GET", "/one/thing/more", "http"),
        ("", "", "lifespan"),
    ):
        assert _told(method, path, kind) == [{"type": "the application"}]
