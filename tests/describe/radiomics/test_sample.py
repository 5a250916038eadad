from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

from tapetum.describe.radiomics import RadiomicsSettings
from tapetum.describe.radiomics.sample import Sample, discretise, sample
from tapetum.errors import InvalidGeometry
from tapetum.model import Geometry, Image, Quantity, Region

HU = Quantity("radiodensity", "[hnsf'U]")
GRID = Geometry((6, 8, 8), (3.0, 1.0, 1.0))


def a_slope() -> Image:
    """Intensity is the position along z in millimetres, plus ten times that along x."""
    z, _, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(GRID.shape, GRID.spacing_mm, strict=True)), indexing="ij")
    return Image((z + 10 * x).astype(np.float32), "zyx", HU, GRID)


def a_box() -> Region:
    mask = np.zeros(GRID.shape, bool)
    mask[1:5, 2:6, 2:6] = True
    return Region(mask, GRID, "box")


def measured(values: list[float]) -> Sample:
    array = np.array(values).reshape(1, 1, -1)
    everywhere = np.ones(array.shape, bool)
    return Sample(array, everywhere, everywhere, (1.0, 1.0, 1.0))


def found(settings: RadiomicsSettings) -> Sample:
    sampled = sample(a_slope(), a_box(), settings)
    assert sampled is not None
    return sampled


def test_only_the_bounding_box_is_kept() -> None:
    assert found(RadiomicsSettings()).values.shape == (4, 4, 4)


def test_around_local_peaks_the_centimetre_beyond_the_region_is_kept_to_the_edge_of_the_image() -> None:
    wide = found(RadiomicsSettings(families=("loc",)))
    assert wide.values.shape == (6, 8, 8)
    assert wide.tight().values.shape == (4, 4, 4)


def test_an_empty_region_has_nothing() -> None:
    assert sample(a_slope(), replace(a_box(), array=np.zeros(GRID.shape, bool)), RadiomicsSettings()) is None


def test_resampling_keeps_a_linear_slope_and_the_volume_of_a_box() -> None:
    for interpolation in ("linear", "cubic"):
        fine = found(RadiomicsSettings(resample_mm=(1.0, 1.0, 1.0), interpolation=interpolation))  # type: ignore[arg-type]
        assert fine.spacing_mm == (1.0, 1.0, 1.0)
        steps = np.diff(fine.values, axis=0)
        # Grid centres are aligned: 18 voxels of 1 mm span the 6 of 3 mm, and the box its 12 mm.
        assert steps[fine.inside[1:] & fine.inside[:-1]] == pytest.approx(1.0, abs=0.2)
        assert fine.inside.sum() == 12 * 4 * 4


def test_interpolation_is_that_of_simpleitk_on_a_grid_with_the_same_centre() -> None:
    array = np.random.default_rng(6).normal(size=GRID.shape).astype(np.float32)
    whole = Region(np.ones(GRID.shape, bool), GRID, "all")
    spacing = (2.0, 0.7, 0.7)
    ours = sample(Image(array, "zyx", HU, GRID), whole, RadiomicsSettings(resample_mm=spacing))
    assert ours is not None
    assert ours.values.shape == (9, 12, 12)
    theirs = SimpleITK.GetImageFromArray(array)
    theirs.SetSpacing(GRID.spacing_mm[::-1])
    reach = [(n - 1) * s for n, s in zip(GRID.shape, GRID.spacing_mm, strict=True)]
    start = [(old - (n - 1) * s) / 2 for old, n, s in zip(reach, ours.values.shape, spacing, strict=True)]
    fine = SimpleITK.Resample(
        theirs, ours.values.shape[::-1], SimpleITK.Transform(), SimpleITK.sitkLinear, start[::-1], spacing[::-1],
        theirs.GetDirection(), float("nan"), SimpleITK.sitkFloat64,
    )  # fmt: skip
    expected = SimpleITK.GetArrayFromImage(fine)
    # Beyond the outermost voxel centres each goes its own way.
    inner = np.s_[1:-1, 1:-1, 1:-1]
    assert ours.values[inner] == pytest.approx(expected[inner], abs=1e-5)


