from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.errors import InvalidStudy
from tapetum.learn.features import MAX_LEVELS, feature_table
from tapetum.learn.study import FeatureRule

Facts = Callable[[list[dict[str, Any]]], pl.DataFrame]

IMAGES = pl.DataFrame({"unit": ["1", "2"], "patient_key": ["p", "p"], "series_instance_uid": ["1", "2"]})
ONE = IMAGES.with_columns(unit=pl.lit("p"))


def _image(series: str, name: str, value: float, **more: Any) -> dict[str, Any]:
    row = {"patient_key": "p", "series_instance_uid": series, "name": name, "value": value, "method": "fundus/1"}
    return row | more


def _person(name: str, **more: Any) -> dict[str, Any]:
    return {"patient_key": "p", "name": name} | more


def _named(found: tuple[Any, np.ndarray]) -> dict[str, list[float]]:
    return {column.name: found[1][:, j].tolist() for j, column in enumerate(found[0])}


def test_a_recipe_takes_its_own_measurements_and_no_others(facts: Facts) -> None:
    table = facts([_image("1", "f", 1.0), _image("2", "f", 2.0), _image("1", "g", 3.0, method="fundus2/1")])
    assert _named(feature_table(table, IMAGES, FeatureRule(recipes=("fundus",)))) == {"fundus/f": [1.0, 2.0]}


def test_a_region_is_part_of_the_name(facts: Facts) -> None:
    table = facts([_image("1", "f", 1.0, region="lesion"), _image("2", "f", 2.0, region="lesion")])
    assert "fundus/lesion/f" in _named(feature_table(table, IMAGES, FeatureRule(recipes=("fundus",))))


def test_a_fact_of_the_patient_goes_to_every_image_unless_the_image_has_its_own(facts: Facts) -> None:
    own = {"patient_key": "p", "series_instance_uid": "2", "name": "age", "value": 61.0}
    table = facts([_person("age", value=60.0), own])
    assert _named(feature_table(table, IMAGES, FeatureRule(observations=("age",)))) == {"age": [60.0, 61.0]}


def test_of_repeated_facts_the_latest_counts(facts: Facts) -> None:
    table = facts(
        [
            _person("hba1c", value=9.0, effective_at="2021-01-01"),
            _person("hba1c", value=7.0, effective_at="2022-01-01"),
            _person("hba1c", value=8.0, effective_at="2020-01-01"),
        ]
    )
    assert _named(feature_table(table, ONE, FeatureRule(observations=("hba1c",)))) == {"hba1c": [7.0]}


def test_images_of_a_patient_become_mean_and_range(facts: Facts) -> None:
    table = facts([_image("1", "f", 1.0), _image("2", "f", 4.0)])
    found = _named(feature_table(table, ONE, FeatureRule(recipes=("fundus",)), aggregate=("mean", "range")))
    assert found == {"mean(fundus/f)": [2.5], "range(fundus/f)": [3.0]}


def test_a_word_becomes_one_column_per_level(facts: Facts) -> None:
    members = pl.DataFrame({"unit": ["p", "q", "r"], "patient_key": ["p", "q", "r"], "series_instance_uid": [""] * 3})
    table = facts([_person("sex", text="F"), {"patient_key": "q", "name": "sex", "text": "M"}])
    found = feature_table(table, members, FeatureRule(observations=("sex",)))
    assert [column.name for column in found[0]] == ["sex=F", "sex=M"]
    np.testing.assert_array_equal(found[1], [[1, 0], [0, 1], [np.nan, np.nan]])


def test_a_remark_is_no_category(facts: Facts) -> None:
    rows = [{"patient_key": f"p{i}", "name": "remark", "text": f"word {i}"} for i in range(MAX_LEVELS + 1)]
    with pytest.raises(InvalidStudy, match="remark"):
        feature_table(facts(rows), ONE, FeatureRule(observations=("remark",)))


def test_excluded_names_stay_out(facts: Facts) -> None:
    table = facts([_image("1", "area", 1.0), _image("1", "f", 1.0)])
    rule = FeatureRule(recipes=("fundus",), exclude=("are*",))
    assert list(_named(feature_table(table, IMAGES, rule))) == ["fundus/f"]


def test_infinite_is_missing(facts: Facts) -> None:
    table = facts([_image("1", "f", float("inf")), _image("2", "f", 2.0)])
    np.testing.assert_array_equal(feature_table(table, IMAGES, FeatureRule(recipes=("fundus",)))[1], [[np.nan], [2.0]])


def test_a_new_person_gets_exactly_the_columns_of_the_model(facts: Facts) -> None:
    rule = FeatureRule(recipes=("fundus",), observations=("sex",))
    seen = facts([_image("1", "f", 1.0), _image("1", "g", 1.0), _person("sex", text="F")])
    columns, _ = feature_table(seen, IMAGES, rule)
    new = facts([_image("1", "f", 5.0), _image("1", "new", 6.0), _person("sex", text="M")])
    again, x = feature_table(new, IMAGES[:1], rule, columns=columns)
    assert again == columns
    assert [column.name for column in columns] == ["fundus/f", "fundus/g", "sex=F"]
    np.testing.assert_array_equal(x, [[5.0, np.nan, 0.0]])
