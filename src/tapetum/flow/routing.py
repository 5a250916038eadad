"""What becomes of series when they have arrived: rules of the settings decide, work waits in a file until it is done.

    arrived: a series and where it came from, written down at its first object
    settle: a series that was quiet for some seconds is matched against the rules; its project is noted, its work queued
    work: what is queued is done, a few times if it fails

The queue is a SQLite file of the workspace: a server that is killed loses nothing that it wrote down, and doing a step
twice changes nothing. The project of a series is an observation named ``project``. Start at `Router`.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from tapetum.errors import InvalidStudy, NotFound, TapetumError
from tapetum.flow.workspace import Workspace
from tapetum.model import Arrival, Observation, Series
from tapetum.settings import Route

__all__ = ["Router", "Task", "Worker", "fits"]

FILE_NAME = "routes.db"
QUIET_S = 10.0
MOST_TRIES = 5
FIRST_WAIT_S = 60.0
SCHEMA = """
create table if not exists arriving (series text, source text, at real, primary key (series, source));
create table if not exists work (
    series text, what text, state text, tries integer, due real, problem text, primary key (series, what));
"""
DESCRIPTIONS = ("StudyDescription", "SeriesDescription", "ProtocolName")


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of follow-up work: waiting, done, or failed for good; ``problem`` is the code of the last failure."""

    series_instance_uid: str
    what: str
    state: str
    tries: int
    problem: str


class Router:
    """Notes what arrives and queues what follows. Threads may share it.

    Parameters
    ----------
    clock : seconds since some moment that stays the same over restarts.
    """

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float] = time.time) -> None:
        self._workspace, self._clock = workspace, clock
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], float] = {}

    @cached_property  # a workspace without rules has no such file
    def _rows(self) -> sqlite3.Connection:
        rows = sqlite3.connect(self._workspace.folder / FILE_NAME, check_same_thread=False, isolation_level=None)
        rows.execute("pragma journal_mode = wal")
        rows.executescript(SCHEMA)
        return rows

    def close(self) -> None:
        """Close the file."""
        if "_rows" in self.__dict__:
            self._rows.close()

    def on_stored(self, arrival: Arrival) -> None:
        """For `acquire.Door`. The place that an object came from is told by the row it would have in the quarantine."""
        if arrival.outcome == "stored" and arrival.instance is not None:
            row = arrival.rejected
            place = self._workspace.names.unseal(row.locator) if row is not None else ""
            self.arrived(place, arrival.instance.series_instance_uid)

    def arrived(self, place: str, series_instance_uid: str) -> None:
        """Note that an object of a series has come from a place: a file, or ``dimse://CALLER/...``."""
        if not self._workspace.settings.routes:
            return
        source, now = _source(place), self._clock()
        with self._lock:
            if (series_instance_uid, source) not in self._last:
                row = (series_instance_uid, source, now)
                self._rows.execute("insert or replace into arriving values (?, ?, ?)", row)
            self._last[series_instance_uid, source] = now

    def settle(self, *, quiet_s: float = QUIET_S) -> int:
        """Queue the work of every series of which nothing came for ``quiet_s`` seconds; how many series that were."""
        with self._lock:
            rows = self._rows.execute("select series, source, at from arriving order by series").fetchall()
        sources: dict[str, list[str]] = {}
        newest: dict[str, float] = {}
        for uid, source, at in rows:
            sources.setdefault(uid, []).append(source)
            newest[uid] = max(newest.get(uid, 0.0), self._last.get((uid, source), at))
        quiet = [uid for uid, at in newest.items() if self._clock() - at >= quiet_s]
        for uid in quiet:
            self._decide(uid, sources[uid], newest[uid])
        return len(quiet)

    def due(self) -> list[Task]:
        """The work whose time has come, in the order of the rules' work."""
        return self._tasks("state = 'waiting' and due <= ? order by rowid", self._clock())

    def tasks(self) -> list[Task]:
        """All that is waiting or has failed."""
        return self._tasks("state <> 'done' and due >= ? order by rowid", 0.0)

    def end(self, task: Task, problem: str = "") -> None:
        """Note how a task ended; one with a ``problem`` waits longer each time, and fails for good at last."""
        tries = task.tries + 1
        state = "done" if not problem else "waiting" if tries < MOST_TRIES else "failed"
        due = self._clock() + FIRST_WAIT_S * 2 ** (tries - 1)
        with self._lock:
            self._rows.execute(
                "update work set state = ?, tries = ?, due = ?, problem = ? where series = ? and what = ?",
                (state, tries, due, problem, task.series_instance_uid, task.what),
            )

    def again(self) -> int:
        """Have all that failed or waits be due now; how many that are."""
        with self._lock:
            query = "update work set state = 'waiting', tries = 0, due = 0 where state <> 'done'"
            return self._rows.execute(query).rowcount

    def _decide(self, uid: str, sources: list[str], newest: float) -> None:
        try:
            series = self._workspace.catalogue.one(uid)
        except NotFound:
            matched = []  # all its objects ended in the quarantine
        else:
            matched = [route for route in self._workspace.settings.routes if fits(route, series, sources)]
            self._note_projects(series, [route.project for route in matched if route.project])
        with self._lock:
            self._rows.execute("begin immediate")
            for what in dict.fromkeys(work for route in matched for work in route.then):
                # A series that grew is worked on again: the stages skip what they know.
                self._rows.execute("insert or replace into work values (?, ?, 'waiting', 0, 0, '')", (uid, what))
            fresh = [key for key, at in self._last.items() if key[0] == uid and at > newest]
            if not fresh:
                self._rows.execute("delete from arriving where series = ?", (uid,))
                for source in sources:
                    self._last.pop((uid, source), None)
            self._rows.execute("commit")

    def _note_projects(self, series: Series, projects: list[str]) -> None:
        rows = [
            Observation(
                series.patient_key,
                "project",
                text=project,
                series_instance_uid=series.series_instance_uid,
                region=project,
                method="route",
            )
            for project in dict.fromkeys(projects)
        ]
        if rows:
            self._workspace.observation_table.append(rows)

    def _tasks(self, condition: str, when: float) -> list[Task]:
        query = f"select series, what, state, tries, problem from work where {condition}"  # noqa: S608 - our own words
        with self._lock:
            return [Task(*row) for row in self._rows.execute(query, (when,))]


