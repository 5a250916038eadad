"""What the routes share: the workspace, its door, the threads that take objects in. Start at `Archive`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fastapi import Request

from tapetum.acquire import Door
from tapetum.flow import Workspace
from tapetum.flow.exchange import door_of
from tapetum.model import Arrival
from tapetum.web.frames import Layouts

__all__ = ["Archive", "archive_of", "base_url"]

PREFIX = "/dicom-web"
INTAKE_THREADS = 4
MOST_BATCHES_AT_ONCE = 8
READING_THREADS = 8


@dataclass
class Archive:
    """A workspace that is being served.

    ``batches`` bounds how many objects wait for a thread, over all requests. ``layouts`` knows where frames lie
    that were asked for lately.
    """

    workspace: Workspace
    door: Door
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(INTAKE_THREADS, "intake"))
    readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READING_THREADS, "reader"))
    layouts: Layouts = field(default_factory=Layouts)
    batches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_BATCHES_AT_ONCE))

    @classmethod
    def open(cls, workspace: Workspace, on_stored: Callable[[Arrival], object] = lambda _: None) -> Archive:
        """Serve a workspace; `close` it. ``on_stored`` is told of arrivals: see `acquire.Door`."""
        return cls(workspace, door_of(workspace, on_stored))

    def close(self) -> None:
        """Write down what was taken."""
        self.readers.shutdown()
        self.pool.shutdown()
        self.door.close()


def archive_of(request: Request) -> Archive:
    """The archive that a request is about."""
    archive: Archive = request.app.state.archive
    return archive


def base_url(request: Request) -> str:
    """Where DICOMweb begins, as the client sees it.

    Some clients (dicomweb-client 0.61) leave the port out of their Host header; where it names the very address on
    which the request came, and not that of a proxy, the port is the one on which it came.
    """
    url, server = request.base_url, request.scope.get("server")
    if server is not None and url.port is None and url.hostname == server[0]:
        url = url.replace(port=server[1])
    return str(url).rstrip("/") + PREFIX
