"""Many decision trees as a few plain arrays.

In: a fitted forest or boosting model of scikit-learn.  Out: `Trees`, which gives the same probabilities.
A package of 26 fitted ensembles then is some arrays to read and trust instead of 6,000 tree objects: 91 s and 173 MB
to write as scikit-learn keeps them.  Start reading at `as_trees`.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier

__all__ = ["Trees", "as_trees"]

Floats = NDArray[np.float64]


class Trees(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Trees in one row of nodes; a leaf has itself as its child on both sides.

    Parameters
    ----------
    kind : "mean", the mean of the trees' probabilities (a forest), or "sum", the logistic of ``base`` plus the sum of
        the trees' values (boosting).
    base : log odds before the first tree.
    """

    def __init__(self, kind: str = "mean", base: float = 0.0) -> None:
        self.kind, self.base = kind, base

    def fit(self, x: Floats, y: object = None) -> Self:
        """Refuses: these trees are taken from a fitted model, see `as_trees` (a pipeline's last step needs a fit)."""
        raise TypeError("trees are taken from a fitted model, not fitted")

    def fill(self, trees: list[dict[str, NDArray[Any]]]) -> Self:
        """Take the nodes of the trees: feature, threshold, left, right (-1 at a leaf), missing_left, value."""
        start = np.concatenate([[0], np.cumsum([len(tree["feature"]) for tree in trees])])
        self.roots_ = start[:-1].astype(np.int32)
        for name in ("feature", "threshold", "missing_left", "value"):
            setattr(self, name + "_", np.concatenate([tree[name] for tree in trees]))
        for name in ("left", "right"):
            joined = [
                np.where(tree[name] >= 0, tree[name] + first, np.arange(len(tree[name])) + first)
                for tree, first in zip(trees, start[:-1], strict=True)
            ]
            setattr(self, name + "_", np.concatenate(joined).astype(np.int32))
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """(rows, 2) probabilities of no event and event for (rows, columns); NaN goes the way it went in training."""
        # scikit-learn's forests compare in float32.
        x = x.astype(np.float32).astype(np.float64) if self.kind == "mean" else np.asarray(x, np.float64)
        total = np.zeros(len(x))
        for first in range(0, len(x), 2000):
            part = x[first : first + 2000]
            node = np.broadcast_to(self.roots_, (len(part), len(self.roots_))).copy()
            row = np.arange(len(part))[:, None]
            while True:
                value = part[row, self.feature_[node]]
                goes_left = np.where(np.isnan(value), self.missing_left_[node], value <= self.threshold_[node])
                below = np.where(goes_left, self.left_[node], self.right_[node])
                if np.array_equal(below, node):
                    break
                node = below
            total[first : first + 2000] = self.value_[node].sum(axis=1)
        event = total / len(self.roots_) if self.kind == "mean" else expit(self.base + total)
        return np.column_stack([1 - event, event])


def as_trees(model: BaseEstimator) -> Trees:
    """The same probabilities from plain arrays, for a fitted forest or histogram boosting model of two classes."""
    if isinstance(model, HistGradientBoostingClassifier):
        # Its trees are reachable only by a private name; a test compares the probabilities.
        found = [_of_boosting(one.nodes) for (one,) in model._predictors]
        return Trees("sum", float(model._baseline_prediction.ravel()[0])).fill(found)
    return Trees("mean").fill([_of_forest(one.tree_) for one in model.estimators_])


def _of_boosting(nodes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "feature": np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
        "threshold": nodes["num_threshold"].astype(np.float64),
        "left": np.where(leaf, -1, nodes["left"].astype(np.int64)),
        "right": np.where(leaf, -1, nodes["right"].astype(np.int64)),
        "missing_left": nodes["missing_go_to_left"].astype(bool),
        "value": np.where(leaf, nodes["value"], 0.0),
    }


def _of_forest(tree: Any) -> dict[str, NDArray[Any]]:
    share = tree.value[:, 0, :]
    return {
        "feature": np.maximum(tree.feature, 0).astype(np.int32),
        "threshold": np.asarray(tree.threshold, np.float64),
        "left": np.asarray(tree.children_left, np.int64),
        "right": np.asarray(tree.children_right, np.int64),
        "missing_left": np.ones(len(tree.feature), bool),
        "value": share[:, 1] / share.sum(axis=1),
    }
