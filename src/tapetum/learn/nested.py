"""Nested cross-validation of every family on the development set.

In: the development rows and their outer splits.  Out: one `OutOfFold` per family.  Start reading at `nested`.
In each outer fold the settings are searched, and everything is fitted, on the training side alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tapetum.learn.estimators import fit
from tapetum.learn.search import search
from tapetum.learn.split import Split

__all__ = ["Learning", "OutOfFold", "nested", "search_all"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOWEST_FIRST = ("forest", "boosting", "svm", "logistic")


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """The development rows and how to learn from them; ``groups`` are what inner folds keep together."""

    x: Floats
    outcome: Ints
    patient: NDArray[np.str_]
    groups: NDArray[np.str_]
    budget: int
    inner_folds: int
    seed: int
    jobs: int


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Predictions for people a family had not seen.

    ``probability`` and ``fold`` are (repeats, units): what was predicted, and in which fold of the repeat the unit was
    held out; ``settings`` one per split, in the order of the splits.
    """

    probability: Floats
    fold: Ints
    settings: tuple[Mapping[str, Any], ...]


def nested(
    families: Sequence[str],
    data: Learning,
    splits: Sequence[Sequence[Split]],
    progress: Callable[[str, int, int], None],
) -> dict[str, OutOfFold]:
    """Search, fit and predict every family in every split.

    Parameters
    ----------
    families : names of `tapetum.learn.estimators.FAMILIES`, and "ensemble", the mean probability of all the others.
    splits : for each repeat the outer folds, which together hold out every row once.
    progress : called with ("models", done, total) after each fold of each family.
    """
    alone = [family for family in SLOWEST_FIRST if family in families]
    flat = [(family, repeat, i) for family in alone for repeat, cut in enumerate(splits) for i in range(len(cut))]
    tasks = (delayed(_one)(family, data, splits[repeat][i]) for family, repeat, i in flat)
    shape = (len(splits), len(data.outcome))
    found = {family: (np.zeros(shape), []) for family in alone}  # type: dict[str, tuple[Floats, list[Any]]]
    fold = np.zeros(shape, np.int64)
    done = Parallel(n_jobs=data.jobs, max_nbytes=None, return_as="generator")(tasks)
    for number, ((family, repeat, i), (settings, probability)) in enumerate(zip(flat, done, strict=True)):
        rows = splits[repeat][i].held_out
        found[family][0][repeat, rows] = probability
        found[family][1].append(settings)
        fold[repeat, rows] = i
        progress("models", number + 1, len(flat))
    result = {family: OutOfFold(*(found[family][0], fold, tuple(found[family][1]))) for family in alone}
    if "ensemble" in families:
        mean = np.mean([one.probability for one in result.values()], axis=0)
        each = zip(*(one.settings for one in result.values()), strict=True)
        joint = tuple(dict(zip(result, together, strict=True)) for together in each)
        result["ensemble"] = OutOfFold(mean, fold, joint)
    return {family: result[family] for family in families}


def search_all(families: Sequence[str], data: Learning) -> dict[str, Mapping[str, Any]]:
    """Settings for the model that is fitted on every development row, searched in the same way."""
    rows = np.arange(len(data.outcome))
    found = Parallel(n_jobs=data.jobs, max_nbytes=None)(delayed(_searched)(family, data, rows) for family in families)
    return dict(zip(families, found, strict=True))


def _one(family: str, data: Learning, split: Split) -> tuple[dict[str, Any], Floats]:
    rows = split.train
    settings = _searched(family, data, rows)
    with threadpool_limits(1):
        model = fit(family, settings, data.x[rows], data.outcome[rows], data.patient[rows], seed=data.seed)
        return settings, model.predict_proba(data.x[split.held_out])[:, 1]


def _searched(family: str, data: Learning, rows: Ints) -> dict[str, Any]:
    with threadpool_limits(1):
        return search(
            family,
            data.x[rows],
            data.outcome[rows],
            _kept_together(data, rows),
            budget=data.budget,
            inner_folds=data.inner_folds,
            seed=data.seed,
        )


def _kept_together(data: Learning, rows: Ints) -> NDArray[np.str_]:
    """Inner folds keep sites together while enough sites have both outcomes, patients otherwise."""
    groups, outcome = data.groups[rows], data.outcome[rows]
    enough = all(len(np.unique(groups[outcome == value])) >= 2 * data.inner_folds for value in (0, 1))
    return groups if enough else data.patient[rows]
