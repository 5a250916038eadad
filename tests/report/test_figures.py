import math
from collections.abc import Callable

from matplotlib.figure import Figure

from tapetum.learn.result import Estimate, StudyResult
from tapetum.report import figures
from tapetum.report.figures import Part, Row


def test_lines_differ_in_style_and_not_only_in_colour(simulated: Callable[..., StudyResult]) -> None:
    result = simulated()
    assert result.test is not None
    ax = Figure().subplots()
    people = [Part("Test set", result.test), Part("Cross-validation", result.candidates[0].performance)]
    assert figures.roc(people, ax=ax) is ax
    drawn = [line for line in ax.get_lines() if str(line.get_label()).startswith(("Test", "Cross"))]
    assert drawn[0].get_linestyle() != drawn[1].get_linestyle()
    assert [[x, y] for x, y in zip(*drawn[0].get_data(), strict=True)] == result.test.roc


def test_an_estimate_that_does_not_exist_is_written_and_not_drawn() -> None:
    ax = Figure().subplots()
    figures.forest([Row("A", Estimate(math.nan, 0.0, 1.0))], reference=0.5, xlabel="ROC-AUC", ax=ax)
    assert [text.get_text() for text in ax.texts] == ["not estimable"]
    assert len(ax.get_lines()) == 1


def test_groups_of_sites_have_headings_and_markers_of_their_own() -> None:
    ax = Figure().subplots()
    rows = [Row("Test set", None), Row("A", Estimate(0.8, 0.7, 0.9)), Row("B", Estimate(0.8, 0.7, 0.9), place=1)]
    figures.forest(rows, reference=0.5, xlabel="ROC-AUC", ax=ax)
    assert [label.get_fontweight() for label in ax.get_yticklabels()] == ["bold", "normal", "normal"]
    assert [line.get_marker() for line in ax.get_lines() if line.get_marker() != "None"] == ["s", "o"]
