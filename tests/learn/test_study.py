from pathlib import Path
from typing import Any

import pytest

from tapetum.errors import InvalidStudy, NotFound
from tapetum.learn.study import parse_study, read_study

SMALL: dict[str, dict[str, Any]] = {
    "study": {"name": "A", "question": "?"},
    "outcome": {"name": "sick", "observation": "grade", "positive": [2, "ADED"]},
    "features": {"recipes": ["fundus"]},
}


def _with(table: str, **keys: Any) -> dict[str, Any]:
    return SMALL | {table: SMALL.get(table, {}) | keys}


def test_a_study_file_needs_only_question_outcome_and_features(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        '[study]\nname = "A"\nquestion = "?"\n[outcome]\nname = "sick"\nobservation = "grade"\nat_least = 2\n'
        '[features]\nobservations = ["age"]\n[cohort.where]\nbody_part = "EYE"\n'
    )
    study = read_study(path)
    assert study.outcome.at_least == 2.0
    assert study.cohort.where == {"body_part": "EYE"}
    assert study.validation.threshold == "sensitivity >= 0.90"


def test_numbers_in_a_list_of_values_are_words() -> None:
    assert parse_study(SMALL).outcome.positive == ("2", "ADED")


def test_a_study_comes_back_from_its_json() -> None:
    study = parse_study(_with("validation", threshold=0.3))
    tree = {table: {key: v for key, v in keys.items() if v is not None} for table, keys in study.to_json().items()}
    assert parse_study(tree) == study


@pytest.mark.parametrize(
    ("table", "keys", "told"),
    [
        ("study", {"sede": 1}, "did you mean seed"),
        ("study", {"seed": "one"}, "a whole number"),
        ("study", {"seed": True}, "a whole number"),
        ("study", {"seed": -1}, "seed"),
        ("study", {"name": " "}, "name"),
        ("cohort", {"unit": "patients"}, 'did you mean "patient"'),
        ("cohort", {"aggregate": []}, "aggregate"),
        ("cohort", {"aggregate": ["average"]}, "aggregate"),
        ("cohort", {"where": "EYE"}, "where"),
        ("outcome", {"at_least": 2}, "exactly one"),
        ("outcome", {"negative": ["2"]}, "positive and negative"),
        ("features", {"max_missing": 1.0}, "max_missing"),
        ("features", {"recipes": []}, "at least one"),
        ("features", {"recipes": "fundus"}, "a list"),
        ("features", {"observations": ["grade"]}, "the outcome"),
        ("models", {"candidates": ["forrest"]}, 'did you mean "forest"'),
        ("models", {"candidates": ["svm", "svm"]}, "once"),
        ("models", {"candidates": ["svm", "ensemble"]}, "ensemble"),
        ("models", {"budget": 0}, "budget"),
        ("validation", {"outer_folds": 1}, "outer_folds"),
        ("validation", {"bootstrap": 10}, "bootstrap"),
        ("validation", {"test_fraction": 0.95}, "test_fraction"),
        ("validation", {"threshold": "sensitivity > 0.9"}, "threshold"),
        ("validation", {"threshold": 1.5}, "threshold"),
        ("validation", {"threshold": []}, "a number or a text"),
        ("validation", {"final_fit": "all"}, "final_fit"),
    ],
)
def test_an_impossible_study_is_refused_with_table_key_and_hint(table: str, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        parse_study(_with(table, **keys))
    assert f"[{table}]" in str(caught.value)
    assert told in str(caught.value)
    assert caught.value.hint


def test_an_unknown_table_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidStudy, match=r"did you mean \[validation\]"):
        parse_study({**SMALL, "validaton": {}})


def test_a_missing_table_or_key_is_named() -> None:
    with pytest.raises(InvalidStudy, match=r"\[features\] is missing"):
        parse_study({name: SMALL[name] for name in ("study", "outcome")})
    with pytest.raises(InvalidStudy, match=r"\[study\] lacks 'question'"):
        parse_study({**SMALL, "study": {"name": "A"}})
    with pytest.raises(InvalidStudy, match="is not a table"):
        parse_study({**SMALL, "study": 1})


def test_a_file_that_is_not_there_or_not_toml_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_study(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text("[study\n")
    with pytest.raises(InvalidStudy, match="not a TOML file"):
        read_study(tmp_path / "study.toml")


def test_a_folder_instead_of_a_study_file_is_refused_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="cannot be read"):
        read_study(tmp_path)
