import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from tapetum.learn.metrics import (
    calibration_curve,
    choose_threshold,
    decision_curve,
    performance,
    point_metrics,
    roc_auc,
)
from tapetum.learn.result import Estimate


def _people(n: int = 400, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True risks, outcomes drawn from them, and two units a patient."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(-0.5, 1.5, n)))
    return (rng.random(n) < p).astype(np.int64), p, np.array([f"p{i // 2}" for i in range(n)])


def _plain(outcome: np.ndarray, p: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    found = point_metrics(outcome, p, np.ones((1, len(p))), threshold)
    return {name: float(value[0]) for name, value in found.items()}


def test_auc_of_the_ct_ratings_of_hanley_and_mcneil_is_893() -> None:
    # Hanley & McNeil 1982, Radiology 143:29, table I: 58 normal and 51 abnormal CT, rated 1 to 5.
    normal, abnormal = np.repeat(range(1, 6), [33, 6, 6, 11, 2]), np.repeat(range(1, 6), [3, 2, 2, 11, 33])
    outcome = np.repeat([0, 1], [58, 51])
    assert roc_auc(outcome, np.concatenate([normal, abnormal]) / 6) == pytest.approx(0.893, abs=5e-4)


def test_the_liver_scans_of_altman_and_bland() -> None:
    # Altman & Bland 1994, BMJ 308:1552 and 309:102: 231 and 27 of 258 abnormal, 32 and 54 of 86 normal livers.
    outcome = np.repeat([1, 1, 0, 0], [231, 27, 32, 54])
    p = np.repeat([0.9, 0.1, 0.9, 0.1], [231, 27, 32, 54])
    found = _plain(outcome, p)
    assert found["sensitivity"] == pytest.approx(0.90, abs=5e-3)
    assert found["specificity"] == pytest.approx(0.63, abs=5e-3)
    assert found["ppv"] == pytest.approx(0.88, abs=5e-3)
    assert found["npv"] == pytest.approx(0.67, abs=5e-3)


@pytest.mark.parametrize("digits", [1, 8])
def test_areas_and_brier_agree_with_scikit_learn_with_and_without_ties(digits: int) -> None:
    outcome, p, _ = _people()
    p = np.round(p, digits)
    found = _plain(outcome, p)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(outcome, p), abs=1e-12)
    assert found["pr_auc"] == pytest.approx(average_precision_score(outcome, p), abs=1e-12)
    assert found["brier"] == pytest.approx(brier_score_loss(outcome, p), abs=1e-12)


def test_a_resample_is_the_same_as_repeating_its_patients() -> None:
    outcome, p, _ = _people(60)
    times = np.random.default_rng(1).integers(0, 4, 60)
    weighted = point_metrics(outcome, p, times[None].astype(float), 0.4)
    for name, value in _plain(np.repeat(outcome, times), np.repeat(p, times), 0.4).items():
        assert weighted[name][0] == pytest.approx(value, abs=1e-9), name


def test_true_probabilities_have_slope_one_and_intercept_zero() -> None:
    outcome, p, _ = _people(20_000)
    found = _plain(outcome, p)
    assert found["calibration_slope"] == pytest.approx(1, abs=0.05)
    assert found["calibration_intercept"] == pytest.approx(0, abs=0.05)


def test_an_overconfident_model_has_the_slope_that_a_logistic_regression_finds() -> None:
    outcome, p, _ = _people()
    z = 2 * np.log(p / (1 - p)) + 0.7
    found = _plain(outcome, 1 / (1 + np.exp(-z)))
    oracle = LogisticRegression(C=1e10, tol=1e-10).fit(z[:, None], outcome)
    assert found["calibration_slope"] == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert found["calibration_slope"] < 0.7
    shifted = 1 / (1 + np.exp(-(z + found["calibration_intercept"])))
    # Calibration-in-the-large: with the offset, as many events are expected as were seen.
    assert shifted.sum() == pytest.approx(outcome.sum(), abs=1e-6)


@pytest.mark.parametrize("certain", [0, 20, 150])
@pytest.mark.parametrize("boldness", [1.0, 3.0])
def test_wrongly_certain_predictions_do_not_upset_the_slope(certain: int, boldness: float) -> None:
    # A model that calls a whole unseen site sick: probabilities of almost 1 for people without the outcome.
    rng = np.random.default_rng(0)
    z = rng.normal(-2, 1, 1100)
    outcome = (rng.random(1100) < 1 / (1 + np.exp(-z))).astype(np.int64)
    z = np.clip(boldness * z, -13, 13)
    z[:certain] = 13.0
    found = _plain(outcome, 1 / (1 + np.exp(-z)))
    oracle = LogisticRegression(C=1e10, tol=1e-12, max_iter=10_000).fit(z[:, None], outcome)
    assert found["calibration_slope"] == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    offset = found["calibration_intercept"]
    assert (1 / (1 + np.exp(-(z + offset)))).sum() == pytest.approx(outcome.sum(), abs=1e-6)


def test_what_does_not_exist_is_not_a_number() -> None:
    found = _plain(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.3]), 0.9)
    assert np.isnan(found["ppv"])
    assert np.isnan(found["calibration_slope"])  # perfect separation has no finite slope
    assert np.isnan(_plain(np.array([0, 1]), np.array([0.4, 0.4]))["calibration_slope"])
    assert np.isnan(_plain(np.zeros(3, np.int64), np.array([0.1, 0.2, 0.3]))["roc_auc"])


