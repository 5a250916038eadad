import csv
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from tapetum.learn.result import Candidate, Estimate, Performance, StudyResult
from tapetum.report import MontageTile, render, write
from tapetum.report.wording import count, metric, with_interval

Simulated = Callable[..., StudyResult]
Tiles = Callable[[StudyResult], list[MontageTile]]
METRICS = ("roc_auc", "pr_auc", "brier", "calibration_slope", "calibration_intercept")
AT_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv")


class Resources(HTMLParser):
    """Collects what a browser would load without being asked, the scripts, and the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
                self.loaded.append(value or "")


def words(page: str) -> str:
    """What stands on the page, without tags."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S).split("\n", 1)[1]
    return " ".join("".join(ET.fromstring(body).itertext()).split(" "))


def read(page: str) -> Resources:
    parser = Resources()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> StudyResult:
    return simulated()


@pytest.fixture(scope="module")
def page(result: StudyResult, tiles_of: Tiles) -> str:
    quality = pl.DataFrame({"sharpness": [1.0, 2.0, 3.0, None], "laterality": ["L", "R", "L", "L"]})
    return render(result, montage=tiles_of(result), quality=quality, intake={"stored": 231, "truncated": 2})


def test_the_page_opens_with_the_main_result_and_the_notice(page: str, result: StudyResult) -> None:
    assert result.test is not None
    said = words(page)
    auc = result.test.metrics["roc_auc"]
    assert "On 50 patients of a hospital (Harbour) that the model had never seen, ROC-AUC was" in said
    assert with_interval(auc).split(" ")[0] in said[: said.index("Contents") if "Contents" in said else 2000]
    assert "For research. Not a certified medical device." in said
    assert "Signature" in said


def test_every_metric_on_the_page_is_the_one_of_the_result(page: str, result: StudyResult) -> None:
    said = words(page)
    assert result.test is not None
    chosen = next(item for item in result.candidates if item.name == result.chosen)
    for people in (result.test, chosen.performance):
        for name in METRICS:
            assert metric(people, name) in said
    for name in AT_THRESHOLD:
        assert metric(result.test, name) in said
    for item in result.candidates:
        assert metric(item.performance, "roc_auc") in said
    for item in result.importance:
        assert item.code in said


def test_the_counts_at_the_threshold_are_those_of_the_predictions(page: str, result: StudyResult) -> None:
    assert result.test is not None
    called = [row for row in result.predictions if row.part == "test" and row.probability >= result.test.threshold]
    found = re.search(r">With the outcome</th><td class=\"number\">(\d+)</td>", page)
    assert found is not None
    assert int(found[1]) == sum(row.outcome for row in called)


def test_the_page_is_well_formed_and_no_id_stands_twice(page: str) -> None:
    ET.fromstring(page.split("\n", 1)[1])
    parser = read(page)
    assert [name for name, times in parser.ids.items() if times > 1] == []
    assert parser.tags["h1"] == 1
    assert parser.tags["table"] == parser.tags["caption"]


def test_the_page_loads_nothing_from_outside_and_holds_no_script(page: str) -> None:
    parser = read(page)
    assert [place for place in parser.loaded if not place.startswith(("data:image/png;base64,", "#"))] == []
    assert parser.tags["script"] == parser.tags["link"] == parser.tags["iframe"] == 0
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_every_link_inside_the_page_has_its_place(page: str) -> None:
    parser = read(page)
    assert parser.links
    assert all(link.startswith("#") and link[1:] in parser.ids for link in parser.links)


def test_every_picture_has_words_for_those_who_cannot_see_it(page: str) -> None:
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", page))
    assert all('aria-label="' in tag or 'aria-hidden="true"' in tag for tag in re.findall(r"<svg[^>]*>", page))


def test_the_same_result_gives_the_same_bytes(result: StudyResult) -> None:
    assert render(result) == render(result)


def test_hostile_names_are_letters_and_nothing_else(simulated: Simulated) -> None:
    evil = '<script>alert("$x^")</script>'
    plain = simulated()
    study = {**plain.study, "study": {**plain.study["study"], "name": evil, "question": evil}}
    candidates = [Candidate(i.name, i.performance, {evil: i.performance}) for i in plain.candidates]
    importance = [replace(item, name=evil, code=evil) for item in plain.importance]
    predictions = [replace(row, site=evil, unit=evil) for row in plain.predictions]
    steps = [replace(step, label=evil, dropped={evil: 1}) for step in plain.flow]
    page = render(
        replace(plain, study=study, candidates=candidates, importance=importance, predictions=predictions, flow=steps),
        intake={evil: 1},
        quality=pl.DataFrame({evil: [evil, evil]}),
    )
    assert read(page).tags["script"] == 0
    assert evil in words(page)


