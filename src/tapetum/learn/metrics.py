"""How good probabilities are: discrimination, calibration, usefulness, each with its interval.

In: outcomes (0 or 1), probabilities and whose they are.  Out: `Performance`.  Start reading at `performance`.
Every figure is computed for all bootstrap resamples at once: a resample of patients is a weight per unit.

Sources: ROC-AUC as the Mann-Whitney statistic with ties (Hanley & McNeil 1982); PR-AUC as average precision;
calibration slope and calibration-in-the-large (Cox 1958, Biometrika 45:562; Van Calster et al. 2019, BMC Med 17:230);
net benefit (Vickers & Elkin 2006, Med Decis Making 26:565).
A bootstrap of figures without a single error would call them certain; `_exactly` says what is put in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import beta

from tapetum.learn.result import Estimate, Performance

__all__ = ["calibration_curve", "choose_threshold", "decision_curve", "performance", "point_metrics", "roc_auc"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER_CERTAIN = 1e-6
"""Probabilities are kept this far from 0 and 1 where their logit is needed."""

Metric = Callable[[Ints, Floats, Floats, float], dict[str, Floats]]


def performance(
    outcome: Ints,
    probability: Floats,
    patient: NDArray[np.str_],
    *,
    threshold: float,
    resamples: int = 1000,
    seed: int = 0,
) -> Performance:
    """All figures with 95 % intervals from resampling patients (percentile bootstrap).

    A proportion of 0 or 1, or a ROC-AUC of 0 or 1, has an exact interval instead (`_exactly`); any other figure that is
    the same in every resample has none. Calibration slope and intercept of separated data do not exist, and have no
    interval when more than 2.5 % of the resamples are separated.

    Parameters
    ----------
    outcome, probability, patient : (n,) each, one row per unit: repeated predictions of a unit are averaged before.
        Units of one patient stay together in a resample.
    threshold : a probability; at or above it a unit is called positive.

    Returns
    -------
    A figure that does not exist (ppv when nobody is called positive, ROC-AUC of one class) is NaN.
    """
    values = point_metrics(outcome, probability, np.ones((1, len(outcome))), threshold)
    weights = _patient_weights(patient, resamples, seed)
    drawn = point_metrics(outcome, probability, weights, threshold)
    exact = _exactly(outcome, probability, patient, threshold)
    metrics = {
        name: exact[name](float(value[0]))
        if name in exact and value[0] in (0.0, 1.0)
        else _estimate(float(value[0]), drawn[name], separable=name.startswith("calibration"))
        for name, value in values.items()
    }
    both = 0 < outcome.sum() < len(outcome)
    return Performance(
        n=len(outcome),
        patients=len(np.unique(patient)),
        events=int(outcome.sum()),
        threshold=threshold,
        metrics=metrics,
        roc=_roc(outcome, probability) if both else [],
        pr=_pr(outcome, probability) if both else [],
        calibration=calibration_curve(outcome, probability, patient),
        decision=decision_curve(outcome, probability),
    )


def point_metrics(outcome: Ints, probability: Floats, weights: Floats, threshold: float) -> dict[str, Floats]:
    """Every metric for each row of weights.

    Parameters
    ----------
    outcome, probability : (n,).
    weights : (resamples, n); ones give the plain figure.

    Returns
    -------
    name -> (resamples,) float64, NaN where a figure does not exist.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        roc, pr = _areas(outcome, probability, weights)
        slope, intercept = _calibration(outcome, probability, weights)
        called = probability >= threshold
        event = outcome == 1

        def total(who: NDArray[np.bool_]) -> Floats:
            return np.asarray(weights[:, who].sum(axis=1), np.float64)

        return {
            "roc_auc": roc,
            "pr_auc": pr,
            "brier": weights @ (probability - outcome) ** 2 / weights.sum(axis=1),
            "calibration_slope": slope,
            "calibration_intercept": intercept,
            "sensitivity": total(called & event) / total(event),
            "specificity": total(~called & ~event) / total(~event),
            "ppv": total(called & event) / total(called),
            "npv": total(~called & ~event) / total(~called),
        }


