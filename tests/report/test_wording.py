import math

import pytest

from tapetum.learn.result import Estimate, Performance
from tapetum.report.wording import (
    THIN,
    feature,
    fraction,
    percent,
    performance_sentence,
    plain,
    quantity,
    recalibration,
    with_interval,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8412, ".84"), (0.998, ">.99"), (1.0, "1.00"), (0.001, "<.01"), (0.0, ".00"), (-0.021, "−.02")],
)
def test_a_share_is_written_without_its_leading_zero_and_never_rounded_up_to_certainty(value: float, text: str) -> None:
    assert fraction(value) == text


def test_a_per_cent_has_no_decimals_and_its_interval_names_the_sign_once() -> None:
    assert with_interval(Estimate(0.854, 0.716, 0.978), percent) == f"85{THIN}% (72 to 98{THIN}%)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9.96e-05, "0.0000996"),
        (1101.0, "1100"),
        (0.0, "0"),
        (-3.14159, "−3.14"),
        (1e-9, "1 × 10^-9"),
        (99999.0, "100000"),
    ],
)
def test_a_number_of_any_size_can_be_read(value: float, text: str) -> None:
    assert quantity(value) == text.replace("-", "−")


def test_a_feature_of_the_only_recipe_is_named_without_it() -> None:
    assert feature("picture/picture_red_mean", ["picture"]) == "red mean"
    assert feature("picture/picture_red_mean", ["picture", "fundus"]) == "picture / red mean"
    assert feature("mean(range_of_motion)", []) == "range of motion (mean)"
    assert feature("dose (mg)", []) == "dose (mg)"


def test_a_recalibration_is_said_in_words() -> None:
    assert recalibration([0.0, 1.0]).startswith("none")
    assert recalibration([-0.2, 0.9]) == "log odds = −0.20 + 0.90 × log odds of the model"


def test_a_slope_keeps_its_zero_because_it_may_exceed_one() -> None:
    assert plain(0.92) == "0.92"


def test_a_figure_that_does_not_exist_is_said_not_to_be_estimable() -> None:
    assert with_interval(Estimate(math.nan, math.nan, math.nan)) == "not estimable" == with_interval(None)
    assert with_interval(Estimate(0.7, math.nan, math.nan)) == ".70 (no interval)"


def test_the_main_sentence_names_the_patients_and_the_interval() -> None:
    people = Performance(98, 49, 30, 0.4, {"roc_auc": Estimate(0.841, 0.749, 0.921)})
    assert performance_sentence(people, unseen=True) == (
        f"On 49 patients that the model had never seen, ROC-AUC was .84 (95{THIN}% interval .75 to .92)."
    )
    assert "of a hospital (East) that" in performance_sentence(people, unseen=True, sites=["East"])
    several = performance_sentence(people, unseen=True, sites=list("ABCDEFG"))
    assert "of 7 hospitals (A, B, C, D, E and 2 more) that the model had never seen" in several
    assert "never seen" not in performance_sentence(people, unseen=False)
    assert "could not be estimated" in performance_sentence(Performance(1, 1, 0, 0.4, {}), unseen=True)
