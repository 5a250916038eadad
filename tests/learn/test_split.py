import numpy as np
import pytest

from tapetum.errors import InvalidStudy, ValidationFailed
from tapetum.learn.split import folds, named_sites, set_aside, site_folds

PATIENT = np.array([f"p{i // 2:03}" for i in range(200)])
SITE = np.array(["ABCDEFGH"[i // 2 % 8] for i in range(200)])
OUTCOME = (np.arange(200) // 2 % 4 == 0).astype(np.int64)


def test_no_patient_is_in_the_test_set_and_in_development() -> None:
    split = set_aside(PATIENT, SITE, OUTCOME, fraction=0.25, seed=1, whole_sites=False)
    assert not set(PATIENT[split.train]) & set(PATIENT[split.held_out])
    assert len(split.train) + len(split.held_out) == 200
    assert 0.2 < len(split.held_out) / 200 < 0.3
    assert OUTCOME[split.held_out].mean() == pytest.approx(OUTCOME.mean(), abs=0.03)


def test_the_same_seed_gives_the_same_test_set_and_another_seed_another() -> None:
    one, same, other = (
        set_aside(PATIENT, SITE, OUTCOME, fraction=0.25, seed=seed, whole_sites=False).held_out.tolist()
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_no_fraction_no_test_set() -> None:
    split = set_aside(PATIENT, SITE, OUTCOME, fraction=0.0, seed=1, whole_sites=False)
    assert len(split.held_out) == 0
    assert len(split.train) == 200


def test_whole_sites_are_set_aside_when_sites_are_held_out() -> None:
    split = set_aside(
        PATIENT, np.array([s if s < "G" else "F" for s in SITE]), OUTCOME, fraction=0.3, seed=1, whole_sites=True
    )
    sites = np.array([s if s < "G" else "F" for s in SITE])
    assert not set(sites[split.train]) & set(sites[split.held_out])
    assert 0 < OUTCOME[split.held_out].mean() < 1


def test_sites_of_one_outcome_each_cannot_be_set_aside() -> None:
    with pytest.raises(ValidationFailed, match="whole sites"):
        set_aside(PATIENT, np.where(OUTCOME == 1, "A", "B"), OUTCOME, fraction=0.3, seed=1, whole_sites=True)


def test_too_few_patients_for_a_test_set_are_said() -> None:
    outcome = (PATIENT == "p000").astype(np.int64)
    with pytest.raises(ValidationFailed, match="too few"):
        set_aside(PATIENT, SITE, outcome, fraction=0.25, seed=1, whole_sites=False)


def test_every_patient_is_held_out_once_and_whole() -> None:
    cut = folds(PATIENT, OUTCOME, count=5, seed=1)
    held_out = np.concatenate([split.held_out for split in cut])
    assert sorted(held_out.tolist()) == list(range(200))
    for split in cut:
        assert not set(PATIENT[split.train]) & set(PATIENT[split.held_out])
        assert OUTCOME[split.held_out].mean() == pytest.approx(OUTCOME.mean(), abs=0.05)


def test_more_folds_than_patients_with_the_outcome_are_refused() -> None:
    outcome = np.isin(PATIENT, ["p000", "p001"]).astype(np.int64)
    with pytest.raises(ValidationFailed) as caught:
        folds(PATIENT, outcome, count=5, seed=1)
    assert caught.value.context == {"folds": 5, "outcome": 1, "groups": 2}


def test_every_site_is_left_out_once() -> None:
    cut = site_folds(SITE)
    assert [split.name for split in cut] == list("ABCDEFGH")
    assert all(set(SITE[split.held_out]) == {split.name} for split in cut)
    with pytest.raises(ValidationFailed):
        site_folds(np.array(["A", "A"]))


def test_named_sites_are_the_test_set() -> None:
    assert set(SITE[named_sites(SITE, ("A", "C")).held_out]) == {"A", "C"}


@pytest.mark.parametrize("names", [("X",), tuple("ABCDEFGH")])
def test_sites_that_are_not_there_or_are_all_there_is_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidStudy, match="test_sites"):
        named_sites(SITE, names)
