"""The inner search: which settings of a family rank held-out patients best. Sees training data only.

In: the training rows of one outer fold.  Out: its settings.  Start reading at `search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score

from tapetum.learn.estimators import build, sample_settings
from tapetum.learn.split import Split, folds

__all__ = ["search"]

Floats = NDArray[np.float64]


def search(
    family: str,
    x: Floats,
    outcome: NDArray[np.int64],
    groups: NDArray[np.str_],
    *,
    budget: int,
    inner_folds: int,
    seed: int,
) -> dict[str, Any]:
    """Settings with the best mean ROC-AUC over inner folds of whole groups.

    All settings are tried on the first inner fold; the better half goes on to the others (successive halving), which
    saves a third of the fits. With a budget of 1 nothing is fitted.

    Parameters
    ----------
    x, outcome, groups : (n, columns), (n,), (n,) patients, or sites when sites are held out.
    """
    settings = sample_settings(family, budget=budget, seed=seed)
    if len(settings) == 1:
        return settings[0]
    cut = folds(groups, outcome, count=inner_folds, seed=seed)

    def score(one: Mapping[str, Any], split: Split) -> float:
        model = build(family, one, seed=seed).fit(x[split.train], outcome[split.train])
        return _ranking(model, x[split.held_out], outcome[split.held_out])

    first = [score(one, cut[0]) for one in settings]
    half = sorted(np.argsort(-np.array(first), kind="stable")[: max(2, (len(settings) + 1) // 2)].tolist())
    means = [np.mean([first[i], *(score(settings[i], split) for split in cut[1:])]) for i in half]
    best: int = half[int(np.argmax(means))]
    return settings[best]


def _ranking(model: BaseEstimator, x: Floats, outcome: NDArray[np.int64]) -> float:
    if len(np.unique(outcome)) < 2:
        return 0.5  # a fold of one outcome (whole sites) prefers no setting
    by_score = hasattr(model, "decision_function")
    return float(roc_auc_score(outcome, model.decision_function(x) if by_score else model.predict_proba(x)[:, 1]))
