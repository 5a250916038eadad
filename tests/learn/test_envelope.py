import numpy as np

from tapetum.learn.envelope import farthest, fit_envelope

NAMES = [f"f{j}" for j in range(12)]


def _people(n: int, seed: int) -> np.ndarray:
    """Twelve correlated measurements, one of them heavy-tailed, one constant."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 3))
    x = factors @ np.random.default_rng(0).normal(size=(3, 12)) + 0.3 * rng.normal(size=(n, 12))
    x[:, 3] = np.exp(2 * x[:, 3])
    x[:, 4] = 5.0
    return x


def _patients(n: int) -> np.ndarray:
    return np.array([f"p{i // 2}" for i in range(n)])


def test_about_one_in_a_hundred_new_people_of_the_same_kind_is_out_of_range() -> None:
    envelope = fit_envelope(_people(600, 1), _patients(600), seed=1)
    out = (envelope.distances(_people(4000, 2)).max(axis=1) > 1).mean()
    assert 0.001 < out < 0.025


def test_one_value_far_off_is_noticed_and_named() -> None:
    envelope = fit_envelope(_people(600, 1), _patients(600), seed=1)
    row = _people(1, 3)[0]
    assert envelope.distances(row[None]).max() < 1
    row[7] += 300
    assert envelope.distances(row[None]).max() > 1
    assert farthest(envelope, row, NAMES)[0] == "f7"


def test_usual_values_in_an_unusual_combination_are_noticed() -> None:
    x = _people(600, 1)
    envelope = fit_envelope(x, _patients(600), seed=1)
    shuffled = np.column_stack([np.random.default_rng(j).permutation(column) for j, column in enumerate(x.T)])
    assert (envelope.distances(shuffled).max(axis=1) > 1).mean() > 0.6


def test_a_measurement_that_never_varied_must_not_change_much() -> None:
    envelope = fit_envelope(_people(600, 1), _patients(600), seed=1)
    row = _people(1, 3)[0]
    row[4] = 50.0
    assert envelope.distances(row[None]).max() > 1


def test_missing_values_are_not_far_off_and_their_usual_share_is_known() -> None:
    x = _people(600, 1)
    x[:, 11] = np.nan
    x[np.random.default_rng(1).random(600) < 0.3, 0] = np.nan
    envelope = fit_envelope(x, _patients(600), seed=1)
    assert envelope.missing_limit == 2 / 12
    assert envelope.distances(np.full((1, 12), np.nan)).max() < 1