def test_net_benefit_by_hand() -> None:
    # Vickers & Elkin 2006: at 20 %, a false positive costs a quarter of what a true positive is worth.
    outcome, p = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.1, 0.5, 0.1, 0.1])
    row = decision_curve(outcome, p)[19]
    assert row == pytest.approx([0.2, 1 / 5 - 1 / 5 * 0.25, 2 / 5 - 3 / 5 * 0.25])


def test_a_calibration_group_has_the_exact_binomial_interval() -> None:
    # Clopper & Pearson 1934: 5 of 10 is .187 to .813.
    rows = calibration_curve(np.array([0, 1] * 5), np.full(10, 0.4), np.arange(10).astype(str))
    assert rows == [pytest.approx([0.4, 0.5, 0.1871, 0.8129, 10], abs=1e-4)]


def test_three_images_of_each_patient_make_no_calibration_interval_narrower() -> None:
    outcome, patient = np.array([0, 1] * 5), np.arange(10).astype(str)
    thrice = calibration_curve(np.repeat(outcome, 3), np.full(30, 0.4), np.repeat(patient, 3), groups=1)
    assert thrice == [pytest.approx([0.4, 0.5, 0.1871, 0.8129, 30], abs=1e-4)]


@pytest.mark.parametrize(
    ("rule", "sensitivity", "specificity"), [("sensitivity >= 0.75", 0.75, 0.75), ("specificity >= 0.9", 0.5, 1.0)]
)
def test_the_threshold_does_what_its_rule_says(rule: str, sensitivity: float, specificity: float) -> None:
    outcome = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    p = np.array([0.1, 0.2, 0.3, 0.35, 0.6, 0.65, 0.7, 0.9])
    cut, words = choose_threshold(outcome, p, rule)
    found = _plain(outcome, p, cut)
    assert (found["sensitivity"], found["specificity"]) == (sensitivity, specificity)
    assert "development" in words


def test_youden_finds_the_perfect_cut_and_a_number_stays_as_it_is() -> None:
    assert choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9]), "youden")[0] == pytest.approx(0.4)
    assert choose_threshold(np.array([0, 1]), np.array([0.1, 0.2]), 0.3) == (0.3, "fixed in the study file at 0.3")


def test_intervals_hold_the_figure_and_widen_when_patients_repeat() -> None:
    outcome, p, patient = _people()
    one = performance(outcome, p, patient, threshold=0.5, resamples=300)
    four = performance(np.repeat(outcome, 4), np.repeat(p, 4), np.repeat(patient, 4), threshold=0.5, resamples=300)
    for name, e in one.metrics.items():
        assert e.low <= e.value <= e.high, name
    # The same people four times over are not more people.
    assert (four.patients, one.patients, one.n, one.events) == (200, 200, 400, outcome.sum())
    assert four.metrics["roc_auc"].high == pytest.approx(one.metrics["roc_auc"].high, abs=1e-12)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = roc_auc(*_people(200_000, seed=0)[:2])
    hits = 0
    for seed in range(40):
        outcome, p, patient = _people(200, seed=100 + seed)
        e = performance(outcome, p, patient, threshold=0.5, resamples=200).metrics["roc_auc"]
        hits += e.low <= truth <= e.high
    assert hits >= 34  # 38 of 40 are expected; below 34 has a probability of 1 %


