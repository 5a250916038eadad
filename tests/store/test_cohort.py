from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tapetum.store import SqlCatalogue
from tapetum.store.cohort import COHORT_SCHEMA, CohortTable
from tapetum.testing.contracts import arrival_of
from tapetum.testing.queries import hospital


@pytest.fixture(params=["sqlite", "postgres"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalogue]:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    made = SqlCatalogue(url)
    yield made
    made.close()


@pytest.fixture
def mirror(catalogue: SqlCatalogue, tmp_path: Path) -> CohortTable:
    return CohortTable(tmp_path / "cohort", catalogue.database)


def test_an_empty_catalogue_has_an_empty_table_with_its_columns(mirror: CohortTable) -> None:
    assert mirror.scan().collect().schema == COHORT_SCHEMA


def test_every_series_is_a_row_with_what_its_study_and_patient_say(
    catalogue: SqlCatalogue, mirror: CohortTable
) -> None:
    catalogue.record(hospital())
    table = mirror.scan().collect()
    assert table.schema == COHORT_SCHEMA
    rows = {row["series_instance_uid"]: row for row in table.iter_rows(named=True)}
    assert len(rows) == table.height == 4
    row = rows["2.25.100"]
    assert (row["patient_key"], row["sex"], row["birth_date"]) == ("P-A", "F", date(1950, 6, 7))
    assert (row["modality"], row["body_part"], row["study_date"]) == ("CT", "CHEST", date(2019, 4, 30))
    assert (row["study_description"], row["instances"]) == ("CT Thorax low dose", 3)
    assert rows["2.25.103"]["birth_date"] is None


def test_new_series_and_new_instances_are_seen_and_old_parts_are_not_written_again(
    catalogue: SqlCatalogue, mirror: CohortTable, tmp_path: Path
) -> None:
    catalogue.record(hospital()[:2])
    assert mirror.scan().select("instances").collect().rows() == [(2,)]
    (part,) = (tmp_path / "cohort").glob("series-*")
    written = part.stat().st_mtime_ns
    catalogue.record(hospital())
    assert mirror.scan().select("instances").sum().collect().item() == 6
    assert mirror.scan().select(pl.len()).collect().item() == 4
    assert part.stat().st_mtime_ns == written


def test_a_mirror_of_another_catalogue_is_made_again(
    catalogue: SqlCatalogue, mirror: CohortTable, tmp_path: Path
) -> None:
    catalogue.record(hospital())
    mirror.refresh()
    other = SqlCatalogue(f"sqlite:///{tmp_path / 'other.db'}")
    other.record([arrival_of(number, series=f"2.25.{500 + number}") for number in range(4)])
    table = CohortTable(tmp_path / "cohort", other.database).scan().collect()
    assert sorted(table["series_instance_uid"]) == [f"2.25.{number}" for number in range(500, 504)]
    other.close()
