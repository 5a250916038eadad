import numpy as np
import pytest

from tapetum.learn import search as module
from tapetum.learn.estimators import sample_settings
from tapetum.learn.search import search


def _data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 30))
    outcome = (x[:, 0] + rng.normal(size=120) > 0).astype(np.int64)
    return x, outcome, np.array([f"p{i // 2}" for i in range(120)])


def test_a_budget_of_one_fits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build", None)
    found = search("svm", *_data(), budget=1, inner_folds=3, seed=1)
    assert found == sample_settings("svm", budget=1, seed=1)[0]


def test_the_setting_that_ranks_unseen_patients_best_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [{"penalty": "ridge", "c": c, "tails": False, "select": "all", "correlation": 0.95} for c in (1e-9, 0.1)]
    noise = [{**settings[1], "penalty": "lasso", "c": 1e-6}]  # nothing is left: every score is the same
    monkeypatch.setattr(module, "sample_settings", lambda *_, **__: [*noise, *settings])
    assert search("logistic", *_data(), budget=3, inner_folds=3, seed=1)["penalty"] == "ridge"


def test_the_same_seed_finds_the_same_setting() -> None:
    one, same = (search("logistic", *_data(), budget=4, inner_folds=2, seed=3) for _ in range(2))
    assert one == same


def test_a_fold_of_one_outcome_prefers_nothing() -> None:
    assert module._ranking(None, np.zeros((2, 1)), np.zeros(2, np.int64)) == 0.5
