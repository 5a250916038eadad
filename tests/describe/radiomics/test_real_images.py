"""Two brain and one breast MR with a lesion each, against the baseline that PyRadiomics publishes for them.

Left out are the features that PyRadiomics defines otherwise than IBSI (kurtosis, total energy), the surface (another
triangulation, 0.5 % apart) and the axis lengths (its covariance is divided by n, the IBSI reference values need n - 1).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from tapetum.describe.radiomics import RadiomicsSettings, describe
from tapetum.model import Geometry, Image, Quantity, Region

SAME = {
    "shape": """MeshVolume morph_volume_mesh, VoxelVolume morph_volume_voxel_counting,
        Maximum3DDiameter morph_maximum_3d_diameter, Elongation morph_elongation, Flatness morph_flatness""",
    "firstorder": """Mean stat_mean, Variance stat_variance, Skewness stat_skewness, Median stat_median,
        10Percentile stat_10th_percentile, 90Percentile stat_90th_percentile,
        InterquartileRange stat_interquartile_range, MeanAbsoluteDeviation stat_mean_absolute_deviation,
        RobustMeanAbsoluteDeviation stat_robust_mean_absolute_deviation, Entropy ih_entropy,
        Uniformity ih_uniformity""",
    "glcm": """MaximumProbability glcm_joint_maximum, JointAverage glcm_joint_average, SumSquares glcm_joint_variance,
        JointEntropy glcm_joint_entropy, DifferenceAverage glcm_difference_average,
        DifferenceVariance glcm_difference_variance, DifferenceEntropy glcm_difference_entropy,
        SumAverage glcm_sum_average, SumEntropy glcm_sum_entropy, JointEnergy glcm_angular_second_moment,
        Contrast glcm_contrast, Id glcm_inverse_difference, Idn glcm_normalised_inverse_difference,
        Idm glcm_inverse_difference_moment, Idmn glcm_normalised_inverse_difference_moment,
        InverseVariance glcm_inverse_variance, Correlation glcm_correlation, Autocorrelation glcm_autocorrelation,
        ClusterTendency glcm_cluster_tendency, ClusterShade glcm_cluster_shade,
        ClusterProminence glcm_cluster_prominence, Imc1 glcm_information_correlation_1,
        Imc2 glcm_information_correlation_2""",
    "glrlm": """ShortRunEmphasis glrlm_short_runs_emphasis, LongRunEmphasis glrlm_long_runs_emphasis,
        LowGrayLevelRunEmphasis glrlm_low_grey_level_run_emphasis, RunPercentage glrlm_run_percentage,
        GrayLevelNonUniformity glrlm_grey_level_non_uniformity, RunLengthNonUniformity glrlm_run_length_non_uniformity,
        GrayLevelVariance glrlm_grey_level_variance, RunVariance glrlm_run_length_variance,
        RunEntropy glrlm_run_entropy, LongRunHighGrayLevelEmphasis glrlm_long_run_high_grey_level_emphasis""",
    "glszm": """SmallAreaEmphasis glszm_small_zone_emphasis, LargeAreaEmphasis glszm_large_zone_emphasis,
        SizeZoneNonUniformity glszm_zone_size_non_uniformity, ZonePercentage glszm_zone_percentage,
        ZoneVariance glszm_zone_size_variance, ZoneEntropy glszm_zone_size_entropy""",
    "ngtdm": """Coarseness ngtdm_coarseness, Contrast ngtdm_contrast, Busyness ngtdm_busyness,
        Complexity ngtdm_complexity, Strength ngtdm_strength""",
    "gldm": """SmallDependenceEmphasis ngldm_low_dependence_emphasis, DependenceEntropy ngldm_dependence_count_entropy,
        LargeDependenceEmphasis ngldm_high_dependence_emphasis, GrayLevelVariance ngldm_grey_level_variance,
        DependenceNonUniformity ngldm_dependence_count_non_uniformity,
        DependenceVariance ngldm_dependence_count_variance""",
}
WIDTH = 25.0


@pytest.mark.parametrize("case", ["brain1", "brain2", "breast1"])
def test_a_lesion_has_the_values_of_pyradiomics_where_both_define_a_feature_alike(
    shared_data: Callable[[str], Path], case: str
) -> None:
    folder = shared_data("pyradiomics_cases") / "data"
    read = SimpleITK.ReadImage(str(folder / f"{case}_image.nrrd"))
    array = SimpleITK.GetArrayFromImage(read).astype(np.float32)
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / f"{case}_label.nrrd"))) == 1
    grid = Geometry(array.shape, read.GetSpacing()[::-1])
    # PyRadiomics puts the edges of its bins at multiples of their width and takes the mean over directions.
    lowest = float(np.floor(array[mask].min() / WIDTH) * WIDTH)
    made = RadiomicsSettings(bin_size=WIDTH, range=(lowest, np.inf), merge_directions=False)
    image = Image(array, "zyx", Quantity("signal", "1"), grid)
    measured = {f.name: f.value for f in describe(image, Region(mask, grid, "lesion"), settings=made)}
    published = {ours: value for family in SAME for ours, value in _baseline(folder, family, case).items()}
    assert len(published) == 66
    assert {name: measured[name] for name in published} == pytest.approx(published, rel=1e-3)


def _baseline(folder: Path, family: str, case: str) -> dict[str, float]:
    with (folder / "baseline" / f"baseline_{family}.csv").open(newline="") as file:
        column = {row["featureName"]: row[case] for row in csv.DictReader(file)}
    pairs = (pair.split() for pair in SAME[family].split(","))
    return {ours: float(column[f"original_{family}_{theirs}"]) for theirs, ours in pairs}
