import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.errors import LeakageFound, ValidationFailed
from tapetum.learn import FittedModel, Study, StudyResult, run_study
from tapetum.learn.metrics import roc_auc

Tables = tuple[pl.DataFrame, pl.DataFrame]
Found = tuple[StudyResult, FittedModel]


@pytest.fixture(scope="module")
def found(virtual: Callable[..., Tables], study: Callable[..., Study]) -> Found:
    rule = study(models={"candidates": ["logistic", "boosting", "ensemble"]}, validation={"threshold": "youden"})
    return run_study(rule, *virtual(150, sites=2), jobs=1)


def test_a_known_truth_is_found_again(found: Found) -> None:
    result, _ = found
    assert result.test is not None
    # The outcome is drawn with logit 1.5 (f0 + 0.6 f1) - 0.3: nobody can do better than ROC-AUC .84 (a million draws).
    auc, slope = result.test.metrics["roc_auc"], result.test.metrics["calibration_slope"]
    assert auc.low < 0.84 < auc.high
    assert auc.value > 0.7
    assert slope.low < 1 < slope.high
    assert result.importance[0].name == "fundus/f0"
    assert result.importance[0].loss.low > 0


def test_everybody_in_the_cohort_has_one_prediction_in_its_interval(found: Found) -> None:
    result, _ = found
    assert len({row.unit for row in result.predictions}) == len(result.predictions) == 300
    assert all(0 <= row.low <= row.probability <= row.high <= 1 for row in result.predictions)
    tested = {row.patient_key for row in result.predictions if row.part == "test"}
    assert not tested & {row.patient_key for row in result.predictions if row.part == "cv"}
    assert np.mean([row.high - row.low for row in result.predictions]) < 0.6


def test_the_figures_are_those_of_the_predictions_that_are_listed(found: Found) -> None:
    result, _ = found
    assert result.test is not None
    for part, value in (
        ("test", result.test.metrics["roc_auc"].value),
        ("cv", next(c for c in result.candidates if c.name == result.chosen).performance.metrics["roc_auc"].value),
    ):
        rows = [row for row in result.predictions if row.part == part]
        outcome, p = np.array([row.outcome for row in rows]), np.array([row.probability for row in rows])
        assert roc_auc(outcome, p) == pytest.approx(value)


def test_the_result_says_who_took_part_what_was_asked_and_where_it_came_from(found: Found) -> None:
    result, _ = found
    assert [step.label for step in result.flow[-2:]] == ["Development set", "Test set"]
    assert sum(step.units for step in result.flow[-2:]) == 300
    names = [check.name for check in result.checks]
    assert {"patient", "image", "test-patient", "identical-image", "identical-row", "outcome-as-feature"} <= set(names)
    assert set(result.lineage["versions"]) == {"tapetum", "python", "numpy", "scikit-learn"}
    assert len(result.lineage["data_digest"]) == 64
    assert StudyResult.from_json(result.to_json()) == result
    assert set(result.candidates[0].by_site) == {"A", "B"}


def test_the_chosen_model_was_the_best_on_development(found: Found) -> None:
    aucs = {c.name: c.performance.metrics["roc_auc"].value for c in found[0].candidates}
    assert found[0].chosen == max(aucs, key=lambda name: aucs[name])


def _timeless(result: StudyResult) -> str:
    return json.dumps(replace(result, lineage={**result.lineage, "started_at": "", "seconds": 0}).to_json())


def test_the_same_seed_and_data_give_the_same_result_bit_for_bit(
    virtual: Callable[..., Tables], study: Callable[..., Study]
) -> None:
    rule = study(models={"candidates": ["logistic", "svm"], "budget": 2})
    series, observations = virtual(40)
    mixed = observations.sample(fraction=1.0, shuffle=True, seed=1)
    one, _ = run_study(rule, series, observations, jobs=1)
    same, _ = run_study(rule, series.reverse(), mixed, jobs=1)
    assert _timeless(same) == _timeless(one)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(virtual: Callable[..., Tables], study: Callable[..., Study]) -> None:
    rule = study(models={"budget": 1, "candidates": ["logistic", "svm", "forest", "boosting", "ensemble"]})
    one, two = (run_study(rule, *virtual(40), jobs=jobs)[0] for jobs in (1, 2))
    assert _timeless(one) == _timeless(two)


