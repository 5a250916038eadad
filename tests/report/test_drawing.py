from collections.abc import Callable

from tapetum.learn.result import StudyResult
from tapetum.report import drawing
from tapetum.report.plates import plates


def test_text_stays_text_and_follows_the_colours_of_the_page(simulated: Callable[..., StudyResult]) -> None:
    plate = plates(simulated())["roc"]
    assert "Sensitivity</text>" in plate.svg
    assert not any(colour in plate.inline for colour in drawing.VARIABLES)
    assert "var(--series-1)" in plate.inline
    assert "dc:date" not in plate.svg


def test_two_figures_of_one_page_share_no_id() -> None:
    document = (
        '<?xml version="1.0"?>\n<svg width="1pt"><g id="a"/><use xlink:href="#a"/><path clip-path="url(#a)"/></svg>'
    )
    inside = drawing.inline(document, name="roc", alt='more than "half"')
    assert inside.count("roc-a") == 3
    assert 'aria-label="more than &quot;half&quot;"' in inside
    assert "width=" not in inside