def roc_auc(outcome: Ints, probability: Floats) -> float:
    """The plain ROC-AUC; NaN when there is one outcome only."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(_areas(outcome, probability, np.ones((1, len(outcome))))[0][0])


def choose_threshold(outcome: Ints, probability: Floats, rule: float | str) -> tuple[float, str]:
    """The probability from which on a unit is called positive, and the rule in words.

    Cuts lie halfway between neighbouring probabilities. "sensitivity >= x" takes the highest cut that reaches it,
    "specificity >= x" the lowest, "youden" the one with the largest sum of both (Youden 1950).
    """
    if not isinstance(rule, str):
        return rule, f"fixed in the study file at {rule:g}"
    levels = np.unique(probability)
    cuts = np.concatenate([[levels[0] / 2], (levels[1:] + levels[:-1]) / 2, [(levels[-1] + 1) / 2]])
    events = np.sort(probability[outcome == 1])
    others = np.sort(probability[outcome == 0])
    sensitivity = 1 - np.searchsorted(events, cuts) / len(events)
    specificity = np.searchsorted(others, cuts) / len(others)
    where = "on out-of-fold predictions of the development set"
    if rule == "youden":
        return float(cuts[np.argmax(sensitivity + specificity)]), f"largest sensitivity + specificity {where}"
    name, wanted = rule.replace(" ", "").split(">=")
    least = float(wanted) - 1e-12
    if name == "sensitivity":
        return float(cuts[sensitivity >= least][-1]), f"highest threshold with sensitivity >= {wanted} {where}"
    return float(cuts[specificity >= least][0]), f"lowest threshold with specificity >= {wanted} {where}"


def calibration_curve(
    outcome: Ints, probability: Floats, patient: NDArray[np.str_], *, groups: int = 10
) -> list[list[float]]:
    """Rows (mean predicted, observed fraction, low, high, n) of equally large groups of units.

    The interval is Clopper & Pearson's (1934, Biometrika 26:404) at the effective number of units (Korn & Graubard
    1998, Surv Methodol 24:193). Units of one patient in a group count as one, as if always alike: the effective number
    is n squared / sum of squared units per patient (Kish 1965), n itself with one unit each. Unlike a bootstrap, this
    gives a group without events an interval. Groups have at least 10 units where there are enough.
    """
    count = max(1, min(groups, len(outcome) // 10))
    order = np.argsort(probability, kind="stable")
    rows = []
    for part in np.array_split(order, count):
        share = _clopper_pearson(float(outcome[part].mean()), _effective(patient[part]))
        rows.append([float(probability[part].mean()), share.value, share.low, share.high, float(len(part))])
    return rows


def decision_curve(outcome: Ints, probability: Floats) -> list[list[float]]:
    """Rows (threshold, net benefit of the model, net benefit of treating all) for thresholds .01 to .99.

    Net benefit = true positives / n - false positives / n x t / (1 - t) (Vickers & Elkin 2006).
    """
    rows = []
    prevalence = float(outcome.mean())
    for t in np.arange(1, 100) / 100:
        called = probability >= t
        odds = t / (1 - t)
        true, false = float((called & (outcome == 1)).mean()), float((called & (outcome == 0)).mean())
        rows.append([float(t), true - false * odds, prevalence - (1 - prevalence) * odds])
    return rows


def _patient_weights(patient: NDArray[np.str_], resamples: int, seed: int) -> Floats:
    """(resamples, n): how often the patient of each unit was drawn with replacement."""
    people, position = np.unique(patient, return_inverse=True)
    draws = np.random.default_rng([seed, 2]).multinomial(
        len(people), np.full(len(people), 1 / len(people)), size=resamples
    )
    return draws[:, position].astype(np.float64)


def _estimate(value: float, drawn: Floats, *, separable: bool) -> Estimate:
    """The percentile interval; none for a figure that does not vary, or that too many resamples do not have."""
    there = drawn[np.isfinite(drawn)]
    # A separated resample has an infinite slope: leaving it out would shorten the interval at its upper end.
    lost = separable and len(there) < 0.975 * len(drawn)
    if not np.isfinite(value) or not len(there) or lost or np.ptp(there) == 0:
        return Estimate(value, np.nan, np.nan)
    low, high = np.percentile(there, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _exactly(
    outcome: Ints, probability: Floats, patient: NDArray[np.str_], threshold: float
) -> dict[str, Callable[[float], Estimate]]:
    """For each metric that can be without an error: its interval at 0 or 1, of which a bootstrap knows nothing.

    Proportions: Clopper & Pearson (1934) at the effective number of units, as in `calibration_curve`. A score interval
    would be shorter; this one never covers too seldom (Brown, Cai & DasGupta 2001, Stat Sci 16:101).

    ROC-AUC: the same at m = the smaller of the effective numbers with and without the outcome. Among m disjoint pairs
    of patients, one of either outcome, each is in order with probability AUC, independently; data without a disorder
    have none among these, so AUC^m >= 2.5 % in its interval: the rule of three (Hanley & Lippman-Hand 1983,
    JAMA 249:1743). m is sharp: no larger one holds for every model (Birnbaum & Klose 1957, Ann Math Stat 28:933).
    """
    event, called = outcome == 1, probability >= threshold
    either = [_effective(patient[who]) for who in (event, ~event)]
    # A patient with both outcomes cannot be in two independent pairs.
    pairs = min(*either, len(np.unique(patient)) / 2)
    sizes = {"roc_auc": pairs, "sensitivity": either[0], "specificity": either[1]}
    sizes |= {"ppv": _effective(patient[called]), "npv": _effective(patient[~called])}
    return {name: partial(_clopper_pearson, size=size) for name, size in sizes.items()}


def _effective(patient: NDArray[np.str_]) -> float:
    """How many independent units these are: n squared / sum of squared units per patient (Kish 1965)."""
    units = np.unique(patient, return_counts=True)[1]
    return len(patient) ** 2 / float((units**2).sum()) if len(patient) else 0.0


def _clopper_pearson(share: float, size: float) -> Estimate:
    k = size * share
    low = float(beta.ppf(0.025, k, size - k + 1)) if share > 0 else 0.0
    high = float(beta.ppf(0.975, k + 1, size - k)) if share < 1 else 1.0
    return Estimate(share, low, high)


def _areas(outcome: Ints, probability: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """ROC-AUC and average precision per row of weights, ties counted as half."""
    order = np.argsort(-probability, kind="stable")
    first = np.flatnonzero(np.diff(probability[order], prepend=np.inf))
    ranked, label = weights[:, order], outcome[order]
    events = np.add.reduceat(ranked * label, first, axis=1)
    others = np.add.reduceat(ranked * (1 - label), first, axis=1)
    all_events, all_others = events.sum(axis=1), others.sum(axis=1)
    above = np.cumsum(others, axis=1) - others
    roc = 1 - (events * (above + others / 2)).sum(axis=1) / (all_events * all_others)
    true, false = np.cumsum(events, axis=1), np.cumsum(others, axis=1)
    called = true + false
    precision = np.where(called > 0, true / np.where(called > 0, called, 1), 0.0)
    return roc, (events * precision).sum(axis=1) / all_events


def _calibration(outcome: Ints, probability: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Slope of logit(p) in a logistic recalibration, and the intercept when the slope is fixed at 1 (an offset)."""
    z = logit(np.clip(probability, NEVER_CERTAIN, 1 - NEVER_CERTAIN))
    possible = (weights @ outcome > 0) & (weights @ (1 - outcome) > 0) & ~_separated(outcome, z, weights)
    # As many events as expected: the sum of the probabilities grows with the offset, so halving always finds it.
    low, high = np.full(len(weights), -30.0), np.full(len(weights), 30.0)
    for _ in range(45):
        middle = (low + high) / 2
        too_few = (weights * (outcome - expit(middle[:, None] + z))).sum(axis=1) > 0
        low, high = np.where(too_few, middle, low), np.where(too_few, high, middle)
    return np.where(possible, _slope(outcome, z, weights), np.nan), np.where(possible, (low + high) / 2, np.nan)


