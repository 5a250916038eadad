from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapetum.errors import TapetumError
from tapetum.store import LinkedBlobs, LocalBlobs
from tapetum.store import linked as module
from tapetum.testing.contracts import SHA256_OF_ABC, BlobStoreContract


@pytest.fixture
def store(tmp_path: Path) -> LinkedBlobs:
    return LinkedBlobs(tmp_path / "links", LocalBlobs(tmp_path / "blobs"))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "film.dcm").write_bytes(b"abc")
    return tmp_path / "archive" / "film.dcm"


class TestLinkedBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, store: LinkedBlobs) -> LinkedBlobs:
        return store


def test_a_linked_file_is_a_blob_of_which_nothing_was_copied(store: LinkedBlobs, film: Path, tmp_path: Path) -> None:
    assert store.link(film) == SHA256_OF_ABC
    store.flush()
    assert SHA256_OF_ABC in store
    assert list(store.keys()) == [SHA256_OF_ABC]
    with store.open(SHA256_OF_ABC) as file:
        assert file.read() == b"abc"
    assert [place for place in (tmp_path / "blobs").rglob("*") if place.is_file()] == []
    assert film.read_bytes() == b"abc"


def test_a_file_that_went_is_an_unknown_key_that_is_still_listed(store: LinkedBlobs, film: Path) -> None:
    key = store.link(film)
    film.unlink()
    assert key not in store
    with pytest.raises(KeyError):
        store.open(key)
    assert list(store.keys()) == [key]


def test_a_file_that_now_holds_another_patient_is_not_given_out(store: LinkedBlobs, film: Path) -> None:
    key = store.link(film)
    film.write_bytes(b"abd")
    os.utime(film, ns=(1, 1))
    with pytest.raises(KeyError):
        store.open(key)


def test_a_file_that_was_only_touched_is_read_through_once(
    store: LinkedBlobs, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = store.link(film)
    os.utime(film, ns=(1, 1))
    with store.open(key) as file:
        assert file.read() == b"abc"
    monkeypatch.setattr(module, "_key_of", lambda _file: pytest.fail("read through again"))
    assert key in store


def test_a_copy_stands_in_for_a_linked_file_that_went(store: LinkedBlobs, film: Path) -> None:
    key = store.link(film)
    assert store.put(b"abc") == key
    film.unlink()
    with store.open(key) as file:
        assert file.read() == b"abc"
    assert list(store.keys()) == [key]


def test_a_file_that_came_back_elsewhere_is_linked_anew(store: LinkedBlobs, film: Path) -> None:
    key = store.link(film)
    moved = film.rename(film.with_name("moved.dcm"))
    assert key not in store
    assert store.link(moved) == key
    assert key in store


def test_a_file_that_is_written_to_while_it_is_read_is_refused(
    store: LinkedBlobs, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grows(_file: object) -> str:
        os.utime(film, ns=(1, 1))
        return "0" * 64

    monkeypatch.setattr(module, "_key_of", grows)
    with pytest.raises(TapetumError, match="changed"):
        store.link(film)


def test_what_a_killed_run_left_of_a_link_is_swept(store: LinkedBlobs, film: Path, tmp_path: Path) -> None:
    store.link(film)
    (tmp_path / "links" / ".new-dead").symlink_to(film)
    assert store.sweep() == 1
    assert store.sweep() == 0
