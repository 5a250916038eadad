"""kill -9 at any instant: what was acknowledged is there and whole, and sending again doubles nothing."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import pytest

from .conftest import Hospital, Sender, objects, stow, written

ROUNDS = 4

pytestmark = pytest.mark.slow


def test_what_listen_acknowledged_outlives_its_kills(hospital: Hospital, tmp_path: Path) -> None:
    draw, made = random.Random(1), objects(160)
    folder = written(tmp_path / "sent", made)
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        process, port = hospital.server("listen")
        sender, until = Sender(port, folder), 5 + draw.randrange(30) * number
        for count, (name, status) in enumerate(sender.answered()):
            if status == "Success":
                acknowledged.add(name)
            if count == until:
                time.sleep(draw.random() * 0.02)
                process.kill()
        process.wait()
        assert hospital.is_sound(acknowledged)
    process, port = hospital.server("listen")
    assert Sender(port, folder).wait() == set(made)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()


def test_what_serve_acknowledged_outlives_its_kills(hospital: Hospital) -> None:
    draw, made = random.Random(2), objects(120)
    data = list(made.values())
    acknowledged: set[str] = set()

    def send(port: int, first: int) -> None:
        for at in range(first, len(data), 20):
            acknowledged.update(stow(port, data[at : at + 10])[1])

    for _ in range(ROUNDS):
        process, port = hospital.server("serve")
        senders = [threading.Thread(target=send, args=(port, first)) for first in (0, 10)]
        for sender in senders:
            sender.start()
        time.sleep(0.05 + draw.random() * 0.5)
        process.kill()
        for sender in senders:
            sender.join()
        process.wait()
        assert hospital.is_sound(acknowledged)
    process, port = hospital.server("serve")
    send(port, 0)
    send(port, 10)
    assert acknowledged == set(made)
    process.kill()
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()


@pytest.mark.parametrize("deidentify", ["true", "false"])
def test_a_folder_is_taken_in_whole_whenever_acquire_is_killed(
    hospital: Hospital, tmp_path: Path, deidentify: str
) -> None:
    hospital.environment["TAPETUM_PROTECT_DEIDENTIFY"] = deidentify
    draw, made = random.Random(3), objects(600)
    folder = written(tmp_path / "sent", made)
    for _ in range(ROUNDS):
        process = hospital.start("acquire", folder)
        before, until = _blobs(hospital), time.monotonic() + 60
        while _blobs(hospital) == before < len(made) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.2)
        process.kill()
        process.wait()
        assert hospital.is_sound()
    assert hospital.run("acquire", folder)[0] == 0
    assert len(hospital.stored()) == len(made)
    assert hospital.problems() == set()
    assert list((hospital.folder / "blobs").glob(".new-*")) == []


def _blobs(hospital: Hospital) -> int:
    return sum(1 for _ in (hospital.folder / "blobs").glob("??/*"))
