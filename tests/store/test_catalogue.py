from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tapetum.model import Arrival, Query
from tapetum.store import SqlCatalogue, schema
from tapetum.testing.contracts import CatalogueContract, arrival_of
from tapetum.testing.queries import QueryContract


class TestSqliteCatalogue(CatalogueContract, QueryContract):
    @pytest.fixture
    def catalogue(self, tmp_path: Path) -> Iterator[SqlCatalogue]:
        made = SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")
        yield made
        made.close()


@pytest.fixture(scope="module")
def opened(postgres: Any) -> Iterator[SqlCatalogue]:
    made = SqlCatalogue(postgres.new_database())
    yield made
    made.close()


class TestPostgresCatalogue(CatalogueContract, QueryContract):
    @pytest.fixture
    def catalogue(self, opened: SqlCatalogue) -> SqlCatalogue:
        with opened.database.engine.begin() as connection:  # quicker than a database for each of many tests
            connection.exec_driver_sql(f"TRUNCATE {', '.join(schema.metadata.tables)}")
        return opened


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new catalogue's place, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.db'}"
    return str(request.getfixturevalue("postgres").new_database())


def counted(catalogue: SqlCatalogue) -> tuple[int, int]:
    """Instances as the rows count them and as the counters say."""
    rows = sum(len(catalogue.instances(series.series_instance_uid)) for series in catalogue.series())
    (study,) = catalogue.find(Query("study"))
    return rows, study["NumberOfStudyRelatedInstances"]


def test_a_batch_that_fails_leaves_nothing_of_itself(url: str) -> None:
    catalogue = SqlCatalogue(url)
    without_spare = Arrival("stored", arrival_of(1, blob="f" * 64, source_digest="e" * 64).instance)
    with pytest.raises(ValueError, match="carries the row"):
        catalogue.record([arrival_of(1), arrival_of(2), without_spare])
    assert catalogue.series() == []
    catalogue.close()


def test_a_conflicting_object_is_named_in_the_quarantine_with_its_blob(url: str) -> None:
    catalogue = SqlCatalogue(url)
    catalogue.record([arrival_of(1)])
    catalogue.record([arrival_of(1, blob="f" * 64, source_digest="e" * 64)])
    (row,) = catalogue.rejected()
    assert (row.code, row.blob) == ("conflicting-instance", "f" * 64)
    catalogue.close()


def test_what_comes_later_from_the_same_place_does_not_take_a_conflict_out_of_the_quarantine(url: str) -> None:
    catalogue = SqlCatalogue(url)
    first = arrival_of(1)
    others = [replace(arrival_of(1, blob=name * 64, source_digest=name * 64), arrived=first.arrived) for name in "ef"]
    catalogue.record([first, *others])
    catalogue.record([first, others[0]])
    assert [row.blob for row in catalogue.rejected()] == ["e" * 64, "f" * 64]
    catalogue.close()


def test_four_writers_of_the_same_objects_lose_none_and_store_each_once(url: str) -> None:
    SqlCatalogue(url).close()

    def run(number: int) -> Counter[str]:
        catalogue = SqlCatalogue(url)
        # Each writer meets the objects in another order, in batches that overlap those of the others.
        objects = [arrival_of(item, series=f"2.25.{900 + item % 7}") for item in range(1, 121)]
        mine = objects[30 * number :] + objects[: 30 * number]
        mine = mine if number % 2 else mine[::-1]
        ended = [arrival for start in range(0, 120, 8) for arrival in catalogue.record(mine[start : start + 8])]
        catalogue.close()
        return Counter(arrival.outcome for arrival in ended)

    with ThreadPoolExecutor(4) as pool:
        outcomes = sum(pool.map(run, range(4)), Counter())
    assert outcomes == {"stored": 120, "duplicate": 360}
    catalogue = SqlCatalogue(url)
    assert counted(catalogue) == (120, 120)
    assert sum(series.instances for series in catalogue.series()) == 120
    catalogue.close()


def test_a_server_that_is_restarted_in_the_middle_of_writing_loses_nothing(postgres: Any) -> None:
    catalogue = SqlCatalogue(postgres.new_database())
    acknowledged: list[str] = []
    begun = threading.Event()

    def write() -> None:
        for start in range(0, 400, 4):
            batch = [arrival_of(number) for number in range(start + 1, start + 5)]
            assert catalogue.known([item.instance.source_digest for item in batch if item.instance]) == set()
            acknowledged.extend(item.outcome for item in catalogue.record(batch))
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    assert writer.is_alive()
    postgres.stop("immediate")
    time.sleep(0.2)
    postgres.start()
    writer.join()
    assert len(acknowledged) == 400
    assert set(acknowledged) <= {"stored", "duplicate"}  # a batch whose commit was not answered is found there already
    assert counted(catalogue) == (400, 400)
    catalogue.close()


def test_many_processes_may_open_a_new_catalogue_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        catalogues = list(pool.map(SqlCatalogue, [url] * 4))
    assert [catalogue.series() for catalogue in catalogues] == [[]] * 4
    for catalogue in catalogues:
        catalogue.close()
