from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from tapetum.acquire import TableMapping, clinical
from tapetum.acquire.clinical import Manifest, TableRow, read_table, shifted_date
from tapetum.acquire.mapping import MappedObservation
from tapetum.errors import RejectedInput
from tapetum.protect import Pseudonymiser

NAMES = Pseudonymiser(bytes(range(32)))
MAPPING = TableMapping(
    columns={"patient": "id", "date": "visit"},
    observations=(MappedObservation("age", "age"), MappedObservation("note", "note", kind="text")),
)


def rows_of(text: str | bytes, mapping: TableMapping = MAPPING) -> list[TableRow | RejectedInput]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_table(io.BytesIO(data), mapping, NAMES, "digest"))


def test_a_row_becomes_observations_of_a_pseudonym_at_a_shifted_date() -> None:
    (row,) = rows_of("\ufeffid,visit,age,note\nMRN7734512,2020-03-01,61,well\n")
    assert isinstance(row, TableRow)
    key = NAMES.patient("MRN7734512")
    assert [(item.patient_key, item.value, item.text) for item in row.patient] == [(key, 61, None), (key, None, "well")]
    moved = date.fromisoformat(row.patient[0].effective_at)
    assert 30 <= (date(2020, 3, 1) - moved).days <= 3650
    assert "MRN7734512" not in repr(row.patient)


@pytest.mark.parametrize(
    ("row", "column_or_word"),
    [
        (",2020-01-01,1,x", "patient"),
        ("p1,01.02.2020,1,x", "date"),
        ("p1,0001-01-01,1,x", "date"),
        ("p1,2020-01-01 Jane,1,x", "date"),
        ("p1,2020-13-01,1,x", "date"),
        ("p1,2020-01-01,old,x", "age"),
        ("p1,2020-01-01,inf,x", "age"),
        ("p1,2020-01-01,1_0,x", "age"),
    ],
)
def test_a_bad_row_is_refused_alone_by_number_and_column_and_never_by_value(row: str, column_or_word: str) -> None:
    first, bad, last = rows_of(f"id,visit,age,note\na1,,1,\n{row}\na2,,2,\n")
    assert isinstance(first, TableRow)
    assert isinstance(last, TableRow)
    assert isinstance(bad, RejectedInput)
    assert (bad.code, bad.context["row"]) == ("invalid-row", 3)
    assert column_or_word in str(bad)
    assert not any(value in str(bad) for value in ("old", "01.02", "1_0"))


def test_a_text_that_names_the_patient_is_refused() -> None:
    (row,) = rows_of("id,visit,age,note\nMRN7734512,,61,see 7734512\n")
    assert isinstance(row, RejectedInput)
    assert row.code == "identifier-survived"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("seen 31.12.1961", "identifier-survived"),
        ("seen 1961-12-31", "identifier-survived"),
        ("call 555123", "identifier-survived"),
        ("eye of Quillfeather", "identifier-survived"),
        ("blurred " * 9, "invalid-row"),
    ],
)
def test_a_text_that_could_tell_who_it_is_is_refused_by_row_and_column(text: str, code: str) -> None:
    columns = {**MAPPING.columns, "name": "who"}
    (row,) = rows_of(f"id,who,visit,age,note\np1,Quillfeather,,61,{text}\n", replace(MAPPING, columns=columns))
    assert isinstance(row, RejectedInput)
    assert (row.code, row.context) == (code, {"column": "note", "row": 2})
    assert text.strip() not in str(row)


def test_a_name_serves_to_look_for_it_and_goes_no_further() -> None:
    columns = {**MAPPING.columns, "name": "who"}
    (row,) = rows_of("id,who,visit,age,note\np1,Quillfeather,,61,well\n", replace(MAPPING, columns=columns))
    assert isinstance(row, TableRow)
    assert "Quillfeather" not in repr(row)


def test_another_value_for_the_same_fact_is_refused_and_the_same_value_is_not() -> None:
    first, same, other, later = rows_of(
        "id,visit,age,note\np1,2020-01-01,61,\np1,2020-01-01,61,\np1,2020-01-01,62,\np1,2020-01-01T10:30,62,\n"
    )
    assert isinstance(first, TableRow)
    assert isinstance(same, TableRow)
    assert isinstance(later, TableRow)
    assert isinstance(other, RejectedInput)
    assert (other.code, other.context) == ("invalid-row", {"column": "age", "row": 4})


def test_two_images_of_one_patient_may_differ() -> None:
    item = MappedObservation("grade", "grade", level="image")
    mapping = TableMapping(columns={"patient": "id", "file": "file"}, observations=(item,))
    left, right, again = rows_of("id,file,grade\np1,l.png,1\np1,r.png,2\np1,l.png,3\n", mapping)
    assert isinstance(left, TableRow)
    assert isinstance(right, TableRow)
    assert isinstance(again, RejectedInput)


def test_the_time_of_day_stays_and_midnight_is_none() -> None:
    morning, none = rows_of("id,visit,age,note\np1,2020-01-01 10:30,61,\np1,2020-01-01 00:00:00,62,\n")
    assert isinstance(morning, TableRow)
    assert isinstance(none, TableRow)
    day = none.patient[0].effective_at
    assert len(day) == 10
    assert morning.patient[0].effective_at == f"{day}T10:30:00"