def test_no_error_among_ten_patients_is_no_certainty() -> None:
    outcome, patient = np.repeat([0, 1], 10), np.arange(20).astype(str)
    found = performance(outcome, np.where(outcome == 1, 0.9, 0.1), patient, threshold=0.5, resamples=100).metrics
    # Clopper & Pearson 1934: 10 of 10 is .6915 to 1 (.025 to the power of 1/10).
    for name in ("sensitivity", "specificity", "ppv", "npv", "roc_auc"):
        assert found[name] == Estimate(1.0, pytest.approx(0.6915, abs=1e-4), 1.0), name
    turned = performance(outcome, np.where(outcome == 1, 0.1, 0.9), patient, threshold=0.5, resamples=100).metrics
    for name in ("sensitivity", "specificity", "ppv", "npv", "roc_auc"):
        assert turned[name] == Estimate(0.0, 0.0, pytest.approx(0.3085, abs=1e-4)), name
    assert not any(e.low == e.high for e in (*found.values(), *turned.values()))


def test_three_images_of_each_patient_make_no_exact_interval_narrower() -> None:
    outcome, patient = np.repeat([0, 1], 30), np.repeat(np.arange(20), 3).astype(str)
    found = performance(outcome, np.where(outcome == 1, 0.9, 0.1), patient, threshold=0.5, resamples=100).metrics
    assert found["sensitivity"].low == found["roc_auc"].low == pytest.approx(0.6915, abs=1e-4)


def test_two_eyes_of_ten_patients_are_at_most_five_independent_pairs() -> None:
    outcome, patient = np.tile([0, 1], 10), np.repeat(np.arange(10), 2).astype(str)
    found = performance(outcome, np.where(outcome == 1, 0.9, 0.1), patient, threshold=0.5, resamples=100).metrics
    assert found["roc_auc"].low == pytest.approx(0.025 ** (1 / 5))


@pytest.mark.parametrize(("events", "others"), [(5, 60), (12, 12)])
def test_a_perfect_auc_has_an_interval_that_covers_the_truth_in_the_worst_case(events: int, others: int) -> None:
    # The worst case for the bound: a few events, too few to be seen, lie below everybody else (AUC = 1 - their share).
    low = (
        performance(
            np.repeat([1, 0], [events, others]),
            np.repeat([0.9, 0.1], [events, others]),
            np.arange(events + others).astype(str),
            threshold=0.5,
            resamples=100,
        )
        .metrics["roc_auc"]
        .low
    )
    draw = np.random.default_rng(1)
    unseen = (draw.random((20_000, min(events, others))) < 1 - low).sum(axis=1) == 0
    assert unseen.mean() == pytest.approx(0.025, abs=0.004)


def test_separated_data_have_no_calibration_slope_and_no_intercept() -> None:
    outcome, patient = np.repeat([0, 1], 10), np.arange(20).astype(str)
    # In order, in reverse, and with both outcomes at the probability of the cut.
    for p in (np.linspace(0.01, 0.99, 20), np.linspace(0.99, 0.01, 20), np.repeat([0.2, 0.5, 0.8], [5, 8, 7])):
        found = performance(outcome, p, patient, threshold=0.5)
        for name in ("calibration_slope", "calibration_intercept"):
            assert np.isnan([found.metrics[name].value, found.metrics[name].low, found.metrics[name].high]).all()


def test_a_slope_that_many_resamples_do_not_have_has_no_interval() -> None:
    # One disorder among twenty: a third of the resamples leave it out and are separated.
    outcome, p = np.repeat([0, 1], 10), np.linspace(0.05, 0.95, 20)
    outcome[[9, 10]] = outcome[[10, 9]]
    slope = performance(outcome, p, np.arange(20).astype(str), threshold=0.5, resamples=200).metrics[
        "calibration_slope"
    ]
    assert np.isfinite(slope.value)
    assert np.isnan(slope.low)
    assert np.isnan(slope.high)


def test_the_same_seed_gives_the_same_interval() -> None:
    outcome, p, patient = _people(100)
    one, same = (performance(outcome, p, patient, threshold=0.5, resamples=100, seed=4) for _ in range(2))
    assert one == same


def test_a_thousand_resamples_of_400_units_take_less_than_three_seconds() -> None:
    outcome, p, patient = _people()
    start = time.process_time()
    performance(outcome, p, patient, threshold=0.5, resamples=1000)
    assert time.process_time() - start < 3


def test_one_outcome_only_has_no_curves() -> None:
    found = performance(np.zeros(20, np.int64), np.linspace(0.1, 0.9, 20), np.arange(20).astype(str), threshold=0.5)
    assert found.roc == found.pr == []
    assert np.isnan(found.metrics["roc_auc"].low)
