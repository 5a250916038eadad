from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tapetum.store import LocalBlobs
from tapetum.testing.contracts import BlobStoreContract


class TestLocalBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path / "blobs")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    class Torn:
        def read(self, _size: int) -> bytes:
            raise OSError("the cable was pulled")

    store = LocalBlobs(tmp_path)
    with pytest.raises(OSError, match="cable"):
        store.put(Torn())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_lost_its_bytes_in_a_power_failure_is_written_again(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    key = store.put(b"whole")
    place = tmp_path / key[:2] / key[2:]
    place.chmod(0o640)
    place.write_bytes(b"")
    store.put(b"whole")
    with store.open(key) as file:
        assert file.read() == b"whole"


def test_what_a_killed_run_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    (tmp_path / ".new-dead").write_bytes(b"half")
    with (tmp_path / ".new-alive").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        assert store.sweep() == 1
    assert [place.name for place in tmp_path.iterdir()] == [".new-alive"]