def test_missing_values_make_no_observation() -> None:
    (row,) = rows_of("id,visit,age,note\np1,,NA,\n")
    assert isinstance(row, TableRow)
    assert row.patient == []


@pytest.mark.parametrize("data", ["id,age\np1,1\n", "", b"\xff\xfe\x00bad", "id,visit,age,note\n" + "x" * 200_000])
def test_a_table_that_is_none_is_refused_whole(data: str | bytes) -> None:
    with pytest.raises(RejectedInput) as caught:
        rows_of(data)
    assert caught.value.code == "invalid-row"


def test_short_and_long_rows_are_read_by_their_columns() -> None:
    short, long = rows_of("id,visit,age,note\np1\np2,,5,x,surplus\n")
    assert isinstance(short, TableRow)
    assert isinstance(long, TableRow)
    assert (short.patient, long.patient[0].value) == ([], 5)


def test_dates_keep_their_intervals_and_an_empty_one_stays_empty() -> None:
    first, second = (date.fromisoformat(shifted_date(day, "P-1", NAMES)) for day in ("20200101", "2020-01-31T10:00"))
    assert (second - first).days == 30
    assert shifted_date("", "P-1", NAMES) == ""


def test_a_file_is_found_by_any_end_of_its_path() -> None:
    manifest = Manifest()
    row = TableRow({"patient": "p1", "file": "a/1.png"}, [], [])
    assert manifest.add(row)
    assert manifest.find("in/a/1.png") is row
    assert manifest.find("in/b/1.png") is None


def test_two_rows_about_one_file_add_up_unless_they_contradict_each_other() -> None:
    manifest = Manifest()
    assert manifest.add(TableRow({"patient": "p1", "file": "1.png"}, [], []))
    assert manifest.add(TableRow({"patient": "p1", "file": "1.png"}, [], []))
    assert not manifest.add(TableRow({"patient": "p2", "file": "1.png"}, [], []))


GENOTYPES = TableMapping(
    columns={"patient": "id"}, observations=(MappedObservation("rs7903146", "rs7903146", kind="genotype"),)
)


@pytest.mark.parametrize(
    ("cell", "count"),
    [("0/0", 0), ("0/1", 1), ("1|0", 1), ("1/1", 2), ("1/2", 2), ("0", 0), ("2", 2), ("0.97", 0.97)],
)
def test_a_genotype_is_the_number_of_alternate_alleles(cell: str, count: float) -> None:
    (row,) = rows_of(f"id,rs7903146\np1,{cell}\n", GENOTYPES)
    assert isinstance(row, TableRow)
    assert [(item.name, item.value) for item in row.patient] == [("rs7903146", count)]


@pytest.mark.parametrize("cell", ["./.", ".|.", ".", "./1", ""])
def test_a_genotype_that_was_not_called_is_missing(cell: str) -> None:
    (row,) = rows_of(f"id,rs7903146\np1,{cell}\n", GENOTYPES)
    assert isinstance(row, TableRow)
    assert row.patient == []


@pytest.mark.parametrize("cell", ["3", "-1", "A/G", "0/1/1", "nine"])
def test_what_is_no_genotype_is_refused(cell: str) -> None:
    (row,) = rows_of(f"id,rs7903146\np1,{cell}\n", GENOTYPES)
    assert isinstance(row, RejectedInput)
    assert row.code == "invalid-row"


def test_a_long_genotype_table_names_the_variant_in_each_row() -> None:
    columns = {"patient": "id", "variant": "ID"}
    mapping = TableMapping(columns=columns, observations=(MappedObservation("GT", "GT", kind="genotype"),))
    first, second, other, unnamed, bad = rows_of(
        "id,ID,GT\np1,rs7903146,0/1\np1,10:112998590:C:T,1/1\np1,rs7903146,1/1\np1,,0/0\np1,a variant,0/0\n", mapping
    )
    assert [
        (item.name, item.value) for row in (first, second) if isinstance(row, TableRow) for item in row.patient
    ] == [("rs7903146", 1), ("10:112998590:C:T", 2)]
    assert isinstance(other, RejectedInput)
    assert other.context["column"] == "ID"
    assert isinstance(unnamed, RejectedInput)
    assert isinstance(bad, RejectedInput)


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def test_parquet_is_read_as_the_same_table_as_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinical, "PARQUET_ROWS", 2)
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3],
            "visit": [date(2020, 3, 1), None, date(2020, 3, 2)],
            "age": [61, None, 63.5],
            "note": ["well", None, " ill "],
        },
        strict=False,
    )
    from_csv = rows_of("id,visit,age,note\n1,2020-03-01,61,well\n2,,,\n3,2020-03-02,63.5,ill\n")
    assert rows_of(parquet(frame)) == from_csv


def test_a_parquet_that_is_damaged_or_lacks_a_column_is_refused_whole() -> None:
    whole = parquet(pl.DataFrame({"id": ["p1"], "age": [1]}))
    for data in (whole, whole[:40], b"PAR1" + b"\0" * 99 + b"PAR1"):
        with pytest.raises(RejectedInput) as caught:
            rows_of(data)
        assert caught.value.code == "invalid-row"
