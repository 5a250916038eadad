from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from tapetum.describe.radiomics.spatial import PEAK_RADIUS_MM, autocorrelation, local_peaks


def test_the_sphere_of_the_peak_holds_one_cubic_centimetre() -> None:
    assert 4 / 3 * np.pi * PEAK_RADIUS_MM**3 == pytest.approx(1000)


def test_autocorrelation_by_transform_is_the_sum_over_all_pairs() -> None:
    rng = np.random.default_rng(5)
    values, measured, spacing = rng.normal(40, 9, (4, 5, 6)), rng.random((4, 5, 6)) > 0.3, (3.0, 1.0, 0.7)
    x = values[measured] - values[measured].mean()
    weight = squareform(1 / pdist(np.argwhere(measured) * spacing))
    moran = x.size / weight.sum() * (weight * np.outer(x, x)).sum() / (x**2).sum()
    geary = (x.size - 1) / (2 * weight.sum()) * (weight * (x[:, None] - x) ** 2).sum() / (x**2).sum()
    assert autocorrelation(values, measured, spacing) == pytest.approx([moran, geary], rel=1e-9)


def test_a_flat_region_has_no_autocorrelation() -> None:
    assert np.isnan(autocorrelation(np.full((2, 2, 7), 0.1), np.ones((2, 2, 7), bool), (1.0, 1.0, 1.0))).all()


def test_a_lone_bright_voxel_is_not_the_global_peak() -> None:
    values = np.zeros((1, 1, 60))
    values[0, 0, 10], values[0, 0, 35:50] = 10.0, 6.0
    local, highest = local_peaks(values, np.ones((1, 1, 60), bool), (1.0, 1.0, 1.0))
    assert local == pytest.approx(10 / 13)
    assert highest == pytest.approx(6.0)


def test_voxels_without_a_value_do_not_count_in_a_peak() -> None:
    values = np.full((1, 1, 9), 4.0)
    values[0, 0, 0] = np.nan
    assert local_peaks(values, np.isfinite(values), (1.0, 1.0, 1.0)) == pytest.approx([4.0, 4.0])
