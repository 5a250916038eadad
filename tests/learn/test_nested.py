from typing import Any

import numpy as np

from tapetum.learn.nested import Learning, nested, search_all
from tapetum.learn.split import folds


def _data(**changes: Any) -> Learning:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 5))
    outcome = (x[:, 0] + rng.normal(size=90) > 0).astype(np.int64)
    patient = np.array([f"p{i // 2}" for i in range(90)])
    plain: dict[str, Any] = {"groups": patient, "budget": 2, "inner_folds": 2, "seed": 1, "jobs": 1}
    return Learning(x, outcome, patient, **(plain | changes))


def _quiet(*_: object) -> None:
    return None


def test_everybody_is_predicted_once_a_repeat_by_a_model_that_had_not_seen_them() -> None:
    data = _data()
    splits = [folds(data.patient, data.outcome, count=3, seed=seed) for seed in (1, 2)]
    told: list[tuple[str, int, int]] = []
    found = nested(["logistic"], data, splits, lambda *now: told.append(now))["logistic"]
    assert found.probability.shape == found.fold.shape == (2, 90)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert (found.fold[0, splits[0][2].held_out] == 2).all()
    assert len(found.settings) == len(told) == 6
    assert told[-1] == ("models", 6, 6)


def test_the_held_out_outcome_has_no_influence_on_its_prediction() -> None:
    data = _data()
    splits = [folds(data.patient, data.outcome, count=3, seed=1)]
    rows = splits[0][0].held_out
    flipped = data.outcome.copy()
    flipped[rows] = 1 - flipped[rows]
    other = Learning(data.x, flipped, data.patient, data.patient, budget=2, inner_folds=2, seed=1, jobs=1)
    one, two = (nested(["logistic", "svm"], d, splits, _quiet) for d in (data, other))
    for family in ("logistic", "svm"):
        np.testing.assert_array_equal(one[family].probability[0, rows], two[family].probability[0, rows])


def test_an_ensemble_is_the_mean_of_the_others() -> None:
    data = _data()
    splits = [folds(data.patient, data.outcome, count=2, seed=1)]
    found = nested(["ensemble", "logistic", "boosting"], data, splits, _quiet)
    assert list(found) == ["ensemble", "logistic", "boosting"]
    mean = (found["logistic"].probability + found["boosting"].probability) / 2
    np.testing.assert_allclose(found["ensemble"].probability, mean)
    assert found["ensemble"].settings[1] == {
        "boosting": found["boosting"].settings[1],
        "logistic": found["logistic"].settings[1],
    }


def test_inner_folds_keep_patients_together_when_there_are_too_few_sites() -> None:
    sites = np.array(["AB"[i // 2 % 2] for i in range(90)])
    by_patient, by_site = (search_all(["logistic"], _data(groups=groups)) for groups in (_data().patient, sites))
    assert by_patient == by_site
