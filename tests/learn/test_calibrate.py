import numpy as np
import pytest

from tapetum.learn.calibrate import Recalibration, cross_recalibrate, fit_recalibration, to_logit


def _people(n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    p = 1 / (1 + np.exp(-rng.normal(0, 1, n)))
    return p, (rng.random(n) < p).astype(np.int64)


def test_an_overconfident_model_is_pulled_back_and_its_order_stays() -> None:
    p, outcome = _people()
    bold = 1 / (1 + np.exp(-2 * to_logit(p)))
    found = fit_recalibration(bold, outcome)
    assert found.slope == pytest.approx(0.5, abs=0.1)
    assert found.intercept == pytest.approx(0, abs=0.15)
    assert (np.diff(found(np.sort(bold))) >= 0).all()


def test_a_model_worse_than_chance_is_not_turned_round() -> None:
    p, outcome = _people()
    assert fit_recalibration(1 - p, outcome) == Recalibration()


def test_recalibration_is_kept_only_when_it_helps_on_other_folds() -> None:
    p, outcome = _people()
    fold = np.arange(len(p)) % 5
    bold = 1 / (1 + np.exp(-2 * to_logit(p)))
    crossed, found = cross_recalibrate(bold, outcome, fold)
    assert found.slope < 0.7
    assert ((crossed - p) ** 2).mean() < ((bold - p) ** 2).mean() / 4
    few = slice(0, 24)  # too few people to learn a recalibration from
    same, none = cross_recalibrate(p[few], outcome[few], fold[few])
    assert none == Recalibration()
    assert same is not crossed
    np.testing.assert_array_equal(same, p[few])


def test_the_fold_that_is_recalibrated_has_no_say_in_it() -> None:
    p, outcome = _people(400)
    bold = 1 / (1 + np.exp(-3 * to_logit(p)))
    fold = np.arange(400) % 4
    one = cross_recalibrate(bold, outcome, fold)[0]
    flipped = np.where(fold == 0, 1 - outcome, outcome)
    other = np.concatenate([fit_recalibration(bold[fold != 0], flipped[fold != 0])(bold[fold == 0])])
    np.testing.assert_allclose(one[fold == 0], other)