def test_letters_of_other_scripts_are_drawn_without_a_warning(simulated: Simulated) -> None:
    plain = simulated()
    item = plain.candidates[0]
    chinese = Candidate(item.name, item.performance, {"协和医院": item.performance})
    assert "协和医院" in render(replace(plain, candidates=[chinese]))


def test_without_a_test_set_the_page_says_so_and_shows_cross_validation(simulated: Simulated) -> None:
    said = words(render(simulated(test=False)))
    assert "There is no test set." in said
    assert "In nested cross-validation on 200 patients" in said
    assert "had never seen," not in said


def test_without_sites_the_page_says_what_is_not_known(simulated: Simulated) -> None:
    said = words(render(simulated(sites=False)))
    assert "how the model does at a place it was not made at is not known" in said


def test_sites_that_were_not_held_out_are_not_called_new(simulated: Simulated) -> None:
    plain = simulated()
    shared = {**plain.study, "validation": {"hold_out_sites": False}}
    assert "made without it" in words(render(plain))
    assert "they do not say how the model does at a new one" in words(render(replace(plain, study=shared)))


def test_the_hospital_of_the_test_set_is_named_and_has_figures(page: str, result: StudyResult) -> None:
    assert result.test is not None
    said = words(page)
    sites = said[said.index("The test set is all of") : said.index("Features that matter", said.index("The test set"))]
    assert "a hospital (Harbour): nobody from there was in the development set" in sites
    assert "Test set" in sites[sites.index("Performance at each site") :]
    assert metric(result.test_by_site["Harbour"], "sensitivity") in sites
    assert "Site: Harbour" in said[: said.index("Candidate models", 2000)]
    assert "Test: 50 units of 50 patients" in said
    assert "with the outcome; site Harbour." in said


def test_the_intervals_of_sites_say_what_they_leave_out(page: str) -> None:
    assert "leave out how much sites differ from each other" in words(page)


def test_a_test_set_of_hospitals_that_were_seen_is_not_called_new(simulated: Simulated) -> None:
    plain = simulated()
    mixed = [replace(row, site="Northgate") for row in plain.predictions]
    said = words(render(replace(plain, predictions=mixed, test_by_site={})))
    assert "On 50 patients that the model had never seen" in said
    assert "The test set is all of" not in said


def test_a_site_too_small_for_figures_is_named(simulated: Simulated) -> None:
    plain = simulated()
    item = plain.candidates[0]
    fewer = {site: figures for site, figures in item.by_site.items() if site != "St Anna"}
    page = render(replace(plain, candidates=[Candidate(item.name, item.performance, fewer)], test_by_site={}))
    assert "Without figures of their own: Harbour (test set); St Anna (development set)" in words(page)


def test_the_only_site_is_not_called_too_small(simulated: Simulated) -> None:
    plain = simulated()
    one = [replace(row, site="Harbour") for row in plain.predictions]
    alone = [Candidate(item.name, item.performance) for item in plain.candidates]
    said = words(render(replace(plain, predictions=one, candidates=alone, test_by_site={})))
    assert "Without figures of their own" not in said
    assert "how the model does at a place it was not made at is not known" in said


def test_what_is_missing_is_said_and_not_hidden(simulated: Simulated) -> None:
    plain = simulated()
    bare = StudyResult({}, [], [], [], "forest", "", None, [], [], {})
    said = words(render(bare))
    for sentence in (
        "No performance was estimated for the chosen model.",
        "No guard was asked.",
        "The importance of the features was not computed.",
        "The result holds no predictions.",
        "No images were handed to this report.",
        "not recorded",
    ):
        assert sentence in said
    fewer = replace(plain, candidates=plain.candidates[:2])
    assert "Asked for, but without a result: svm, boosting" in words(render(fewer))


def test_a_prediction_that_abstained_stands_in_the_table(simulated: Simulated) -> None:
    plain = simulated()
    nothing = replace(plain.predictions[-1], probability=math.nan, low=math.nan, high=math.nan)
    said = words(render(replace(plain, predictions=[*plain.predictions[:-1], nothing])))
    assert "abstained" in said
    assert "No table of counts" in said


