from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.radiomics import TERMS
from tapetum.describe.radiomics.intensity import histogram, statistics, volume_histogram


def named(family: str, values: list[float]) -> dict[str, float]:
    return {term.name.partition("_")[2]: value for term, value in zip(TERMS[family], values, strict=True)}


def test_statistics_of_ten_numbers() -> None:
    found = named("stat", statistics(np.arange(1.0, 11.0)))
    assert found["mean"] == found["median"] == 5.5
    assert found["variance"] == 8.25
    assert found["interquartile_range"] == 4.5
    assert found["mean_absolute_deviation"] == found["median_absolute_deviation"] == 2.5
    # Between the 10th and the 90th percentile lie 2 to 9.
    assert found["robust_mean_absolute_deviation"] == 2.0
    assert found["energy"] == 385.0


def test_of_two_unlike_voxels_none_lies_between_the_percentiles() -> None:
    found = named("stat", statistics(np.array([1.0, 3.0])))
    assert np.isnan(found["robust_mean_absolute_deviation"])
    assert found["mean"] == 2.0


def test_the_fullest_bin_nearest_to_the_mean_is_the_mode() -> None:
    assert named("ih", histogram(np.array([1, 1, 4, 4, 5], np.int32), 5))["mode"] == 4.0


def test_entropy_of_four_even_bins_is_two_bits() -> None:
    found = named("ih", histogram(np.array([1, 2, 3, 4], np.int32), 4))
    assert (found["entropy"], found["uniformity"]) == (2.0, 0.25)


def test_one_bin_has_no_gradient() -> None:
    found = named("ih", histogram(np.ones(5, np.int32), 1))
    assert np.isnan([value for name, value in found.items() if "gradient" in name]).all()
    assert found["entropy"] == 0.0


def test_of_even_intensities_a_tenth_of_the_volume_lies_above_nine_tenths_of_the_range() -> None:
    found = named("ivh", volume_histogram(np.linspace(0, 100, 10_001), bin_size=None))
    assert found["volume_fraction_at_90_percent_intensity"] == pytest.approx(0.1, abs=1e-3)
    assert found["intensity_at_10_percent_volume"] == pytest.approx(90, abs=0.2)
    assert found["area_under_the_ivh_curve"] == pytest.approx(0.5, abs=1e-3)


def test_where_half_the_voxels_are_brightest_a_tenth_is_reached_only_above() -> None:
    found = named("ivh", volume_histogram(np.array([0.0, 0.0, 4.0, 4.0]), bin_size=1.0))
    assert found["intensity_at_10_percent_volume"] == 5.0


def test_a_flat_region_has_no_volume_histogram() -> None:
    assert np.isnan(volume_histogram(np.full(4, 7.0), bin_size=None)).all()


def test_a_step_far_too_small_for_the_intensities_is_refused() -> None:
    with pytest.raises(ValueError, match="wider"):
        volume_histogram(np.array([0.0, 1e9]), bin_size=1.0)
