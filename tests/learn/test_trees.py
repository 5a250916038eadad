import numpy as np
import pytest

from tapetum.learn.estimators import build, fit
from tapetum.learn.trees import Trees

FOREST = {"trees": 20, "leaf": 1, "share": "sqrt", "select": "all", "correlation": 0.98}
BOOSTING = {"rate": 0.1, "rounds": 15, "leaves": 6, "leaf": 5, "l2": 1.0, "share": 1.0}


def _data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5))
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, (np.nan_to_num(x[:, 0]) + rng.normal(size=120) > 0).astype(np.int64), np.arange(120).astype(str)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("forest", {**FOREST, "kind": "forest"}),
        ("forest", {**FOREST, "kind": "extra", "leaf": 4}),
        ("boosting", BOOSTING),
    ],
)
def test_arrays_give_the_probabilities_of_scikit_learn_also_for_missing_values(
    family: str, settings: dict[str, object]
) -> None:
    x, outcome, patient = _data()
    new = np.random.default_rng(1).normal(size=(2500, 5)) * 3
    new[::7, 0] = np.nan
    oracle = build(family, settings, seed=1).fit(x, outcome).predict_proba(new)
    ours = fit(family, settings, x, outcome, patient, seed=1).predict_proba(new)
    np.testing.assert_allclose(ours, oracle, atol=1e-12)


def test_trees_refuse_to_be_fitted() -> None:
    with pytest.raises(TypeError, match="fitted model"):
        Trees().fit(np.zeros((1, 1)))
