from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tapetum.store import LocalBlobs
from tapetum.store import blobs as module
from tapetum.testing.contracts import BlobStoreContract

PUT_FOR_EVER = """
import os, sys
from pathlib import Path
from tapetum.store import LocalBlobs
store = LocalBlobs(Path(sys.argv[1]))
while True:
    print(store.put(os.urandom(3_000_000)), flush=True)
"""


class TestLocalBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written down for good, by name: blobs, folders, or all at once."""
    seen: list[str] = []
    for call in (os.fdatasync, os.fsync):

        def watched(handle: int, call=call) -> None:
            seen.append(Path(f"/proc/self/fd/{handle}").readlink().name)
            call(handle)

        monkeypatch.setattr(os, call.__name__, watched)
    one_call = LocalBlobs._sync_all
    monkeypatch.setattr(LocalBlobs, "_sync_all", lambda store: (seen.append("all"), one_call(store)))
    return seen


def test_a_few_blobs_are_written_down_one_by_one_with_their_folders(tmp_path: Path, synced: list[str]) -> None:
    store = LocalBlobs(tmp_path / "blobs")
    key = store.put(b"one")
    store.flush()
    assert synced == [key[2:], key[:2], "blobs"]
    synced.clear()
    store.flush()
    assert synced == []


def test_a_folder_is_written_into_its_parent_once(tmp_path: Path, synced: list[str]) -> None:
    store = LocalBlobs(tmp_path / "blobs")
    key = store.put(b"one")
    store.flush()
    synced.clear()
    store.put(b"one")
    store.flush()
    assert synced == [key[2:], key[:2]]


def test_many_blobs_are_written_down_with_one_call(tmp_path: Path, synced: list[str]) -> None:
    store = LocalBlobs(tmp_path / "blobs")
    for number in range(module.FEW + 1):
        store.put(bytes([number]))
    store.flush()
    assert synced == ["all"]


def test_without_syncfs_everything_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(module.ctypes, "CDLL", lambda *_, **__: object())
    monkeypatch.setattr(os, "sync", lambda: called.append(True))
    store = LocalBlobs(tmp_path / "blobs")
    for number in range(module.FEW + 1):
        store.put(bytes([number]))
    store.flush()
    assert called == [True]


def test_a_blob_that_another_process_put_is_written_down_too(tmp_path: Path, synced: list[str]) -> None:
    key = LocalBlobs(tmp_path).put(b"one")
    store = LocalBlobs(tmp_path)
    store.put(b"one")
    store.flush()
    assert key[2:] in synced


def test_what_the_disk_lost_is_never_called_written_until_it_was_put_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_handle: int) -> None:
        raise OSError(errno.EIO, "the disk is dying")

    store = LocalBlobs(tmp_path)
    key = store.put(b"precious")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="dying"):
            store.flush()
    before = (tmp_path / key[:2] / key[2:]).stat().st_ino
    store.put(b"precious")
    store.flush()
    assert (tmp_path / key[:2] / key[2:]).stat().st_ino != before


def test_a_batch_that_shares_a_lost_blob_with_a_failed_one_fails_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobs(tmp_path)
    store.put(b"shared")

    def broken(_handle: int) -> None:
        store.put(b"shared")  # another sender, while the first one's flush is failing
        raise OSError(errno.EIO, "the disk is dying")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="dying"):
            store.flush()
    with pytest.raises(OSError, match="lost"):
        store.flush()


def test_a_flush_covers_what_was_put_before_it_was_called_from_any_thread(tmp_path: Path, synced: list[str]) -> None:
    store = LocalBlobs(tmp_path)
    keys: list[str] = []
    threads = [threading.Thread(target=lambda n=n: keys.append(store.put(bytes([n])))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    assert {key[2:] for key in keys} <= set(synced)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    class Torn:
        def read(self, _size: int) -> bytes:
            raise OSError("the cable was pulled")

    store = LocalBlobs(tmp_path)
    with pytest.raises(OSError, match="cable"):
        store.put(Torn())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_a_full_disk_is_an_error_that_leaves_nothing_behind(tmp_path: Path, kind: type) -> None:
    store = LocalBlobs(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel refuses to write more, as a full disk does
    try:
        with pytest.raises(OSError, match="large"):
            store.put(kind(bytes(300_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    assert list(store.keys()) == []
    with store.open(store.put(kind(bytes(300_000)))) as file:
        assert len(file.read()) == 300_000


def test_a_note_on_a_full_disk_is_not_there_at_all(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    store.note(b"first\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="large"):
            store.note(b"x" * 300 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.note(b"second\n")
    assert list(store.notes()) == [b"first", b"second"]


def test_a_note_after_a_torn_one_stands_on_its_own_line(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    store.note(b"first\n")
    (place,) = (tmp_path / "journal").iterdir()
    with place.open("ab") as out:
        out.write(b"killed in the mid")
    store.note(b"second\n")
    assert list(store.notes()) == [b"first", b"killed in the mid", b"second"]


def test_a_process_killed_in_the_middle_of_a_put_leaves_no_half_blob(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for wait in (0.0, 0.007):
        command = [sys.executable, "-c", PUT_FOR_EVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged += [process.stdout.readline().strip() for _ in range(2)]
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
    store = LocalBlobs(tmp_path)
    store.sweep()
    assert not list(tmp_path.glob(".new-*"))
    keys = list(store.keys())
    assert set(acknowledged) <= set(keys)
    for key in keys:
        with store.open(key) as file:
            assert hashlib.sha256(file.read()).hexdigest() == key


def test_a_blob_that_lost_its_bytes_in_a_power_failure_is_written_again(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    key = store.put(b"whole")
    place = tmp_path / key[:2] / key[2:]
    place.chmod(0o640)
    place.write_bytes(b"")
    store.put(b"whole")
    with store.open(key) as file:
        assert file.read() == b"whole"


def test_nobody_may_write_to_a_blob(tmp_path: Path) -> None:
    key = LocalBlobs(tmp_path).put(b"whole")
    assert (tmp_path / key[:2] / key[2:]).stat().st_mode & 0o222 == 0


def test_what_a_killed_run_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    (tmp_path / ".new-dead").write_bytes(b"half")
    with (tmp_path / ".new-alive").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        assert store.sweep() == 1
    assert [place.name for place in tmp_path.iterdir()] == [".new-alive"]
