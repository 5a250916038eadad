"""Answers: JSON, compressed when it is asked for, errors with their status, and what may be kept by whom.

Start reading at `json_answer`; `told` turns an error into an answer.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tapetum.errors import RefusedRequest, RejectedInput, TapetumError
from tapetum.web.accept import Offer

__all__ = [
    "DICOM_JSON",
    "IMMUTABLE",
    "JSON_OFFERS",
    "REVALIDATE",
    "HeadAsGet",
    "accept_of",
    "asks_only_head",
    "etag_of",
    "json_answer",
    "takes_gzip",
    "told",
    "uid_in_path",
    "unchanged",
]

DICOM_JSON = "application/dicom+json"
JSON_OFFERS = (Offer(DICOM_JSON), Offer("application/json"))
COMPRESS_FROM_BYTES = 1024
# An object never changes under its UID; only this client may keep it.
IMMUTABLE = "private, max-age=31536000, immutable"
# What grows may be kept, too, but must be asked for again.
REVALIDATE = "private, no-cache"
UID = re.compile(r"[0-9]+(\.[0-9]+)*")
STATUS = {"not-found": 404, "invalid-query": 400, "invalid-study": 400, "invalid-geometry": 422}


class HeadAsGet:
    """HEAD is answered by what answers GET; the server leaves the body away, and large ones are not made."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET", ONLY_HEAD: True}
        await self._app(scope, receive, send)


ONLY_HEAD = "tapetum.only_head"


def asks_only_head(request: Request) -> bool:
    """Whether nobody will see the body of the answer."""
    return ONLY_HEAD in request.scope


def accept_of(request: Request) -> str:
    """What the client accepts: the query parameter counts before the header (PS3.18 8.3.3.1)."""
    return request.query_params.get("accept") or request.headers.get("accept", "")


def etag_of(*parts: str) -> str:
    """The name of an answer that is made of these and nothing else (RFC 9110 8.8.3)."""
    return f'"{hashlib.blake2b("|".join(parts).encode(), digest_size=16).hexdigest()}"'


def uid_in_path(text: str) -> str:
    """A UID of a path, judged by PS3.5 9.1 before anybody looks for it.

    Raises
    ------
    RefusedRequest : bad-request.
    """
    if len(text) > 64 or not UID.fullmatch(text):
        raise RefusedRequest("bad-request", "a UID of the path is none", hint="use digits and dots, 64 at most")
    return text


def json_answer(
    request: Request,
    content: Any,
    *,
    status: int = 200,
    media: str = DICOM_JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with JSON: anything that `json` writes, or bytes that are JSON already."""
    body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    kept = {"Cache-Control": REVALIDATE, "Vary": "Accept, Accept-Encoding", **(headers or {})}
    if len(body) >= COMPRESS_FROM_BYTES and takes_gzip(request):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        kept["Content-Encoding"] = "gzip"
    return Response(body, status, kept, media)


def takes_gzip(request: Request) -> bool:
    """Whether the client takes gzip."""
    for item in request.headers.get("accept-encoding", "").split(","):
        name, _, parameters = item.partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def unchanged(request: Request, etag: str, *, cache: str) -> Response | None:
    """304 when the client has this already; None when it must be answered."""
    known = {item.strip().removeprefix("W/") for item in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": cache})
    return None


async def told(_: Request, error: Exception) -> Response:
    """An error as JSON: code, message and hint, and never more. What came of the rest of the body is not read."""
    if isinstance(error, RefusedRequest):
        status, code, message, hint = error.status, error.code, str(error.args[0]), error.hint
    elif isinstance(error, TapetumError):
        status = 422 if isinstance(error, RejectedInput) else STATUS.get(error.code, 500)
        code, message, hint = error.code, str(error.args[0]), error.hint
    else:
        status, code, message, hint = 500, "error", "something failed in the server", "look into its log"
    headers = {"Connection": "close"} if status in CLOSING else None
    return JSONResponse({"code": code, "message": message, "hint": hint}, status, headers)


# Answered before the body was read: what still comes of it would be taken for the next request.
CLOSING = {400, 408, 413, 415, 500, 503}
