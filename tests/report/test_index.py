from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

from tapetum.errors import REJECTIONS
from tapetum.learn.result import StudyResult
from tapetum.report import IndexEntry, MontageTile, render_index


def test_the_index_links_each_report_and_says_what_was_refused_and_why(
    simulated: Callable[..., StudyResult], tiles_of: Callable[[StudyResult], list[MontageTile]]
) -> None:
    result = simulated()
    study = {**result.study, "study": {**result.study["study"], "patient_means": "a phantom"}}
    page = render_index(
        [
            IndexEntry(replace(result, study=study), "a/report.html", "simulated"),
            IndexEntry(simulated(test=False), "b/report.html"),
        ],
        intake={"stored": 3, "truncated": 2},
        montage={"OP": tiles_of(result)[:2], "MR": []},
    )
    tree = ET.fromstring(page.split("\n", 1)[1])
    said = "".join(tree.itertext())
    assert 'href="a/report.html"' in page
    assert "b/report.html" in page
    assert REJECTIONS["truncated"] in said
    assert "never seen" in said
    assert "“Patient” stands for a phantom." in said
    assert page.count("<img ") == 2
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_an_empty_index_says_that_there_is_nothing() -> None:
    page = render_index([])
    assert "No study has been run yet." in page
    assert "Nothing was taken in." in page
