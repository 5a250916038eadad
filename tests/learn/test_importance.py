import numpy as np

from tapetum.learn.features import FeatureColumn
from tapetum.learn.fitted import fit_members
from tapetum.learn.importance import permutation_importance
from tapetum.learn.split import Split, folds

SETTINGS = {"logistic": {"penalty": "ridge", "c": 0.1, "tails": False, "select": "all", "correlation": 0.95}}
COLUMNS = [FeatureColumn(f"f{j}", f"f{j}", code=f"IBSI {j}") for j in range(30)]


def test_the_feature_that_makes_the_outcome_comes_first_and_noise_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 30))
    outcome = (2 * x[:, 4] + x[:, 9] + rng.normal(size=240) > 0).astype(np.int64)
    patient = np.array([f"p{i // 2}" for i in range(240)])
    cut = folds(patient, outcome, count=3, seed=1)
    fits = [(s, fit_members(SETTINGS, x[s.train], outcome[s.train], patient[s.train], seed=1)) for s in cut]
    found = permutation_importance(fits, x, outcome, COLUMNS, seed=1)
    assert len(found) == 20
    assert [row.name for row in found[:2]] == ["f4", "f9"]
    assert found[0].code == "IBSI 4"
    assert found[0].loss.low > 0.1
    assert all(abs(row.loss.value) < 0.03 for row in found[4:])


def test_folds_of_one_outcome_say_nothing() -> None:
    rows = np.arange(4)
    assert permutation_importance([(Split("A", rows, rows), ())], np.zeros((4, 1)), np.zeros(4, int), [], seed=1) == []
