from __future__ import annotations

import builtins
import hashlib
import io
import random
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from tapetum.errors import InvalidStudy, NotFound, TapetumError
from tapetum.flow import Workspace
from tapetum.flow.keeping import repair, verify
from tapetum.store import S3Blobs
from tapetum.store import s3 as module
from tapetum.testing import dicom_series, to_bytes
from tapetum.testing.contracts import BlobStoreContract

LARGE = 20 << 20


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    """An S3 server that speaks real HTTP, in a process of its own.

    It is moto's: the one on the package registries that needs neither a JVM, nor Docker, nor a Go binary (s3rver on npm
    has not been kept since 2021; LocalStack starts in Docker).
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
                break
            except URLError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
        server.terminate()


@pytest.fixture
def bucket(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a place in a new bucket, and the environment that says where it is."""
    name = f"bucket-{secrets.token_hex(6)}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    made = urllib.request.Request(f"http://127.0.0.1:{s3_port}/{name}", method="PUT")
    urllib.request.urlopen(made, timeout=10).close()
    return f"s3://{name}/archive"


class Line:
    """What a test asks of, and says to, ``bad_line.py``."""

    def __init__(self, port: int) -> None:
        self.port = port

    def fail(self, *, every: int) -> None:
        """Let every so many-th request fail from now on; 0: none."""
        self._ask("PUT", f"every/{every}")

    @property
    def requests(self) -> int:
        """How many there were."""
        return int(self._ask("GET", "counts").split()[0])

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return int(self._ask("GET", "counts").split()[1])

    def _ask(self, method: str, path: str) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/-/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())


@pytest.fixture
def line(bucket: str, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line between us and the bucket, good until it is told otherwise.

    A process of its own: obstore lists with Python's lock held, and nothing in this process would answer it.
    """
    assert bucket
    command = [sys.executable, str(Path(__file__).with_name("bad_line.py")), str(s3_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        opened = Line(int(process.stdout.readline()))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{opened.port}")
        yield opened
        process.terminate()


class TestS3Blobs(BlobStoreContract):
    @pytest.fixture
    def store(self, bucket: str) -> S3Blobs:
        return S3Blobs(bucket)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the waits between attempts short: what is tested is that they are made."""
    monkeypatch.setattr(module, "FIRST_WAIT", timedelta(milliseconds=2))
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(milliseconds=20))


def test_a_large_blob_goes_in_parts_and_comes_back_whole(bucket: str) -> None:
    store = S3Blobs(bucket)
    data = random.Random(1).randbytes(LARGE)
    key = store.put(io.BytesIO(data))
    assert key == hashlib.sha256(data).hexdigest()
    with store.open(key) as file:
        assert file.read() == data


def test_a_reader_that_jumps_reads_the_right_bytes(bucket: str) -> None:
    data = random.Random(2).randbytes(LARGE)
    store = S3Blobs(bucket)
    with store.open(store.put(data)) as file:
        for at in (LARGE - 10, 0, module.AHEAD - 5, module.AHEAD, 12_345_678, 3):
            file.seek(at)
            assert file.read(40) == data[at : at + 40]


def test_reading_on_needs_one_request_for_many_reads(bucket: str, line: Line) -> None:
    data = random.Random(3).randbytes(LARGE)
    store = S3Blobs(bucket)
    key = store.put(data)
    before = line.requests
    with store.open(key) as file:
        while file.read(1000):
            pass
    assert line.requests - before <= LARGE // module.AHEAD + 1


def test_what_is_there_is_not_sent_again(bucket: str, line: Line) -> None:
    store = S3Blobs(bucket)
    store.put(b"x")
    before = line.requests
    store.put(b"x")
    assert line.requests - before == 1


@pytest.mark.usefixtures("impatient")
def test_on_a_line_that_fails_every_third_time_nothing_is_lost_and_nothing_doubled(bucket: str, line: Line) -> None:
    line.fail(every=3)
    store = S3Blobs(bucket)
    draw = random.Random(4)
    blobs = [draw.randbytes(size) for size in (0, 1, 1000, 100_000, 500_000, LARGE)] * 2
    keys = [store.put(io.BytesIO(blob)) for blob in blobs]
    for number in range(10):
        store.note(b"%d\n" % number)
    assert sorted(set(keys)) == list(store.keys())
    assert [int(note) for note in store.notes()] == list(range(10))
    for key, blob in zip(keys, blobs, strict=True):
        with store.open(key) as file:
            assert file.read() == blob
    assert line.failures > 10


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_away_is_an_error_of_ours_and_never_an_unknown_key(
    bucket: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRIES", 2)
    line.fail(every=1)
    store = S3Blobs(bucket)
    for ask in (
        lambda: store.put(b"x"),
        lambda: store.open("0" * 64),
        lambda: "0" * 64 in store,
        store.notes().__next__,
    ):
        with pytest.raises(TapetumError) as caught:
            ask()
        assert caught.value.hint


def test_a_bucket_that_is_not_there_is_said(bucket: str) -> None:
    store = S3Blobs("s3://" + "n" * 20 + "/archive")
    assert bucket
    with pytest.raises(NotFound, match="bucket"):
        store.put(b"x")


@pytest.mark.parametrize("url", ["gs://bucket/x", "s3://", "bucket"])
def test_a_url_that_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InvalidStudy, match="bucket"):
        S3Blobs(url)


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("obstore"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InvalidStudy, match=r"tapetum\[s3\]"):
        S3Blobs("s3://bucket/x")


def test_a_prefix_is_not_needed_and_two_archives_in_one_bucket_do_not_meet(bucket: str) -> None:
    root, other = S3Blobs("s3://" + bucket.split("/")[2]), S3Blobs(bucket)
    key = root.put(b"root")
    assert key not in other
    assert list(other.keys()) == []


@pytest.mark.usefixtures("impatient")
def test_a_workspace_on_a_bad_line_takes_in_checks_and_repairs(bucket: str, line: Line, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for number, item in enumerate(dicom_series(slices=4)):
        (tmp_path / "disk" / f"{number}").write_bytes(to_bytes(item))
    workspace = Workspace.create(tmp_path / "hospital", store_blobs_url=bucket)
    line.fail(every=4)
    assert workspace.acquire([tmp_path / "disk"]).outcomes["stored"] == 4
    before = workspace.series().rows()
    workspace.catalogue.close()
    (tmp_path / "hospital" / "catalogue.db").unlink()
    assert repair(workspace.folder, store_blobs_url=bucket).restored == 4
    again = Workspace(workspace.folder, store_blobs_url=bucket)
    assert again.series().rows() == before
    checked = verify(again)
    assert (checked.blobs, checked.wrong) == (4, [])
    assert not (workspace.folder / "blobs").exists()
    assert line.failures > 3
