from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.radiomics import TERMS
from tapetum.describe.radiomics.matrices import cooccurrence_features, emphasis_features, tone_features


def named(family: str, values: list[float]) -> dict[str, float]:
    return {term.name.partition("_")[2]: value for term, value in zip(TERMS[family], values, strict=True)}


def test_a_chessboard_has_only_unlike_neighbours_along_its_rows() -> None:
    found = named("glcm", cooccurrence_features(np.array([[0.0, 8.0], [8.0, 0.0]])))
    assert (found["contrast"], found["correlation"], found["joint_entropy"]) == (1.0, -1.0, 1.0)
    assert found["information_correlation_1"] == -1.0


def test_neighbours_that_know_nothing_of_each_other_have_no_correlation() -> None:
    found = named("glcm", cooccurrence_features(np.full((4, 4), 3.0)))
    for name in ("correlation", "information_correlation_1", "information_correlation_2"):
        assert found[name] == pytest.approx(0.0, abs=1e-7)


def test_without_neighbours_there_is_no_cooccurrence() -> None:
    assert np.isnan(cooccurrence_features(np.zeros((3, 3)))).all()


def test_runs_of_one_voxel_have_all_short_emphasis() -> None:
    one = np.ones(3, np.int64)
    found = named("glrlm", emphasis_features(np.array([1, 2, 3]), one, np.full(3, 5.0), potential=30))
    assert (found["short_runs_emphasis"], found["long_runs_emphasis"], found["run_percentage"]) == (1.0, 1.0, 0.5)
    assert found["run_entropy"] == pytest.approx(np.log2(3))
    assert found["run_length_variance"] == 0.0


def test_a_texture_of_one_level_has_the_values_that_the_manual_sets() -> None:
    # IBSI reference manual, IPET: coarseness 10^6; contrast, busyness and strength 0.
    assert tone_features(np.array([0.0, 9.0]), np.array([0.0, 0.0])) == [1e6, 0.0, 0.0, 0.0, 0.0]


def test_tone_features_of_the_manuals_example() -> None:
    # n and s of the example NGTDM of the manual: by hand from the formulas, p = 1/2, 1/4, 1/4.
    coarseness, contrast, busyness, complexity, strength = tone_features(
        np.array([0.0, 2.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.625, 1.875])
    )
    assert coarseness == pytest.approx(1 / 1.125)
    assert contrast == pytest.approx((2 * (1 / 8 + 4 / 8 + 1 / 16)) / 6 * 3.5 / 4)
    assert busyness == pytest.approx(1.125 / (2 * (0.25 + 0.0 + 0.25)))
    assert complexity == pytest.approx(2 * (0.65625 / 0.75 + 2 * 0.96875 / 0.75 + 0.625 / 0.5) / 4)
    assert strength == pytest.approx(2 * (0.75 + 4 * 0.75 + 0.5) / 3.5)


def test_without_neighbours_there_is_no_tone_difference() -> None:
    assert np.isnan(tone_features(np.zeros(3), np.zeros(3))).all()
