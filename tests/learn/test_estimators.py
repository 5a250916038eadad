import numpy as np
import pytest

from tapetum.errors import ValidationFailed
from tapetum.learn.estimators import FAMILIES, KnownColumns, Screen, TameTails, build, fit, sample_settings


def _data(n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8))
    x[:, 6] = 1.0
    x[:, 7] = np.nan
    x[rng.random(n) < 0.2, 1] = np.nan
    outcome = (x[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(np.int64)
    return x, outcome, np.array([f"p{i // 2}" for i in range(n)])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_setting_of_a_family_can_be_fitted_on_rough_data(family: str) -> None:
    x, outcome, patient = _data()
    for settings in sample_settings(family, budget=6, seed=1):
        quick = settings | ({"trees": 10} if family == "forest" else {})
        p = fit(family, quick, x, outcome, patient, seed=1).predict_proba(x)[:, 1]
        assert ((p >= 0) & (p <= 1)).all()
        assert p[outcome == 1].mean() > p[outcome == 0].mean()


def test_the_same_seed_tries_the_same_settings_and_none_twice() -> None:
    one = sample_settings("svm", budget=12, seed=1)
    assert one == sample_settings("svm", budget=12, seed=1) != sample_settings("svm", budget=12, seed=2)
    assert len(one) == 12
    assert all(settings not in one[:i] for i, settings in enumerate(one))


def test_columns_that_hardly_vary_or_repeat_another_are_screened_out() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    rare = np.zeros(200)
    rare[:2] = 1.0
    x = np.column_stack([a, np.full(200, 3.0), rare, -2 * a + 1e-3 * b, b])
    assert Screen().fit(x).kept_.tolist() == [0, 4]
    assert Screen().fit(x[:, 1:2]).transform(x[:, 1:2]).shape == (200, 1)


def test_an_outlier_keeps_its_place_and_loses_its_weight() -> None:
    x = np.append(np.linspace(-1, 1, 101), 1e9)[:, None]
    tame = TameTails().fit(x).transform(x)[:, 0]
    assert (np.diff(tame) > 0).all()
    assert tame[-1] < 25
    assert np.isfinite(TameTails().fit(np.ones((5, 1))).transform(np.ones((5, 1)))).all()


def test_imputation_scaling_and_selection_learn_from_the_rows_they_are_given() -> None:
    x, outcome, _ = _data()
    settings = {"penalty": "ridge", "c": 1.0, "tails": True, "select": 30, "correlation": 0.95}
    model = build("logistic", settings, seed=1).fit(x[:60], outcome[:60])
    np.testing.assert_allclose(model["impute"].statistics_[:6], np.nanmedian(x[:60, :6], axis=0))
    assert model["select"].get_support().sum() < len(model["screen"].kept_)


def test_a_support_vector_machine_gives_probabilities_and_forgets_who_was_in_its_folds() -> None:
    x, outcome, patient = _data()
    model = fit("svm", sample_settings("svm", budget=1, seed=1)[0], x, outcome, patient, seed=1)
    assert model.cv is None
    assert len(model.calibrated_classifiers_) == 1


def test_boosting_needs_one_column_that_varies() -> None:
    x, _, _ = _data()
    assert KnownColumns().fit(x).kept_.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValidationFailed, match="no feature varies"):
        KnownColumns().fit(x[:, 6:])
