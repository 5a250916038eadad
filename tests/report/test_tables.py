from collections.abc import Callable

import polars as pl

from tapetum.learn.result import StudyResult
from tapetum.report.tables import (
    characteristic_rows,
    characteristics_table,
    intake_rows,
    quality_rows,
    shortest_unique,
)
from tapetum.report.wording import THIN


def test_numbers_are_summarised_and_names_of_single_images_are_left_out() -> None:
    table = pl.DataFrame({"series": ["a", "b", "c"], "noise": [1.0, 3.0, float("nan")], "eye": ["L", "L", "R"]})
    rows = {row[0]: row[1:] for row in quality_rows(table)}
    assert set(rows) == {"noise", "eye"}
    assert rows["noise"] == ("2", "1.1 to 2.9", "1 to 3", "1")
    assert rows["eye"][1] == "L 2, R 1"


def test_both_sets_are_described_side_by_side_in_numbers_that_can_be_read(
    simulated: Callable[..., StudyResult],
) -> None:
    result = simulated()
    rows = {row.name: row for row in characteristic_rows(result, most=12)}
    assert rows["age_years"].development == "61.5 (54 to 70); 2 missing"
    assert rows["age_years"].difference == "0.20"
    assert rows["sex"].development.replace(THIN, " ") == "F 81 (54 %), M 69 (46 %)"
    assert rows["vessel_density"].development == "0.0000996 (0.00008 to 0.00012)"
    assert [row.name for row in characteristic_rows(result, most=1)] == ["age_years"]
    table = characteristics_table(result)
    assert table.filter(pl.col("word") == "F")["count"].to_list() == [81]
    assert table.filter(pl.col("characteristic") == "age_years")["set"].to_list() == ["development", "test"]


def test_a_measure_without_any_value_is_said_to_have_none() -> None:
    assert quality_rows(pl.DataFrame({"noise": [float("nan")] * 2}))[0][1] == "none"


def test_the_most_frequent_reason_of_refusal_stands_first_with_its_hint() -> None:
    rows = intake_rows({"truncated": 1, "stored": 5, "picture-bomb": 3})
    assert [row.code for row in rows] == ["stored", "picture-bomb", "truncated"]
    assert "transfer it again" in rows[2].hint


def test_shortened_keys_still_tell_patients_apart() -> None:
    short = shortest_unique(["abcdefghij1", "abcdefghij2"])
    assert len(set(short.values())) == 2