class Worker:
    """Does what is queued; as a context manager in a thread of its own, which is what the servers do.

    Parameters
    ----------
    push : sends series to the peer of a name; raises TapetumError when not all of them are there afterwards.
    quiet_s : see `Router.settle`.
    """

    def __init__(
        self,
        workspace: Workspace,
        router: Router,
        push: Callable[[str, list[Series]], object],
        *,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._workspace, self._router, self._push, self._quiet_s = workspace, router, push, quiet_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="routes", daemon=True)

    def work(self) -> Iterator[tuple[Task, str]]:
        """Settle what is quiet and do what is due; yields each task with its problem, empty for none."""
        self._router.settle(quiet_s=self._quiet_s)
        for task in self._router.due():
            try:
                self._do(task)
                problem = ""
            except TapetumError as error:
                problem = error.code
            self._router.end(task, problem)
            yield task, problem
            if self._stop.is_set():
                return

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._stop.wait(min(self._quiet_s, 1.0)):
            for _ in self.work():
                pass

    def _do(self, task: Task) -> None:
        series = self._workspace.catalogue.one(task.series_instance_uid)
        kind, _, what = task.what.partition(":")
        if kind == "standardise":
            self._workspace.standardise(only=[series])
        elif kind == "describe":
            self._workspace.describe(what, only=[series])
        elif kind == "push":
            self._push(what, [series])
        else:
            raise InvalidStudy("there is no such work", what=task.what)


def fits(route: Route, series: Series, sources: list[str]) -> bool:
    """Whether all conditions of a rule hold for a series that came from these sources."""
    descriptions = " ".join(str(series.attributes.get(keyword, "")) for keyword in DESCRIPTIONS)
    return (
        route.modality in ("", series.modality)
        and route.site in ("", series.site)
        and (not route.source or any(_is_from(source, route.source) for source in sources))
        and (not route.description or re.search(route.description, descriptions) is not None)
    )


def _source(place: str) -> str:
    """The sender in ``dimse://CALLER/...``, or the folder of a file; in an archive, the folder of the archive."""
    scheme, is_sender, rest = place.partition("://")
    if is_sender and scheme.isalpha():
        return rest.partition("/")[0]
    return str(PurePath(place.partition("!/")[0]).parent) if "/" in place else ""


def _is_from(source: str, wanted: str) -> bool:
    """The same sender, or a file in that folder or below it."""
    return source == wanted or ("/" in wanted and PurePath(source).is_relative_to(wanted))