def test_a_spacing_that_divides_the_image_makes_no_voxel_too_many() -> None:
    grid = Geometry((3, 3, 3), (0.1, 0.1, 0.1))
    image = Image(np.zeros((3, 3, 3)), "zyx", HU, grid)
    fine = sample(image, None, RadiomicsSettings(resample_mm=(0.3, 0.3, 0.3)))
    assert fine is not None
    assert fine.values.shape == (1, 1, 1)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_part_is_resampled_as_in_the_whole_image(interpolation: str) -> None:
    grid = Geometry((60, 50, 1), (1.0, 1.0, 1.0))
    image = Image(np.random.default_rng(9).normal(size=grid.shape), "zyx", HU, grid)
    mask = np.zeros(grid.shape, bool)
    mask[25:29, 22:30] = True
    made = RadiomicsSettings(resample_mm=(0.7, 0.7, 1.0), interpolation=interpolation)  # type: ignore[arg-type]
    part, whole = sample(image, Region(mask, grid, "part"), made), sample(image, None, made)
    assert part is not None
    assert whole is not None
    wanted = part.tight().values
    views = np.lib.stride_tricks.sliding_window_view(whole.values, wanted.shape)
    assert np.abs(views - wanted).max(axis=(3, 4, 5)).min() < 1e-6


def test_an_axis_can_keep_its_spacing() -> None:
    coarse = found(RadiomicsSettings(resample_mm=(None, 2.0, 2.0)))
    assert coarse.spacing_mm == (3.0, 2.0, 2.0)


def test_rounding_after_interpolation_gives_whole_numbers() -> None:
    rounded = found(RadiomicsSettings(resample_mm=(2.0, 0.7, 0.7), round_intensities=True))
    assert (rounded.values == np.rint(rounded.values)).all()


def test_a_picture_without_spacing_cannot_be_resampled() -> None:
    picture = Image(np.zeros((8, 8)), "yx", Quantity("grey value", "1"))
    with pytest.raises(InvalidGeometry):
        sample(picture, None, RadiomicsSettings(resample_mm=(None, 1.0, 1.0)))


def test_intensities_outside_the_range_and_not_finite_leave_the_intensity_mask_only() -> None:
    image = a_slope()
    image.array[2, 2, 2] = np.nan
    cut = sample(image, a_box(), RadiomicsSettings(range=(0.0, 45.0)))
    assert cut is not None
    assert cut.inside.all()
    assert not cut.measured[1, 0, 0]
    assert cut.values[cut.measured].max() <= 45.0


def test_outliers_leave_the_intensity_mask() -> None:
    image = Image(np.array([[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 99.0]]), "yx", HU)
    cut = sample(image, None, RadiomicsSettings(outlier_sigma=3.0))
    assert cut is not None
    assert cut.measured.sum() == 10


def test_a_fixed_number_of_bins_spans_the_intensities_of_the_region() -> None:
    levels, n_levels = discretise(measured([0, 24, 25, 99.9, 100]), RadiomicsSettings(bins=4))
    assert (levels.ravel().tolist(), n_levels) == ([1, 1, 2, 4, 4], 4)


def test_bins_of_fixed_size_start_at_the_lower_bound_of_the_range() -> None:
    made = RadiomicsSettings(bin_size=25.0, range=(-1000.0, 400.0))
    levels, n_levels = discretise(measured([-1000, -976, -975, 40]), made)
    assert (levels.ravel().tolist(), n_levels) == ([1, 1, 2, 42], 42)


def test_bins_of_fixed_size_start_at_the_smallest_intensity_where_no_range_is_given() -> None:
    assert discretise(measured([7, 31, 32]), RadiomicsSettings(bin_size=25.0))[0].ravel().tolist() == [1, 1, 2]


def test_a_range_without_a_lower_bound_starts_bins_at_the_smallest_intensity() -> None:
    made = RadiomicsSettings(bin_size=25.0, range=(-np.inf, 400.0))
    assert discretise(measured([7, 31, 32]), made)[0].ravel().tolist() == [1, 1, 2]


def test_a_bin_size_that_makes_thousands_of_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="wider"):
        discretise(measured([0, 50_000]), RadiomicsSettings(bin_size=1.0))
