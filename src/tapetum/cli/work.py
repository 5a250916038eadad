"""``tapetum work``, and how the other commands note what arrives and have it followed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from tapetum.cli.talk import Json, WorkspaceOption, open_workspace, show, stderr
from tapetum.dimse.sending import transcoded
from tapetum.errors import PeerFailed
from tapetum.flow import Workspace
from tapetum.flow.exchange import push
from tapetum.flow.routing import QUIET_S, Router, Worker
from tapetum.model import Arrival, Series

__all__ = ["following", "noted", "work"]

Flag = Annotated[bool, Parameter(negative="")]


def work(
    *,
    quiet_s: float = QUIET_S,
    again: Flag = False,
    keep_on: Flag = False,
    workspace: WorkspaceOption = None,
    json: Json = False,
) -> int:
    """Do what the routing rules want of series that have arrived, and list what is left or failed.

    Parameters
    ----------
    quiet_s
        A series has arrived when nothing came for so many seconds.
    again
        Try what failed or waits at once.
    keep_on
        Go on until stopped.
    """
    opened = open_workspace(workspace)
    done = 0
    with closing(Router(opened)) as router:
        if again:
            router.again()
        worker = Worker(opened, router, _pusher(opened), quiet_s=quiet_s)
        while True:
            for task, problem in worker.work():
                done += not problem
                stderr.print(f"{task.what} {task.series_instance_uid}: {problem or 'done'}", markup=False)
            if not keep_on:
                break
            time.sleep(1)
        left = [asdict(task) for task in router.tasks()]
    if json:
        show({"done": done, "left": left}, as_json=True)
    else:
        show(left, as_json=False, columns=["series_instance_uid", "what", "state", "tries", "problem"])
    return 1 if any(task["state"] == "failed" for task in left) else 0


@contextmanager
def noted(opened: Workspace) -> Iterator[Router]:
    """Note what arrives by the router that is yielded; at the end all of it counts as arrived."""
    with closing(Router(opened)) as router:
        try:
            yield router
        finally:
            if opened.settings.routes:
                router.settle(quiet_s=0)


@contextmanager
def following(opened: Workspace) -> Iterator[Callable[[Arrival], object]]:
    """What a door tells of arrivals, with a thread that does what follows; nothing where there are no rules."""
    if not opened.settings.routes:
        yield lambda _: None
        return
    with closing(Router(opened)) as router, Worker(opened, router, _pusher(opened)):
        yield router.on_stored


def _pusher(opened: Workspace) -> Callable[[str, list[Series]], object]:
    def send(name: str, series: list[Series]) -> None:
        done = push(opened, name, series, transcode=transcoded)
        if not done.is_whole:
            raise PeerFailed("peer-failed", "not everything is at the peer", peer=name)

    return send