def test_noise_is_not_made_into_a_prediction(virtual: Callable[..., Tables], study: Callable[..., Study]) -> None:
    # 60 features of 80 patients who have nothing to do with the outcome: choosing features outside of the folds
    # would show a ROC-AUC of about .8 here (Ambroise & McLachlan 2002, PNAS 99:6562).
    rule = study(validation={"test_fraction": 0.0, "outer_folds": 5}, models={"budget": 4})
    result, _ = run_study(rule, *virtual(80, 60, strength=0.0), jobs=1)
    auc = result.candidates[0].performance.metrics["roc_auc"]
    assert auc.low < 0.5 < auc.high
    assert result.test is None


def test_held_out_sites_share_nothing_with_those_learned_from(
    virtual: Callable[..., Tables], study: Callable[..., Study]
) -> None:
    rule = study(validation={"hold_out_sites": True, "test_sites": ["D"], "final_fit": "everyone"})
    result, _ = run_study(rule, *virtual(80, sites=4), jobs=1)
    assert {row.site for row in result.predictions if row.part == "test"} == {"D"}
    assert set(result.candidates[0].by_site) == {"A", "B", "C"}
    assert {"site", "test-site"} <= {check.name for check in result.checks}
    assert next(check.detail for check in result.checks if check.name == "test-site").endswith("the test set is D")
    assert result.unseen_sites == ["D"]
    assert [step.sites for step in result.flow[-2:]] == [["A", "B", "C"], ["D"]]


def test_each_site_of_the_test_set_has_the_figures_of_its_people(
    virtual: Callable[..., Tables], study: Callable[..., Study]
) -> None:
    rule = study(validation={"hold_out_sites": True, "test_sites": ["C", "D"]}, models={"budget": 1})
    result, _ = run_study(rule, *virtual(80, sites=4), jobs=1)
    assert list(result.test_by_site) == ["C", "D"]
    for site, found in result.test_by_site.items():
        rows = [row for row in result.predictions if row.site == site]
        auc = roc_auc(np.array([row.outcome for row in rows]), np.array([row.probability for row in rows]))
        assert (found.n, found.metrics["roc_auc"].value) == (len(rows), pytest.approx(auc))


def test_repeats_do_not_make_more_people(virtual: Callable[..., Tables], study: Callable[..., Study]) -> None:
    rule = study(validation={"repeats": 2}, models={"budget": 1})
    result, _ = run_study(rule, *virtual(40), jobs=1)
    measured = result.candidates[0].performance
    units = sum(row.part == "cv" for row in result.predictions)
    assert measured.n == sum(row[-1] for row in measured.calibration) == units


def test_the_stages_are_told_in_order(virtual: Callable[..., Tables], study: Callable[..., Study]) -> None:
    told: list[tuple[str, int, int]] = []
    run_study(study(models={"budget": 1}), *virtual(40), progress=lambda *now: told.append(now), jobs=1)
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [
        "cohort",
        "models",
        "figures",
        "final model",
        "importance",
    ]
    assert all(done <= total for _, done, total in told)


def test_a_copied_image_stops_the_study_or_leaves_it(
    virtual: Callable[..., Tables], study: Callable[..., Study]
) -> None:
    series, observations = virtual(40)
    copied = series.with_columns(
        pixel_digest=pl.when(pl.col("series_instance_uid") == "2.25.9")
        .then(pl.lit("digest 0"))
        .otherwise(pl.col("pixel_digest"))
    )
    with pytest.raises(LeakageFound) as caught:
        run_study(study(), copied, observations, jobs=1)
    assert caught.value.code == "leakage-identical-image"
    result, _ = run_study(study(cohort={"copies": "drop"}, models={"budget": 1}), copied, observations, jobs=1)
    assert result.flow[-3].dropped.keys() == {"same image or measurements as another patient"}


@pytest.mark.parametrize("tables", [{"validation": {"outer_folds": 20}}, {"validation": {"hold_out_sites": True}}])
def test_too_few_people_or_sites_are_said_before_anything_is_fitted(
    virtual: Callable[..., Tables], study: Callable[..., Study], tables: dict[str, Any]
) -> None:
    with pytest.raises(ValidationFailed):
        run_study(study(**tables), *virtual(12), jobs=1)
