"""Which features matter: how much ROC-AUC is lost on held-out people when one feature is shuffled.

In: the models of the outer folds and the rows they had not seen.  Out: `Importance` rows, strongest first.
Source: permutation importance (Breiman 2001, Machine Learning 45:5), on out-of-fold data so that it cannot praise
what was only learnt by heart.  Features that say the same share their importance: read them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum.learn.features import FeatureColumn
from tapetum.learn.fitted import Members, mean_probability
from tapetum.learn.metrics import roc_auc
from tapetum.learn.result import Estimate, Importance
from tapetum.learn.split import Split

__all__ = ["permutation_importance"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROWS_AT_ONCE = 20_000


def permutation_importance(
    fits: Sequence[tuple[Split, Members]],
    x: Floats,
    outcome: Ints,
    columns: Sequence[FeatureColumn],
    *,
    seed: int,
    strongest: int = 20,
    shuffles: int = 6,
) -> list[Importance]:
    """Loss of ROC-AUC for the strongest features.

    One shuffle of every feature finds twice as many as wanted; fresh shuffles then measure those, so that luck in the
    first does not count. The interval is the 2.5 and 97.5 percentile over folds and shuffles.

    Parameters
    ----------
    fits : each outer fold with the model fitted on its training side. Folds with one outcome only are left out.
    x, outcome : all development rows.
    """
    usable = [(split, members) for split, members in fits if len(np.unique(outcome[split.held_out])) == 2]
    if not usable:
        return []
    rng = np.random.default_rng([seed, 5])
    every = np.arange(x.shape[1])
    first = np.array([_losses(members, x[s.held_out], outcome[s.held_out], every, rng) for s, members in usable])
    likely = np.argsort(-first.mean(axis=0), kind="stable")[: 2 * strongest]
    drawn = np.array(
        [
            _losses(members, x[split.held_out], outcome[split.held_out], likely, rng)
            for split, members in usable
            for _ in range(shuffles)
        ]
    )
    order = np.argsort(-drawn.mean(axis=0), kind="stable")[:strongest]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return [
        Importance(
            columns[likely[j]].name,
            columns[likely[j]].code,
            Estimate(float(drawn[:, j].mean()), float(low[j]), float(high[j])),
        )
        for j in order
    ]


def _losses(members: Members, x: Floats, outcome: Ints, features: Ints, rng: np.random.Generator) -> Floats:
    """(features,): ROC-AUC minus ROC-AUC with that column shuffled; many shuffled copies are predicted at once."""
    whole = roc_auc(outcome, mean_probability(members, x))
    orders = [rng.permutation(len(x)) for _ in features]
    at_once = max(1, ROWS_AT_ONCE // len(x))
    losses = np.zeros(len(features))
    for start in range(0, len(features), at_once):
        part = features[start : start + at_once]
        copies = np.repeat(x[None], len(part), axis=0)
        for i, j in enumerate(part):
            copies[i, :, j] = x[orders[start + i], j]
        probability = mean_probability(members, copies.reshape(-1, x.shape[1])).reshape(len(part), len(x))
        losses[start : start + len(part)] = [whole - roc_auc(outcome, row) for row in probability]
    return losses
