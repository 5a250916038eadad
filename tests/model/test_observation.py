from __future__ import annotations

import math

import pytest

from tapetum.model import Code, Feature, Observation


def test_an_observation_is_a_number_or_a_word() -> None:
    assert Observation("P-1", "hba1c", value=6.5, unit="%").text is None
    assert Observation("P-1", "icdr_grade", text="2").value is None


def test_zero_and_an_empty_word_are_observations_too() -> None:
    assert Observation("P-1", "pack_years", value=0.0).value == 0
    assert Observation("P-1", "comment", text="").text == ""


def test_an_observation_with_neither_number_nor_word_is_refused() -> None:
    with pytest.raises(ValueError, match="not both or neither"):
        Observation("P-1", "hba1c")


def test_an_observation_with_both_is_refused() -> None:
    with pytest.raises(ValueError, match="not both or neither"):
        Observation("P-1", "hba1c", value=6.5, text="6.5")


def test_a_feature_that_does_not_exist_for_an_image_is_nan_and_keeps_its_name() -> None:
    feature = Feature("stat_skewness", math.nan, Code("KE2A", "IBSI"))
    assert feature.name == "stat_skewness"
    assert math.isnan(feature.value)