def _separated(outcome: Ints, z: Floats, weights: Floats) -> NDArray[np.bool_]:
    """Per row of weights: some cut has all events on one side and all others on the other, so that no slope fits best.

    A tie at the cut changes nothing (Albert & Anderson 1984, Biometrika 71:1: complete and quasi-complete separation).
    """
    there, event = weights > 0, outcome == 1

    def reach(who: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        inside = there & who
        return np.where(inside, z, np.inf).min(axis=1), np.where(inside, z, -np.inf).max(axis=1)

    (low_event, high_event), (low_other, high_other) = reach(event), reach(~event)
    return (low_event >= high_other) | (low_other >= high_event)


def _slope(outcome: Ints, z: Floats, weights: Floats) -> Floats:
    """Slope of a logistic regression on z for each row of weights, by Newton's method with halved steps."""
    if z.std() == 0:
        return np.full(len(weights), np.nan)
    u = (z - z.mean()) / z.std()
    a, b = np.zeros(len(weights)), np.zeros(len(weights))
    likelihood = _log_likelihood(outcome, u, weights, a, b)
    for _ in range(40):
        p = expit(a[:, None] + b[:, None] * u)
        residual, spread = weights * (outcome - p), weights * p * (1 - p)
        g0, g1 = residual.sum(axis=1), residual @ u
        h00, h01, h11 = spread.sum(axis=1), spread @ u, spread @ u**2
        determinant = h00 * h11 - h01**2
        step = np.stack([(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant])
        for _ in range(12):
            better = _log_likelihood(outcome, u, weights, a + step[0], b + step[1])
            if not (worse := better < likelihood - 1e-9).any():
                break
            step = np.where(worse, step / 2, step)
        a, b, likelihood = a + step[0], b + step[1], better
        if np.nanmax(np.abs(step), initial=0.0) < 1e-8:
            break
    return np.asarray(b / z.std())


def _log_likelihood(outcome: Ints, u: Floats, weights: Floats, a: Floats, b: Floats) -> Floats:
    eta = a[:, None] + b[:, None] * u
    return np.asarray((weights * (outcome * eta - np.logaddexp(0, eta))).sum(axis=1))


def _counts(outcome: Ints, probability: Floats) -> tuple[Floats, Floats]:
    """True and false positives when calling positive down to each distinct probability, from none to all."""
    order = np.argsort(-probability, kind="stable")
    last = np.flatnonzero(np.diff(probability[order], append=-np.inf))
    true = np.cumsum(outcome[order])[last].astype(np.float64)
    return np.concatenate([[0.0], true]), np.concatenate([[0.0], last + 1 - true])


def _roc(outcome: Ints, probability: Floats) -> list[list[float]]:
    true, false = _counts(outcome, probability)
    return np.column_stack([false / false[-1], true / true[-1]]).tolist()  # type: ignore[no-any-return]


def _pr(outcome: Ints, probability: Floats) -> list[list[float]]:
    true, false = _counts(outcome, probability)
    return np.column_stack([true[1:] / true[-1], true[1:] / (true + false)[1:]]).tolist()  # type: ignore[no-any-return]
