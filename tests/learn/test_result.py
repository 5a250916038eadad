import json
import math
from dataclasses import replace

from tapetum.learn.result import (
    Candidate,
    Characteristic,
    Check,
    Estimate,
    FlowStep,
    Importance,
    Performance,
    Prediction,
    StudyResult,
    Summary,
)


def _performance() -> Performance:
    return Performance(
        n=4,
        patients=2,
        events=1,
        threshold=0.25,
        metrics={"roc_auc": Estimate(0.75, 0.5, 1.0)},
        roc=[[0.0, 0.0], [1.0, 1.0]],
        pr=[[1.0, 0.25]],
        calibration=[[0.2, 0.25, 0.0, 0.8, 4.0]],
        decision=[[0.1, 0.2, 0.15]],
    )


def _result(test: Performance | None) -> StudyResult:
    return StudyResult(
        study={"study": {"name": "A"}},
        flow=[FlowStep("Series", 2, 4, None, {"other modality": 1}), FlowStep("Test set", 1, 2, 1, sites=["A"])],
        checks=[Check("patient", "none on both sides")],
        candidates=[Candidate("svm", _performance(), {"A": _performance()})],
        chosen="svm",
        threshold_rule="fixed",
        test=test,
        importance=[Importance("f", "IBSI 1", Estimate(0.1, 0.0, 0.2))],
        predictions=[Prediction("p", "2.25.1", "test", 0.5, 0.25, 0.75, 1, "A")],
        lineage={"data_digest": "0" * 64, "seed": 1},
        test_by_site={"A": _performance()} if test else {},
        characteristics=[Characteristic("age", Summary(2, 1, 50.0, 40.0, 60.0), Summary(1, 0, 1.0, 1.0, 1.0), 0.5)],
    )


def test_a_result_comes_back_from_json_as_it_was() -> None:
    result = _result(_performance())
    assert StudyResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_a_result_without_a_test_set_comes_back_without_one() -> None:
    assert StudyResult.from_json(json.loads(json.dumps(_result(None).to_json()))).test is None


def test_sites_are_unseen_only_when_nobody_of_them_was_learned_from() -> None:
    plain = _result(_performance())
    elsewhere = Prediction("q", "2.25.2", "cv", 0.5, 0.25, 0.75, 0, "B")
    assert replace(plain, predictions=[*plain.predictions, elsewhere]).unseen_sites == ["A"]
    for site in ("A", ""):
        shared = replace(plain, predictions=[*plain.predictions, replace(elsewhere, site=site)])
        assert shared.unseen_sites == []


def test_a_figure_that_does_not_exist_is_null_in_json_and_nan_again_afterwards() -> None:
    figures = _performance()
    figures = replace(figures, metrics={"ppv": Estimate(math.nan, math.nan, math.nan)})
    text = json.dumps(_result(figures).to_json(), allow_nan=False)
    test = StudyResult.from_json(json.loads(text)).test
    assert test is not None
    assert math.isnan(test.metrics["ppv"].value)
