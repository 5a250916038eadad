"""The application: routes, what answers an error, its lifetime. Start at `application`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tapetum import __version__
from tapetum.errors import TapetumError
from tapetum.flow import Workspace
from tapetum.model import Arrival
from tapetum.web import metadata, render, retrieve, search, stow
from tapetum.web.answer import HeadAsGet, told
from tapetum.web.archive import PREFIX, Archive
from tapetum.web.direct import Direct
from tapetum.web.limits import Bounds, Limits

__all__ = ["application"]


def application(
    workspace: Workspace,
    *,
    bounds: Bounds | None = None,
    on_stored: Callable[[Arrival], object] = lambda _: None,
) -> FastAPI:
    """DICOMweb under ``/dicom-web``, ``/health``, ``/openapi.json`` and ``/docs`` on a workspace.

    Parameters
    ----------
    workspace : stays open; objects are taken in and answered from it.
    bounds : what one request may cost.
    on_stored : is told of every object that was taken in, quickly.

    Returns
    -------
    An ASGI application whose lifespan must be run: it opens the workspace's door and closes it, so that what was
    acknowledged is durable.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.archive = Archive.open(workspace, on_stored)
        try:
            yield
        finally:
            app.state.archive.close()

    # The usual page of FastAPI loads its scripts from elsewhere; a hospital's network often has no elsewhere.
    app = FastAPI(title="tapetum", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    for module in (stow, search, metadata, render, retrieve):
        app.include_router(module.router)
    app.add_api_route("/health", _health, tags=["server"], summary="Whether it serves")
    app.add_api_route("/docs", _page, include_in_schema=False)
    app.add_exception_handler(TapetumError, told)
    app.add_exception_handler(Exception, told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, told)
    app.add_middleware(Direct, routes=DIRECT)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Limits, bounds=bounds or Bounds())
    return app


DIRECT = (
    ("GET", retrieve.FRAME, retrieve.frame),
    ("POST", re.compile(f"{PREFIX}/studies"), stow.store),
)


async def _health() -> dict[str, str]:
    """Whether the server answers, and its version."""
    return {"status": "ok", "version": __version__}


async def _page(request: Request) -> HTMLResponse:
    """The routes as a page without a script."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(what['summary'])}</td></tr>"
        for path, methods in request.app.openapi()["paths"].items()
        for method, what in methods.items()
    ]
    table = f"<table><tr><th>Method</th><th>Path</th><th>What</th></tr>{''.join(rows)}</table>"
    style = "<style>body{font:16px sans-serif;margin:2em}td,th{text-align:left;padding:.2em 1em}</style>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>tapetum</title>{style}'
    return HTMLResponse(f'{head}<h1>tapetum</h1><p>Also as <a href="openapi.json">OpenAPI</a>.</p>{table}</html>')


async def _http(_: Request, error: Exception) -> Response:
    """What the router refuses: no such path, no such method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = "not-found" if status == 404 else "bad-request"
    message = error.detail if isinstance(error, HTTPException) else ""
    headers = error.headers if isinstance(error, HTTPException) else None
    body = {"code": code, "message": message, "hint": "see /docs for what there is"}
    return JSONResponse(body, status, headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """A parameter of the wrong kind: its name, never its value."""
    names = [str(item["loc"][-1]) for item in error.errors()] if isinstance(error, RequestValidationError) else []
    message = f"not valid: {', '.join(names)}"
    return JSONResponse({"code": "bad-request", "message": message, "hint": "see /docs for what there is"}, 400)
