from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tapetum.model import Arrival
from tapetum.store import JournalledCatalogue, LocalBlobs, SqlCatalogue, replay
from tapetum.testing.contracts import CatalogueContract, arrival_of, rejected_of


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def catalogue(tmp_path: Path, blobs: LocalBlobs) -> Iterator[JournalledCatalogue]:
    opened = JournalledCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", blobs)
    yield opened
    opened.close()


@pytest.fixture
def second(tmp_path: Path) -> Iterator[SqlCatalogue]:
    opened = SqlCatalogue(f"sqlite:///{tmp_path / 'second.db'}")
    yield opened
    opened.close()


class TestJournalledCatalogue(CatalogueContract):
    @pytest.fixture
    def catalogue(self, catalogue: JournalledCatalogue) -> JournalledCatalogue:
        return catalogue


def test_what_is_replayed_makes_the_same_catalogue(
    catalogue: JournalledCatalogue, second: SqlCatalogue, blobs: LocalBlobs
) -> None:
    catalogue.record([arrival_of(1), arrival_of(2), Arrival("rejected", rejected=rejected_of(7, "truncated"))])
    catalogue.record([arrival_of(1, blob="f" * 64, source_digest="e" * 64)])  # a conflict
    catalogue.record([arrival_of(3, series="2.25.200", attributes={"Modality": "MR", "ImageType": "ÄÖ\\測"})])
    second.record(list(replay(blobs)))
    assert second.series() == catalogue.series()
    for series in catalogue.series():
        assert second.instances(series.series_instance_uid) == catalogue.instances(series.series_instance_uid)
    assert second.rejected() == catalogue.rejected()


def test_a_file_that_left_the_quarantine_as_a_duplicate_has_left_it_after_replay(
    catalogue: JournalledCatalogue, second: SqlCatalogue, blobs: LocalBlobs
) -> None:
    catalogue.record([arrival_of(1)])
    rejected = Arrival("rejected", rejected=rejected_of(2, "truncated"), arrived=rejected_of(2, "").arrived)
    catalogue.record([rejected])
    catalogue.record([Arrival("duplicate", instance=arrival_of(1).instance, arrived=rejected.arrived)])
    assert catalogue.rejected() == []
    second.record(list(replay(blobs)))
    assert second.rejected() == []


def test_a_folder_that_is_acquired_again_adds_no_line(catalogue: JournalledCatalogue, blobs: LocalBlobs) -> None:
    catalogue.record([arrival_of(1)])
    before = list(blobs.notes())
    catalogue.record([Arrival("duplicate", instance=arrival_of(1).instance, arrived=arrival_of(1).arrived)])
    assert list(blobs.notes()) == before


def test_nothing_is_recorded_that_could_not_be_noted(
    catalogue: JournalledCatalogue, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_lines: bytes) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(blobs, "note", full)
    with pytest.raises(OSError, match="space"):
        catalogue.record([arrival_of(1)])
    assert catalogue.series() == []


def test_a_torn_line_is_no_arrival(catalogue: JournalledCatalogue, blobs: LocalBlobs) -> None:
    catalogue.record([arrival_of(1)])
    blobs.note(b'{"outcome":"stored","arriv\n')
    catalogue.record([arrival_of(2)])
    assert [arrival.instance for arrival in replay(blobs)] == [arrival_of(1).instance, arrival_of(2).instance]
