from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tapetum.errors import InvalidQuery
from tapetum.flow import Workspace
from tapetum.flow.searching import fulfilling, question, snake
from tapetum.model import Observation
from tapetum.testing.queries import hospital


@pytest.fixture
def filled(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "hospital")
    workspace.catalogue.record(hospital())
    return workspace


def series_of(table: pl.DataFrame) -> list[str]:
    return [uid.rpartition(".")[2] for uid in table["series_instance_uid"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({}, ["102", "103", "100", "101"]),
        ({"modality": "ct"}, ["102", "100"]),
        ({"modality": "CT", "date": "2019-2020"}, ["100"]),
        ({"date": "2020-02-29"}, ["103"]),
        ({"date": "2019-01-01/2020-02-29"}, ["103", "100", "101"]),
        ({"patient": "P-B"}, ["103"]),
        ({"name": "mull"}, ["103"]),
        ({"body_part": "chest"}, ["102", "100"]),
        ({"site": "S-2"}, ["103"]),
        ({"text": "LUNG thorax"}, ["100", "101"]),
        ({"scanner": "nobody's"}, []),
    ],
)
def test_series_are_searched_as_people_speak_of_them(
    filled: Workspace, words: dict[str, str], found: list[str]
) -> None:
    assert series_of(filled.search(**words)) == found


def test_studies_and_patients_are_searched_too(filled: Workspace) -> None:
    studies = filled.search("study", modality="SEG")
    assert studies["modalities"].to_list() == ["CT\\SEG"]
    assert studies["series"].to_list() == [2]
    assert filled.search("patient", date="2020")["patient_key"].to_list() == ["P-B"]


def test_a_page_is_part_of_the_whole_list(filled: Workspace) -> None:
    assert series_of(filled.search(limit=2, offset=1)) == ["103", "100"]


def test_a_table_without_rows_has_its_columns(filled: Workspace) -> None:
    assert {"patient_key", "series_instance_uid", "instances"} <= set(filled.search(modality="XA").columns)


def test_quality_keeps_the_series_that_fulfil_the_condition(filled: Workspace) -> None:
    noisy = [
        Observation("P-A", "quality_noise", value=value, series_instance_uid=f"2.25.{uid}", method="quality/1")
        for uid, value in ((100, 30.0), (102, 5.0), (103, 10.0))
    ]
    filled.observation_table.append(noisy)
    assert series_of(filled.search(quality="noise<=10")) == ["102", "103"]
    assert series_of(filled.search(quality="noise <= 10", limit=1, offset=1)) == ["103"]
    assert series_of(filled.search(quality="noise>10", modality="CT")) == ["100"]


@pytest.mark.parametrize("quality", ["good", "noise", "noise<low", "noise<1.2.3"])
def test_what_is_no_condition_on_quality_is_refused(quality: str) -> None:
    with pytest.raises(InvalidQuery):
        fulfilling(pl.DataFrame({"name": [], "value": [], "series_instance_uid": []}), quality)


def test_quality_is_of_series_only(filled: Workspace) -> None:
    with pytest.raises(InvalidQuery):
        filled.search("study", quality="noise<1")


def test_an_empty_word_asks_nothing() -> None:
    assert question("series", modality="").match == {}


def test_keywords_become_columns_in_snake_case() -> None:
    assert [snake(word) for word in ("BodyPartExamined", "SOPClassUID")] == ["body_part_examined", "sop_class_uid"]


def test_the_cohort_table_holds_everybody(filled: Workspace) -> None:
    table = filled.cohort_table().filter(modality="CT").select("patient_key", "study_date").collect()
    assert table["patient_key"].to_list() == ["P-A", "P-A"]
