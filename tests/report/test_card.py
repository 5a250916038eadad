from collections.abc import Callable
from dataclasses import replace

from tapetum.learn.result import Estimate, StudyResult
from tapetum.report.card import card, design, limitations

Simulated = Callable[..., StudyResult]


def test_few_events_a_missing_test_set_and_a_single_site_are_limitations(simulated: Simulated) -> None:
    said = " ".join(limitations(simulated(test=False, sites=False)))
    assert "no test set" in said
    assert "fewer than 100" in said
    assert "one site" in said
    assert "no test set" not in " ".join(limitations(simulated()))


def test_a_slope_whose_interval_leaves_out_one_is_a_limitation(simulated: Simulated) -> None:
    result = simulated()
    assert result.test is not None
    metrics = {**result.test.metrics, "calibration_slope": Estimate(0.6, 0.4, 0.8)}
    said = " ".join(limitations(replace(result, test=replace(result.test, metrics=metrics))))
    assert "too extreme" in said
    assert "too extreme" not in " ".join(limitations(result))


def test_two_sites_that_were_not_held_out_are_a_limitation(simulated: Simulated) -> None:
    result = simulated()
    mixed = [replace(row, site="AB"[number % 2]) for number, row in enumerate(result.predictions)]
    study = {**result.study, "validation": {"hold_out_sites": False}}
    assert "The 2 sites were not held out" in " ".join(limitations(replace(result, study=study, predictions=mixed)))
    assert "were not held out" not in " ".join(limitations(result))


def test_few_sites_to_learn_from_and_one_to_test_on_are_limitations(simulated: Simulated) -> None:
    result = simulated()
    said = " ".join(limitations(result))
    assert "The test set is of a hospital (Harbour) only" in said
    assert "The development set has 3 sites: in cross-validation each model was made at 2" in said
    two = [replace(row, site={"St Anna": "Riverside"}.get(row.site, row.site)) for row in result.predictions]
    assert "has 2 sites: in cross-validation each model was made at one" in " ".join(
        limitations(replace(result, predictions=two))
    )


def test_a_model_fitted_again_after_its_test_says_so(simulated: Simulated) -> None:
    result = simulated()
    again = {**result.study, "validation": {"final_fit": "everyone"}}
    assert "fitted again on everyone" in " ".join(dict(card(replace(result, study=again)))["Updating"])
    assert "is the one that was evaluated" in " ".join(dict(card(result))["Updating"])


def test_what_only_people_know_stands_under_declarations(simulated: Simulated) -> None:
    result = simulated()
    told = {**result.study, "reporting": {"funding": "None.", "ethics": ""}}
    assert dict(card(replace(result, study=told)))["Declarations"] == ["Funding: None."]
    assert "Declarations" not in dict(card(result))


def test_the_page_says_whether_it_is_development_or_evaluation(simulated: Simulated) -> None:
    assert design(simulated()).endswith("on a test set of a hospital (Harbour)")
    assert design(simulated(sites=False)).endswith("on a test set of other patients")
    assert "internal validation only" in design(simulated(test=False))


def test_what_the_study_file_leaves_out_is_said_to_be_left_out(simulated: Simulated) -> None:
    assert dict(card(replace(simulated(), study={})))["Intended use"] == ["The study file does not say."]
