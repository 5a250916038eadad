from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError

from tapetum.errors import TapetumError
from tapetum.model import Query
from tapetum.store import SqlCatalogue, database, schema
from tapetum.store.database import Database

CT = {
    "Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "StudyDate": "20200101", "StudyDescription": "Thorax",
    "SeriesDescription": "Lung", "BodyPartExamined": "CHEST", "PatientSex": "F", "PatientAge": "050Y",
    "Manufacturer": "Virtual", "ManufacturerModelName": "One", "FrameOfReferenceUID": "2.25.77",
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalogue.db'}"
    return str(request.getfixturevalue("postgres").new_database())


def test_the_migrations_make_the_tables_that_the_code_names(url: str) -> None:
    catalogue = SqlCatalogue(url)
    looked = inspect(catalogue.database.engine)
    for table in schema.metadata.sorted_tables:
        found = {column["name"]: column["nullable"] for column in looked.get_columns(table.name)}
        assert found == {column.name: column.nullable for column in table.columns}, table.name
        indexes = {one["name"]: one["column_names"] for one in looked.get_indexes(table.name)}
        for index in table.indexes:
            names = [getattr(one, "element", one).name for one in index.expressions]
            assert indexes[str(index.name)] == names, index.name
    catalogue.close()


def test_a_first_catalogue_is_carried_over_with_all_it_held(tmp_path: Path) -> None:
    place = tmp_path / "catalogue.db"
    with sqlite3.connect(place) as old:
        old.executescript((Path(__file__).parent / "catalogue_0001.sql").read_text(encoding="utf-8"))
        shared = ("2.25.11", "P-A", "CT", "image", "S-1", "dicom", 2, json.dumps(CT))
        old.execute("INSERT INTO series VALUES ('2.25.100', ?, ?, ?, ?, ?, ?, ?, ?)", shared)
        mask = ("2.25.11", "P-A", "SEG", "mask", "", "dicom", 1, json.dumps({"Modality": "SEG"}))
        old.execute("INSERT INTO series VALUES ('2.25.101', ?, ?, ?, ?, ?, ?, ?, ?)", mask)
        for number, series in ((1, "2.25.100"), (2, "2.25.100"), (3, "2.25.101")):
            said = json.dumps({"InstanceNumber": f"{number}", "pixel_digest": f"pixels {number}"})
            row = (f"2.25.{number}", series, f"blob {number}", f"digest {number}", 7, said)
            old.execute("INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?)", row)
        old.execute("INSERT INTO rejected VALUES ('a', 'truncated', 'truncated', x'00', 3)")
    old.close()

    catalogue = SqlCatalogue(f"sqlite:///{place}")
    image, _ = catalogue.series()
    assert (image.attributes, image.site, image.instances) == (CT, "S-1", 2)
    first, second = catalogue.instances("2.25.100")
    assert (first.blob, first.attributes["pixel_digest"]) == ("blob 1", "pixels 1")
    assert second.attributes["InstanceNumber"] == "2"
    assert catalogue.known(["digest 3", "digest 4"]) == {"digest 3"}
    (study,) = catalogue.find(Query("study", {"PatientSex": "F", "StudyDate": "2020"}, text="lung"))
    assert (study["ModalitiesInStudy"], study["NumberOfStudyRelatedInstances"]) == (("CT", "SEG"), 3)
    assert [(row.code, row.blob) for row in catalogue.rejected()] == [("truncated", "")]
    catalogue.close()


def test_what_is_committed_in_sqlite_is_synced(tmp_path: Path) -> None:
    opened = Database(f"sqlite:///{tmp_path / 'catalogue.db'}")
    with opened.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    opened.close()


class Refused(Exception):
    """What a driver raises; PostgreSQL's code says why."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize("code", ["40001", "40P01", "57P01", "08006"])
def test_a_transaction_that_may_pass_the_next_time_is_repeated(
    postgres: Any, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 5.0)
    opened, tries = Database(postgres.new_database()), []

    def work(connection: Any) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("INSERT", {}, Refused(code))
        return int(connection.execute(text("SELECT 7")).scalar_one())

    assert opened.write(work) == 7
    assert len(tries) == 3
    opened.close()


def test_a_transaction_that_fails_for_another_reason_is_not_repeated(postgres: Any) -> None:
    opened, tries = Database(postgres.new_database()), []

    def work(_connection: Any) -> None:
        tries.append(1)
        raise IntegrityError("INSERT", {}, Refused("23502"))

    with pytest.raises(IntegrityError):
        opened.write(work)
    assert len(tries) == 1
    opened.close()


def test_a_server_that_stays_away_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(TapetumError, match="database"):
        Database(f"postgresql://tapetum@/nothing?host={tmp_path}")


def test_a_new_database_is_told_by_its_first_migration(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'catalogue.db'}").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'catalogue.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == database.HEAD
    engine.dispose()
