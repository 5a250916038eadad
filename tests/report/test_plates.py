from collections.abc import Callable

import pytest

from tapetum.learn.result import StudyResult
from tapetum.report.plates import NAMES, plates


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_its_words_and_its_numbers(simulated: Callable[..., StudyResult], name: str) -> None:
    plate = plates(simulated())[name]
    assert plate.alt.endswith(".")
    assert plate.numbers.height > 0


def test_a_figure_without_numbers_is_not_drawn() -> None:
    assert plates(StudyResult({}, [], [], [], "forest", "", None, [], [], {})) == {}
