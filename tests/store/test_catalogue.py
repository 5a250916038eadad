from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from tapetum.model import Arrival
from tapetum.store import SqlCatalogue, schema
from tapetum.testing.contracts import CatalogueContract, arrival_of


class TestSqlCatalogue(CatalogueContract):
    @pytest.fixture
    def catalogue(self, tmp_path: Path) -> Iterator[SqlCatalogue]:
        made = SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")
        yield made
        made.close()


def test_the_migrations_make_the_tables_that_the_code_names(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    SqlCatalogue(url).close()
    engine = create_engine(url)
    for table in schema.metadata.sorted_tables:
        found = {column["name"]: column["nullable"] for column in inspect(engine).get_columns(table.name)}
        assert found == {column.name: column.nullable for column in table.columns}, table.name
    engine.dispose()


def test_a_batch_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path / 'catalogue.db'}")
    without_spare = Arrival("stored", arrival_of(1, blob="f" * 64, source_digest="e" * 64).instance)
    with pytest.raises(ValueError, match="carries the row"):
        catalogue.record([arrival_of(1), arrival_of(2), without_spare])
    assert catalogue.series() == []
    catalogue.close()


def test_two_runs_at_once_store_each_object_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    SqlCatalogue(url).close()

    def run(_number: int) -> list[str]:
        catalogue = SqlCatalogue(url)
        ended = [catalogue.record([arrival_of(item)])[0].outcome for item in range(1, 41)]
        catalogue.close()
        return ended

    with ThreadPoolExecutor(3) as pool:
        outcomes = [outcome for ended in pool.map(run, range(3)) for outcome in ended]
    assert outcomes.count("stored") == 40
    assert outcomes.count("duplicate") == 80
