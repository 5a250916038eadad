import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
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


def test_the_decision_curve_stays_inside_its_axes_and_its_legend_outside(simulated: Callable[..., StudyResult]) -> None:
    result = simulated()
    assert result.test is not None
    for rows in (result.test.decision, [[0.1, 0.2, 0.1], [0.5, -0.15, -0.5], [0.9, -3.0, -8.0]]):
        figure = Figure()
        ax = figures.decision(Part("Test set", replace(result.test, decision=rows)), ax=figure.subplots())
        model = next(line for line in ax.get_lines() if line.get_label() == "use the model")
        x, y = (np.asarray(values, float) for values in model.get_data())
        shown = y[x < ax.get_xlim()[1]]
        assert len(shown) >= 2
        assert ax.get_ylim()[0] <= shown.min() <= shown.max() <= ax.get_ylim()[1]
        assert ax.get_xlim()[1] > result.test.threshold
        legend = ax.get_legend()
        assert legend is not None
        figure.draw_without_rendering()
        assert legend.get_window_extent().y0 >= ax.get_window_extent().y1 - 1


def test_groups_of_sites_have_headings_and_markers_of_their_own() -> None:
    ax = Figure().subplots()
    rows = [Row("Test set", None), Row("A", Estimate(0.8, 0.7, 0.9)), Row("B", Estimate(0.8, 0.7, 0.9), place=1)]
    figures.forest(rows, reference=0.5, xlabel="ROC-AUC", ax=ax)
    assert [label.get_fontweight() for label in ax.get_yticklabels()] == ["bold", "normal", "normal"]
    assert [line.get_marker() for line in ax.get_lines() if line.get_marker() != "None"] == ["s", "o"]
