import numpy as np
import pytest
from scipy import ndimage

from tapetum.model import Image, Quantity
from tapetum.standardise import quality

NAMES = {
    "quality_saturation",
    "quality_sharpness",
    "quality_tenengrad",
    "quality_noise",
    "quality_contrast",
    "quality_entropy",
    "quality_focus_entropy",
    "quality_field_coverage",
    "quality_illumination",
}
SCENE = np.where(np.hypot(*np.mgrid[-32:32, -32:32]) < 20, 200.0, 50.0)


def measured(array: np.ndarray, axes: str = "yx", modality: str = "MR") -> dict[str, float]:
    image = Image(array, axes, Quantity("grey value", "1"), modality=modality)
    return {feature.name: feature.value for feature in quality(image)}


def test_every_measure_is_there_for_every_image() -> None:
    assert set(measured(SCENE)) == NAMES
    assert set(measured(np.zeros((2, 2)))) == NAMES
    assert all(feature.code.scheme == "99TAPETUM" for feature in quality(Image(SCENE, "yx", Quantity("x", "1"))))


def test_blurring_lowers_sharpness() -> None:
    sharp, blurred = measured(SCENE), measured(ndimage.gaussian_filter(SCENE, 2))
    assert sharp["quality_sharpness"] > 5 * blurred["quality_sharpness"]
    assert sharp["quality_tenengrad"] > 2 * blurred["quality_tenengrad"]


@pytest.mark.parametrize("sigma", [0.02, 0.05])
def test_noise_of_a_known_strength_is_found(sigma: float) -> None:
    ramp = np.linspace(0, 1, 256)[None] * np.ones((256, 1))
    noisy = ramp + np.random.default_rng(0).normal(0, sigma, ramp.shape)
    scale = np.diff(np.percentile(noisy, [1, 99]))[0]
    assert measured(noisy)["quality_noise"] == pytest.approx(sigma / scale, rel=0.05)


def test_flat_image_has_no_noise_no_contrast_and_no_entropy() -> None:
    found = measured(np.full((20, 20), 7.0))
    assert (found["quality_noise"], found["quality_contrast"], found["quality_entropy"]) == (0, 0, 0)


def test_two_equal_halves_have_one_bit_and_half_contrast() -> None:
    found = measured(np.repeat([0.0, 1.0], 200).reshape(20, 20))
    assert found["quality_entropy"] == pytest.approx(1)
    assert found["quality_contrast"] == pytest.approx(0.5)


def test_focus_entropy_is_zero_for_one_bright_voxel_and_one_when_all_share_the_energy() -> None:
    even = np.ones((20, 20))
    even[0, :8] = 0  # so that the percentiles differ
    assert measured(even)["quality_focus_entropy"] == pytest.approx(1, abs=0.02)
    blurred = measured(ndimage.gaussian_filter(SCENE - 50, 4))["quality_focus_entropy"]
    assert measured(SCENE - 50)["quality_focus_entropy"] < blurred


def test_focus_entropy_is_for_mr_only() -> None:
    assert np.isnan(measured(SCENE, modality="CT")["quality_focus_entropy"])


def test_clipped_part_is_counted() -> None:
    clipped = np.zeros((10, 10))
    clipped[:3] = 255
    assert measured(clipped)["quality_saturation"] == pytest.approx(0.3)


def test_volume_is_the_mean_of_its_slices() -> None:
    volume = np.stack([SCENE] * 30).astype(np.float32)
    flat = measured(SCENE)
    assert measured(volume, "zyx") == pytest.approx(flat, rel=1e-4, nan_ok=True)


def fundus(light: np.ndarray) -> np.ndarray:
    disc = np.hypot(*np.mgrid[-1:1:100j, -1:1:100j]) < 0.9
    return np.repeat((disc * light)[..., None], 3, axis=2).astype(np.uint8)


def test_lit_field_of_a_photograph_is_its_part_of_the_picture() -> None:
    found = measured(fundus(np.full((100, 100), 150.0)), "yxc", "OP")
    assert found["quality_field_coverage"] == pytest.approx(np.pi * 0.9**2 / 4, abs=0.02)


def test_evenly_lit_field_scores_higher_than_one_lit_from_the_side() -> None:
    even = measured(fundus(np.full((100, 100), 150.0)), "yxc", "OP")["quality_illumination"]
    aside = measured(fundus(np.linspace(40, 250, 100)[None] * np.ones((100, 1))), "yxc", "OP")["quality_illumination"]
    assert even == pytest.approx(1, abs=0.01)
    assert aside < 0.75


def test_black_photograph_has_no_field_and_no_illumination() -> None:
    found = measured(np.zeros((9, 9, 3), np.uint8), "yxc", "OP")
    assert found["quality_field_coverage"] == 0
    assert np.isnan(found["quality_illumination"])


def test_image_smaller_than_the_filters_has_no_sharpness() -> None:
    assert np.isnan(measured(np.ones((2, 9)))["quality_sharpness"])