def test_curves_without_points_are_named(simulated: Simulated) -> None:
    plain = simulated()
    assert plain.test is not None
    bare = Performance(plain.test.n, plain.test.patients, plain.test.events, 0.42, plain.test.metrics)
    candidates = [Candidate(item.name, bare) for item in plain.candidates]
    said = words(render(replace(plain, test=bare, candidates=candidates)))
    for curve in ("ROC curve", "precision-recall curve", "calibration curve", "decision curve"):
        assert f"No {curve}: the result holds no points of it." in said


def test_counts_that_contradict_the_sensitivity_are_not_shown(simulated: Simulated) -> None:
    plain = simulated()
    turned = [replace(row, outcome=1 - row.outcome) for row in plain.predictions]
    assert "No table of counts" in words(render(replace(plain, predictions=turned)))


def test_predictions_beyond_the_fiftieth_are_folded(page: str) -> None:
    assert "The other 150 predictions" in page
    assert page.count('<td class="bar">') == 200


def test_on_paper_long_tables_stay_closed_and_say_where_their_rows_are(page: str) -> None:
    said = words(page)
    assert "Printed here are 20; see predictions.csv, beside this page, for all 200." in said
    assert "The other 150 predictions: see predictions.csv" in said
    style = page[: page.index("</style>")]
    paper = style[style.index("@media print") :]
    assert "tr:nth-child(n + 21) { display: none; }" in paper
    kept = set(re.findall(r"<details([^>]*)>", page))
    assert kept == {"", ' id="study-file" class="kept"', ' class="kept"'}
    assert "details.kept::details-content" in paper
    assert "details::details-content" not in paper


def test_a_list_in_the_study_file_stays_on_one_line(page: str) -> None:
    assert "[ &#34;age_years&#34;, &#34;hba1c&#34; ]" in page


def test_a_study_of_a_table_does_not_speak_of_missing_images(simulated: Simulated) -> None:
    plain = simulated()
    table = replace(plain, lineage={**plain.lineage, "modalities": [], "recalibration": [0.0, 1.0]})
    said = words(render(table, intake={"stored": 0}))
    assert "This study uses a table, no images." in said
    assert "Files taken in" not in said
    assert "was not handed" not in said
    assert "none: it did not help" in said


def test_when_nothing_matters_alone_and_patients_are_lesions_the_page_says_so(simulated: Simulated) -> None:
    plain = simulated()
    nothing = [replace(item, loss=Estimate(2e-5, 0.0, 1e-4)) for item in plain.importance]
    study = {**plain.study, "study": {**plain.study["study"], "patient_means": "a skin lesion"}}
    said = words(render(replace(plain, importance=nothing, study=study)))
    assert "No single feature matters alone" in said
    assert "“Patient” in this report stands for a skin lesion." in said


def test_images_say_from_which_set_they_are(page: str) -> None:
    assert "From the test set; at most one unit a patient." in words(page)


def test_many_predictions_are_cut_and_the_page_says_where_the_rest_is(simulated: Simulated) -> None:
    plain = simulated()
    many = [replace(row, unit=f"{row.unit}-{copy}") for copy in range(11) for row in plain.predictions]
    said = words(render(replace(plain, predictions=many)))
    assert f"{count(200)} more are in predictions.csv" in said


def test_the_parts_lie_beside_the_page_and_hold_the_numbers(result: StudyResult, tmp_path: Path) -> None:
    assert result.test is not None
    written = write(result, tmp_path / "new" / "folder")
    assert written.name == "report.html"
    figures = written.parent / "figures"
    with (figures / "roc.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "Test set"]
    drawn = [[float(row["false_positive_rate"]), float(row["true_positive_rate"])] for row in rows]
    assert drawn == result.test.roc
    for name in ("roc", "pr", "calibration", "decision", "candidates", "sites", "features"):
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        ET.parse(figures / f"{name}.svg")
        assert (figures / f"{name}.csv").stat().st_size > 0
    ET.parse(figures / "flow.svg")
    table = pl.read_csv(written.parent / "predictions.csv", schema_overrides={"patient_key": pl.String})
    assert table["probability"].to_list() == [row.probability for row in result.predictions]


def test_a_result_without_predictions_is_written_all_the_same(tmp_path: Path) -> None:
    write(StudyResult({}, [], [], [], "forest", "", None, [], [], {}), tmp_path)
    assert pl.read_csv(tmp_path / "predictions.csv").height == 0
