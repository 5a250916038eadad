from collections.abc import Callable
from dataclasses import replace

import pytest

from tapetum.learn.result import Estimate, StudyResult
from tapetum.report.plates import NAMES, plates


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_its_words_and_its_numbers(simulated: Callable[..., StudyResult], name: str) -> None:
    plate = plates(simulated())[name]
    assert plate.alt.endswith(".")
    assert plate.numbers.height > 0


def test_features_that_lose_nothing_measurable_are_no_figure(simulated: Callable[..., StudyResult]) -> None:
    plain = simulated()
    nothing = [replace(item, loss=Estimate(2e-5, 0.0, 1e-4)) for item in plain.importance]
    assert "features" not in plates(replace(plain, importance=nothing), names=["features"])
    some = plates(replace(plain, importance=[plain.importance[0], *nothing[1:]]), names=["features"])["features"]
    assert "red lesion area" in some.svg
    assert "hba1c" not in some.svg


def test_a_figure_without_numbers_is_not_drawn() -> None:
    assert plates(StudyResult({}, [], [], [], "forest", "", None, [], [], {})) == {}
