from __future__ import annotations

from pathlib import Path

import pytest

from tapetum.model import Code, Observation
from tapetum.store import OBSERVATION_SCHEMA, ObservationTable


@pytest.fixture
def table(tmp_path: Path) -> ObservationTable:
    return ObservationTable(tmp_path / "observations")


def fact(value: float, name: str = "age", **more: str) -> Observation:
    return Observation("P-1", name, value=value, **more)  # type: ignore[arg-type]


def test_an_empty_table_has_its_columns(table: ObservationTable) -> None:
    assert table.append([]) == 0
    assert table.read().schema == OBSERVATION_SCHEMA


def test_every_field_comes_back(table: ObservationTable) -> None:
    table.append(
        [Observation("P-1", "smoker", text="yes", code=Code("72166-2", "LN"), unit="1", effective_at="2020-01-02")]
    )
    row = table.read().row(0, named=True)
    assert (row["text"], row["value"], row["code"], row["scheme"]) == ("yes", None, "72166-2", "LN")
    assert row["effective_at"] == "2020-01-02"


def test_the_last_written_value_of_a_key_counts(table: ObservationTable) -> None:
    table.append([fact(60), fact(61)])
    table.append([fact(62)])
    assert table.read()["value"].to_list() == [62]


def test_a_value_that_was_changed_and_changed_back_is_the_first_one_again(table: ObservationTable) -> None:
    for value in (60, 61, 60):
        table.append([fact(value)])
    assert table.read()["value"].to_list() == [60]


def test_the_same_batches_twice_change_no_file(table: ObservationTable, tmp_path: Path) -> None:
    batches = [[fact(60)], [fact(1.5, "crp")], [fact(2.5, "crp", effective_at="2020-01-01")]]
    for batch in batches:
        table.append(batch)
    before = {place: place.read_bytes() for place in tmp_path.rglob("*") if place.is_file()}
    for batch in batches:
        table.append(batch)
    assert {place: place.read_bytes() for place in tmp_path.rglob("*") if place.is_file()} == before


def test_facts_of_other_dates_regions_or_methods_stand_beside_each_other(table: ObservationTable) -> None:
    table.append([fact(1), fact(2, effective_at="2020-01-01"), fact(3, region="GTV"), fact(4, method="m/1")])
    assert sorted(table.read()["value"]) == [1, 2, 3, 4]


def test_what_is_done_is_told_by_method(table: ObservationTable) -> None:
    table.append([fact(1, series_instance_uid="2.25.1", method="m/1", source="a"), fact(1, method="m/2")])
    assert table.done("m/1") == {("2.25.1", "a")}
    assert table.done("m/3") == set()


def test_a_half_written_part_is_not_read(table: ObservationTable, tmp_path: Path) -> None:
    table.append([fact(1)])
    (tmp_path / "observations" / "00000001-dead.new").write_bytes(b"PAR1")
    assert table.read().height == 1


def test_what_was_computed_from_older_slices_counts_no_longer(table: ObservationTable) -> None:
    whole = {"series_instance_uid": "2.25.1", "method": "m/1"}
    table.append([fact(1, source="ten slices", **whole), fact(2, source="ten slices", region="GTV", **whole)])
    table.append([fact(3, source="all slices", **whole)])
    assert table.read()["value"].to_list() == [3]
    assert table.done("m/1") == {("2.25.1", "all slices")}


def test_what_was_given_comes_back_by_the_beginning_of_its_method(table: ObservationTable) -> None:
    given = [
        Observation("P-1", "a", value=1, code=Code("1", "LN"), method="fhir/1", source="s"),
        Observation("P-1", "b", text="x", method="fhir/2"),
    ]
    table.append([*given, fact(5, method="table")])
    assert list(table.observed("fhir/")) == given
