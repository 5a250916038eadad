import numpy as np
import pytest

from tapetum.learn.fitted import bagged_spread, bags, fit_members, mean_probability

SETTINGS = {
    "logistic": {"penalty": "ridge", "c": 0.1, "tails": True, "select": "all", "correlation": 0.95},
    "boosting": {"rate": 0.1, "rounds": 5, "leaves": 3, "leaf": 5, "l2": 0.0, "share": 1.0},
}


def _data(n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    return x, (x[:, 0] + rng.normal(size=n) > 0).astype(np.int64), np.array([f"p{i // 2}" for i in range(n)])


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    x, outcome, patient = _data()
    members = fit_members(SETTINGS, x, outcome, patient, seed=1)
    each = [member.predict_proba(x)[:, 1] for member in members]
    np.testing.assert_allclose(mean_probability(members, x), (each[0] + each[1]) / 2)


def test_a_refit_leaves_out_whole_patients_about_a_third_of_them() -> None:
    x, outcome, patient = _data()
    refits, left_out = bags({"logistic": SETTINGS["logistic"]}, x, outcome, patient, seed=1, jobs=1, count=10)
    assert len(refits) == 10
    assert (left_out[:, ::2] == left_out[:, 1::2]).all()
    assert left_out.mean() == pytest.approx(np.exp(-1), abs=0.08)


def test_few_people_make_wider_intervals_than_many() -> None:
    spreads = []
    for n in (40, 400):
        x, outcome, patient = _data(n)
        refits, _ = bags({"logistic": SETTINGS["logistic"]}, x, outcome, patient, seed=1, jobs=1, count=10)
        drawn = np.stack([mean_probability(bag, _data()[0]) for bag in refits])
        spreads.append(bagged_spread(drawn).mean())
    assert spreads[0] > spreads[1] > 0


def test_every_refit_has_people_with_and_without_the_outcome() -> None:
    x, _, patient = _data(40)
    outcome = np.isin(patient, ["p0", "p1"]).astype(np.int64)
    refits, _ = bags({"logistic": SETTINGS["logistic"]}, x, outcome, patient, seed=1, jobs=1, count=5)
    assert all(bag[0].classes_.tolist() == [0, 1] for bag in refits)
