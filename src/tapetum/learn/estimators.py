"""The model families: what they are made of, which settings are tried, and how one is fitted.

In: a matrix with NaN, outcomes, and the group of each row.  Out: fitted scikit-learn estimators.
Everything that learns from data (imputation, screening, scaling, selection, calibration) sits inside the pipeline and
is therefore fitted inside each fold.  Start reading at `FAMILIES` and `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectPercentile, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tapetum.errors import ValidationFailed
from tapetum.learn.split import folds
from tapetum.learn.trees import as_trees

__all__ = ["FAMILIES", "KnownColumns", "Screen", "TameTails", "build", "fit", "sample_settings"]

Floats = NDArray[np.float64]
Settings = Mapping[str, Any]


class Screen(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Drops columns that hardly vary, and of two that correlate more than ``limit`` the later one.

    Looks at no outcome. ``kept_`` holds the column numbers. When nothing varies the first column stays.
    """

    def __init__(self, limit: float = 0.95) -> None:
        self.limit = limit

    def fit(self, x: Floats, y: object = None) -> Self:
        """Choose the columns from (rows, columns) without NaN."""
        commonest = np.array([np.unique(column, return_counts=True)[1].max() for column in x.T])
        varied = np.flatnonzero((commonest < 0.98 * len(x)) & (x.std(axis=0) > 1e-9 * (1 + np.abs(x).max(axis=0))))
        if len(varied) == 0:
            self.kept_ = np.array([0])
            return self
        z = x[:, varied] - x[:, varied].mean(axis=0)
        z /= np.sqrt((z**2).sum(axis=0))
        alike = np.abs(z.T @ z) > self.limit
        kept: list[int] = []
        for j in range(len(varied)):
            if not alike[j, kept].any():
                kept.append(j)
        self.kept_ = varied[kept]
        return self

    def transform(self, x: Floats) -> Floats:
        """The kept columns of (rows, columns)."""
        return np.asarray(x[:, self.kept_])


class KnownColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Leaves out columns without two different known values, which histogram boosting cannot bin."""

    def fit(self, x: Floats, y: object = None) -> Self:
        """Choose the columns from (rows, columns) with NaN."""
        lowest, highest = np.where(np.isnan(x), np.inf, x).min(axis=0), np.where(np.isnan(x), -np.inf, x).max(axis=0)
        self.kept_ = np.flatnonzero(lowest < highest)
        if len(self.kept_) == 0:
            raise ValidationFailed("no feature varies among these people", hint="describe more, or take more people")
        return self

    def transform(self, x: Floats) -> Floats:
        """The kept columns of (rows, columns)."""
        return np.asarray(x[:, self.kept_])


class TameTails(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """asinh of the robust z-score: straight in the middle, logarithmic in the tails, so that no outlier rules.

    Image features are often heavy-tailed (energy, volume); a scanner's odd image must not move everybody's scale.
    """

    def fit(self, x: Floats, y: object = None) -> Self:
        """Learn median and interquartile range of each column of (rows, columns) without NaN."""
        low, self.centre_, high = np.percentile(x, [25, 50, 75], axis=0)
        spread = (high - low) / 1.349  # the standard deviation of a normal distribution with this range
        self.scale_ = np.where(spread > 0, spread, np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0))
        return self

    def transform(self, x: Floats) -> Floats:
        """Values of about -3 to 3."""
        return np.asarray(np.arcsinh((x - self.centre_) / self.scale_))


def _steps(settings: Settings, model: BaseEstimator) -> Pipeline:
    """Imputation, screening, scaling and selection before a model that needs them."""
    steps: list[tuple[str, Any]] = [
        ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
        ("screen", Screen(settings.get("correlation", 0.95))),
    ]
    if settings.get("tails", True):
        steps.append(("tails", TameTails()))
    steps.append(("scale", StandardScaler()))
    select = settings.get("select", "all")
    if select == "pca":
        steps.append(("select", PCA(0.95, svd_solver="full")))
    elif select != "all":
        steps.append(("select", SelectPercentile(f_classif, percentile=select)))
    return Pipeline([*steps, ("model", model)])


def _logistic(settings: Settings, seed: int) -> BaseEstimator:
    sparse = settings["penalty"] == "lasso"
    model = LogisticRegression(
        C=settings["c"],
        l1_ratio=1.0 if sparse else 0.0,
        solver="liblinear" if sparse else "lbfgs",
        max_iter=5000,
        random_state=seed,
    )
    return _steps(settings, model)


def _svm(settings: Settings, seed: int) -> BaseEstimator:
    # gamma = "scale" is 1 / (columns x variance); after scaling that is 1 / columns.
    return _steps(settings, SVC(C=settings["c"], gamma=settings["gamma"], kernel="rbf", random_state=seed))


def _forest(settings: Settings, seed: int) -> BaseEstimator:
    kind = ExtraTreesClassifier if settings["kind"] == "extra" else RandomForestClassifier
    model = kind(
        settings["trees"],
        min_samples_leaf=settings["leaf"],
        max_features=settings["share"],
        random_state=seed,
        n_jobs=1,
    )
    return _steps({**settings, "tails": False}, model)


def _boosting(settings: Settings, seed: int) -> BaseEstimator:
    # Takes missing values as they are, so that being missing can matter.
    model = HistGradientBoostingClassifier(
        learning_rate=settings["rate"],
        max_iter=settings["rounds"],
        max_leaf_nodes=settings["leaves"],
        min_samples_leaf=settings["leaf"],
        l2_regularization=settings["l2"],
        max_features=settings["share"],
        max_bins=64,
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("known", KnownColumns()), ("model", model)])


FAMILIES: Mapping[str, tuple[Callable[[Settings, int], BaseEstimator], Mapping[str, Sequence[Any]]]] = {
    "logistic": (
        _logistic,
        {
            "penalty": ["ridge", "ridge", "lasso"],
            "c": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
            "tails": [True, False],
            "select": ["all", "all", "pca", 30],
            "correlation": [0.95, 0.8],
        },
    ),
    "svm": (
        _svm,
        {
            "c": [0.1, 0.3, 1.0, 3.0, 10.0],
            "gamma": ["scale", "scale", 0.001, 0.003, 0.01],
            "tails": [True, True, False],
            "select": ["all", "all", "pca", 30],
            "correlation": [0.98, 0.95, 0.8],
        },
    ),
    "forest": (
        _forest,
        {
            "kind": ["extra", "forest"],
            "trees": [150],
            "leaf": [1, 2, 4, 8],
            "share": ["sqrt", 0.1, 0.3],
            "select": ["all", "all", 30],
            "correlation": [0.98, 0.9],
        },
    ),
    "boosting": (
        _boosting,
        {
            "rate": [0.03, 0.1],
            "rounds": [40, 80],
            "leaves": [3, 6, 12],
            "leaf": [5, 15, 30],
            "l2": [0.0, 1.0, 10.0],
            "share": [0.1, 0.3, 1.0],
        },
    ),
}
"""Family -> how one is built, and the values that the inner search draws from."""


def sample_settings(family: str, *, budget: int, seed: int) -> list[dict[str, Any]]:
    """Draw up to ``budget`` different settings of a family, the same ones for the same seed."""
    space = FAMILIES[family][1]
    rng = np.random.default_rng([seed, sorted(FAMILIES).index(family)])
    found: list[dict[str, Any]] = []
    for _ in range(20 * budget):
        settings = {name: values[int(rng.integers(len(values)))] for name, values in space.items()}
        if settings not in found:
            found.append(settings)
        if len(found) == budget:
            break
    return found


def build(family: str, settings: Settings, *, seed: int) -> BaseEstimator:
    """An unfitted estimator; its scores rank units but need not be probabilities."""
    return FAMILIES[family][0](settings, seed)


def fit(
    family: str, settings: Settings, x: Floats, outcome: NDArray[np.int64], groups: NDArray[np.str_], *, seed: int
) -> ClassifierMixin:
    """Fit one model with these settings so that it gives probabilities.

    Parameters
    ----------
    x, outcome, groups : (n, columns) with NaN, (n,) of 0 and 1, (n,) patient keys. Not modified.

    Returns
    -------
    A fitted classifier. A support vector machine has its scores turned into probabilities by Platt's method on
    predictions of folds of whole patients (as many as both outcomes allow, at most 5).
    """
    model = build(family, settings, seed=seed)
    if family in ("forest", "boosting"):
        model.fit(x, outcome)
        model.steps[-1] = ("model", as_trees(model[-1]))
        return model
    if family != "svm":
        return model.fit(x, outcome)
    count = min(5, *(len(np.unique(groups[outcome == value])) for value in (0, 1)))
    cut = [(split.train, split.held_out) for split in folds(groups, outcome, count=count, seed=seed)]
    calibrated = CalibratedClassifierCV(model, method="sigmoid", cv=cut, ensemble=False).fit(x, outcome)
    # The folds name rows of the training data, which have no place in a packaged model.
    return calibrated.set_params(cv=None)
