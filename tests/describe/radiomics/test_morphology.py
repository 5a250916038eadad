from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.describe.radiomics import TERMS
from tapetum.describe.radiomics.morphology import morphology

Spacing = tuple[float, float, float]


def shape_of(inside: NDArray[np.bool_], spacing_mm: Spacing = (1.0, 1.0, 1.0)) -> dict[str, float]:
    with np.errstate(all="ignore"):
        found = morphology(inside, spacing_mm, values=np.ones(inside.shape), measured=inside)
    return {term.name: value for term, value in zip(TERMS["morph"], found, strict=True)}


def test_a_ball_of_20_mm_radius_has_the_shape_of_a_ball() -> None:
    z, y, x = np.ogrid[-13:14, -22:23, -22:23]
    ball = (2 * z) ** 2 + y**2 + x**2 <= 20**2
    found = shape_of(ball, (2.0, 1.0, 1.0))
    assert found["morph_volume_mesh"] == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.01)
    assert found["morph_maximum_3d_diameter"] == pytest.approx(40, abs=2.01)
    # Four standard deviations of a full ball: 4 r / sqrt(5).
    assert found["morph_major_axis_length"] == pytest.approx(4 * 20 / np.sqrt(5), rel=0.01)
    assert found["morph_flatness"] == pytest.approx(1, abs=0.01)
    # The mesh of voxels is rougher than the ball: sphericity is known to stay below 1.
    assert 0.85 < found["morph_sphericity"] < 1


def test_a_long_box_is_as_long_as_its_voxels() -> None:
    found = shape_of(np.ones((1, 1, 9), bool), (1.0, 1.0, 2.0))
    assert found["morph_maximum_3d_diameter"] == pytest.approx(18)
    assert found["morph_volume_voxel_counting"] == 18
    assert (found["morph_elongation"], found["morph_flatness"]) == (0.0, 0.0)


def test_roundness_in_all_its_names_is_one_figure() -> None:
    found = shape_of(np.random.default_rng(2).random((6, 7, 8)) > 0.4)
    compactness = found["morph_compactness_2"]
    assert found["morph_sphericity"] == pytest.approx(compactness ** (1 / 3))
    assert found["morph_spherical_disproportion"] == pytest.approx(found["morph_asphericity"] + 1)
    assert found["morph_compactness_1"] == pytest.approx(np.sqrt(compactness) / (6 * np.pi))


def test_a_single_voxel_has_a_mesh_but_no_axes() -> None:
    found = shape_of(np.ones((1, 1, 1), bool))
    assert found["morph_volume_mesh"] == pytest.approx(1 / 6)
    assert np.isnan(found["morph_major_axis_length"])


def test_without_intensities_there_is_no_integrated_intensity() -> None:
    inside = np.ones((2, 2, 2), bool)
    with np.errstate(all="ignore"):
        found = morphology(inside, (1.0, 1.0, 1.0), values=np.ones((2, 2, 2)), measured=np.zeros((2, 2, 2), bool))
    assert np.isnan(found[-1])
