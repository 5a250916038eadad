"""Rules on a real workspace; time stands still unless a test moves it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapetum.errors import PeerFailed
from tapetum.flow import Workspace
from tapetum.flow.exchange import door_of
from tapetum.flow.routing import MOST_TRIES, Router, Worker, fits
from tapetum.model import Series
from tapetum.settings import Route
from tapetum.testing import dicom_series, to_bytes

RULES = """
[peers]
CLOUD = "https://archive.example/dicom-web"
[[route]]
modality = "CT"
project = "lung"
then = ["standardise", "push:CLOUD"]
[[route]]
modality = "MR"
project = "brain"
"""
SERIES = Series("2.25.1", "2.25.2", "P-1", "CT", "image", "North", "dicom", 3, {"SeriesDescription": "Thorax 1.0"})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    Workspace.create(tmp_path / "hospital")
    (tmp_path / "hospital" / "tapetum.toml").write_text(RULES)
    return Workspace(tmp_path / "hospital")


@pytest.fixture
def router(workspace: Workspace, clock: Clock) -> Iterator[Router]:
    found = Router(workspace, clock=clock)
    yield found
    found.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in" / "scanner7"
    folder.mkdir(parents=True)
    for number, item in enumerate(dicom_series(slices=3, modality="CT")):
        (folder / f"{number}.dcm").write_bytes(to_bytes(item))
    return folder


class Peer:
    """Remembers what was pushed; fails so often."""

    def __init__(self, fails: int = 0) -> None:
        self.fails, self.pushed = fails, []  # type: ignore[var-annotated]

    def __call__(self, name: str, series: list[Series]) -> None:
        if self.fails:
            self.fails -= 1
            raise PeerFailed("peer-lost", "gone")
        self.pushed += [(name, one.series_instance_uid) for one in series]


def worker(workspace: Workspace, router: Router, peer: Peer) -> Worker:
    return Worker(workspace, router, peer)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({}, True),
        ({"modality": "CT"}, True),
        ({"modality": "MR"}, False),
        ({"site": "North"}, True),
        ({"site": "South"}, False),
        ({"description": "(?i)thorax"}, True),
        ({"description": "^Head"}, False),
        ({"source": "SCANNER7"}, True),
        ({"source": "SCANNER8"}, False),
        ({"source": "/in/ct"}, True),
        ({"source": "/in/ct/today"}, True),
        ({"source": "/in/c"}, False),
        ({"modality": "CT", "source": "SCANNER7", "site": "South"}, False),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(route: dict[str, str], expected: bool) -> None:
    assert fits(Route(**route, project="x"), SERIES, ["SCANNER7", "/in/ct/today"]) is expected


def test_what_arrived_gets_its_project_and_its_work_once_it_is_quiet(
    workspace: Workspace, router: Router, clock: Clock, inbox: Path
) -> None:
    workspace.acquire([inbox], on_arrival=router.arrived)
    (uid,) = workspace.series()["series_instance_uid"]
    peer = Peer()
    clock.now += 9
    assert list(worker(workspace, router, peer).work()) == []
    clock.now += 1
    assert [(task.what, problem) for task, problem in worker(workspace, router, peer).work()] == [
        ("standardise", ""),
        ("push:CLOUD", ""),
    ]
    rows = workspace.observations()
    assert rows.filter(rows["name"] == "project").select("series_instance_uid", "text").rows() == [(uid, "lung")]
    assert peer.pushed == [("CLOUD", uid)]
    assert not rows.filter(rows["method"] == "quality/1").is_empty()
    assert router.tasks() == []
    assert list(worker(workspace, router, peer).work()) == []


def test_a_sender_that_waits_is_known_by_its_name(workspace: Workspace, router: Router, inbox: Path) -> None:
    from tapetum.acquire.walk import Source

    data = (inbox / "0.dcm").read_bytes()
    place = "dimse://SCANNER7/1.2.3"
    with door_of(workspace, router.on_stored) as door:
        for _ in range(2):
            door.take(Source(place, place, "dicom", len(data), 0, lambda: (inbox / "0.dcm").open("rb")))
    assert router._rows.execute("select source from arriving").fetchall() == [("SCANNER7",)]


def test_a_killed_server_forgets_no_arrival_and_no_work(
    workspace: Workspace, router: Router, clock: Clock, inbox: Path
) -> None:
    workspace.acquire([inbox], on_arrival=router.arrived)
    again = Router(workspace, clock=clock)  # the first is not closed, as if it were killed
    clock.now += 60
    assert again.settle() == 1
    third = Router(workspace, clock=clock)
    assert [task.what for task in third.due()] == ["standardise", "push:CLOUD"]
    again.close()
    third.close()


def test_a_series_that_grows_is_worked_on_again(
    workspace: Workspace, router: Router, clock: Clock, inbox: Path, tmp_path: Path
) -> None:
    peer = Peer()
    late = tmp_path / "late.dcm"
    (inbox / "2.dcm").rename(late)
    for path in (inbox, late):
        workspace.acquire([path], on_arrival=router.arrived)
        clock.now += 60
        assert len(list(worker(workspace, router, peer).work())) == 2
    assert len(peer.pushed) == 2


def test_what_fails_is_listed_tried_again_later_and_given_up_at_last(
    workspace: Workspace, router: Router, clock: Clock, inbox: Path
) -> None:
    peer = Peer(fails=MOST_TRIES)
    workspace.acquire([inbox], on_arrival=router.arrived)
    clock.now += 60
    assert [problem for _, problem in worker(workspace, router, peer).work()] == ["", "peer-lost"]
    assert [(task.state, task.tries, task.problem) for task in router.tasks()] == [("waiting", 1, "peer-lost")]
    assert list(worker(workspace, router, peer).work()) == []
    for _ in range(MOST_TRIES - 1):
        clock.now += 3600
        assert [problem for _, problem in worker(workspace, router, peer).work()] == ["peer-lost"]
    assert [(task.state, task.tries) for task in router.tasks()] == [("failed", MOST_TRIES)]
    clock.now += 36000
    assert list(worker(workspace, router, peer).work()) == []
    assert router.again() == 1
    assert [problem for _, problem in worker(workspace, router, peer).work()] == [""]


def test_a_series_that_fits_no_rule_is_let_be(workspace: Workspace, router: Router, clock: Clock) -> None:
    router.arrived("/in/x.dcm", "2.25.404")  # all its objects ended in the quarantine
    clock.now += 60
    assert router.settle() == 1
    assert (router.due(), router.settle()) == ([], 0)


def test_without_rules_nothing_is_written(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "plain")
    router = Router(workspace)
    router.arrived("/in/x.dcm", "2.25.1")
    router.close()
    assert not list((tmp_path / "plain").glob("routes*"))


def test_a_server_does_the_work_beside_its_own(workspace: Workspace, inbox: Path) -> None:
    router, peer = Router(workspace), Peer()
    with Worker(workspace, router, peer, quiet_s=0.1):
        workspace.acquire([inbox], on_arrival=router.arrived)
        deadline = time.monotonic() + 20
        while not peer.pushed and time.monotonic() < deadline:
            time.sleep(0.05)
    router.close()
    assert peer.pushed
    assert not [thread for thread in threading.enumerate() if thread.name == "routes"]


def note_many(router: Router, count: int) -> Callable[[], Any]:
    return lambda: [router.arrived(f"dimse://S/{n}", "2.25.7") for n in range(count)]


def test_many_objects_of_a_series_cost_one_line(router: Router) -> None:
    threads = [threading.Thread(target=note_many(router, 200)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert router._rows.execute("select count(*) from arriving").fetchone() == (1,)
