"""Colour and texture of any picture."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tapetum.describe.picture import describe
from tapetum.model import Image, Quantity


def picture(array: np.ndarray) -> Image:
    return Image(array, "yxc" if array.ndim == 3 else "yx", Quantity("colour", "1"), modality="XC")


def values(array: np.ndarray) -> dict[str, float]:
    return {feature.name: feature.value for feature in describe(picture(array))}


def flat(red: int, green: int, blue: int, side: int = 32) -> np.ndarray:
    return np.full((side, side, 3), (red, green, blue), np.uint8)


@pytest.fixture
def patch() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)


def test_the_lab_values_of_pure_red_are_those_of_the_cie() -> None:
    # CIE 15:2004 with D65 and sRGB: red (255, 0, 0) is L* 53.24, a* 80.09, b* 67.20
    got = values(flat(255, 0, 0))
    assert [got[f"picture_lab_{c}_mean"] for c in "lab"] == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


def test_a_picture_of_one_colour_has_no_contrast_texture_or_entropy() -> None:
    got = values(flat(120, 60, 30))
    still = ("_sd", "_skewness", "_centre", "entropy", "gradient", "band", "asymmetry")
    assert all(value == pytest.approx(0, abs=1e-9) for name, value in got.items() if any(s in name for s in still))


def test_every_number_of_a_colour_picture_is_finite_and_named_once(patch: np.ndarray) -> None:
    features = describe(picture(patch))
    assert np.isfinite([feature.value for feature in features]).all()
    assert len({feature.name for feature in features}) == len({feature.code for feature in features}) == len(features)
    assert all(f.name.startswith("picture_") and f.code.scheme == "99TAPETUM" and f.code.meaning for f in features)


def test_a_grey_picture_has_the_same_names_and_no_colours(patch: np.ndarray) -> None:
    got = values(patch[..., 0].astype(np.float32) * 10 - 1000)
    assert list(got) == list(values(patch))
    assert np.isnan(got["picture_red_mean"])
    assert np.isnan(got["picture_colour_entropy"])
    assert np.isfinite([v for n, v in got.items() if "lbp" in n or "gradient" in n or "asymmetry" in n]).all()


def test_texture_of_a_grey_picture_does_not_depend_on_its_unit(patch: np.ndarray) -> None:
    grey = patch[..., 0].astype(np.float64)
    assert values(grey)["picture_band_1"] == pytest.approx(values(grey * 7 - 3)["picture_band_1"])


def test_a_dark_centre_on_light_skin_is_seen_as_centre_contrast() -> None:
    skin = flat(220, 180, 160)
    skin[10:22, 10:22] = (70, 40, 30)
    assert values(skin)["picture_lab_l_centre"] < -20


def test_a_lesion_symmetric_left_to_right_has_no_left_right_asymmetry() -> None:
    skin = flat(220, 180, 160)
    skin[4:14, 8:24] = (70, 40, 30)
    got = values(skin)
    assert got["picture_asymmetry_left_right"] == pytest.approx(0)
    assert got["picture_asymmetry_up_down"] > 0.5


def test_local_patterns_ignore_a_quarter_turn(patch: np.ndarray) -> None:
    one, turned = values(patch), values(np.ascontiguousarray(np.rot90(patch)))
    for i in range(10):
        assert one[f"picture_lbp_{i}"] == pytest.approx(turned[f"picture_lbp_{i}"], abs=0.01)


def test_patterns_are_shares_that_sum_to_one(patch: np.ndarray) -> None:
    assert sum(v for name, v in values(patch).items() if "lbp" in name) == pytest.approx(1)


def test_a_large_picture_is_reduced_before_its_texture_is_measured(patch: np.ndarray) -> None:
    large = np.kron(patch, np.ones((64, 64, 1), np.uint8))
    assert large.shape == (2048, 2048, 3)
    small = np.kron(patch, np.ones((16, 16, 1), np.uint8))
    assert values(large)["picture_gradient_mean"] == pytest.approx(values(small)["picture_gradient_mean"])
    grey = values(large[..., 0].astype(np.float64))["picture_gradient_mean"]
    assert grey == pytest.approx(values(small[..., 0].astype(np.float64))["picture_gradient_mean"])


def test_the_mean_hue_of_green_and_of_grey_are_told_apart() -> None:
    green, grey = values(flat(0, 200, 0)), values(flat(90, 90, 90))
    assert green["picture_hue_cosine"] < -0.8
    assert grey["picture_hue_cosine"] == pytest.approx(0, abs=1e-6)


def test_a_patch_takes_a_few_milliseconds(patch: np.ndarray) -> None:
    image = picture(patch)
    describe(image)
    times = []
    for _ in range(9):
        start = time.process_time()
        describe(image)
        times.append(time.process_time() - start)
    assert sorted(times)[4] < 0.02


@pytest.mark.parametrize(("array", "axes"), [(np.zeros((4, 4, 4)), "zyx"), (np.zeros((2, 9)), "yx")])
def test_a_volume_and_a_sliver_are_not_pictures(array: np.ndarray, axes: str) -> None:
    with pytest.raises(ValueError, match="a picture has axes"):
        describe(Image(array, axes, Quantity("x", "1")))
