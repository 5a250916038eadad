from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe import RECIPES
from tapetum.model import Geometry, Image, Quantity, Region

RGB = Quantity("colour", "1")


def a_photograph(modality: str) -> Image:
    y, x = np.mgrid[-64:64, -64:64]
    disc = (y**2 + x**2 < 60**2)[..., None] * np.array([180, 90, 40])
    noise = np.random.default_rng(4).integers(0, 12, (128, 128, 3))
    return Image((disc + noise).astype(np.uint8), "yxc", RGB, modality=modality)


def a_volume() -> Image:
    array = np.random.default_rng(5).normal(size=(3, 9, 9)).astype(np.float32)
    return Image(array, "zyx", Quantity("radiodensity", "[hnsf'U]"), Geometry((3, 9, 9), (3.0, 1.0, 1.0)), "CT")


def a_film() -> Image:
    return Image(np.zeros((2, 3, 4, 5), np.float32), "tzyx", Quantity("signal", "1"))


def applying(image: Image) -> set[str]:
    return {name for name, recipe in RECIPES.items() if recipe.applies(image)}


def test_which_recipes_apply_is_seen_from_axes_and_modality() -> None:
    assert applying(a_volume()) == {"radiomics"}
    assert applying(a_photograph("XC")) == {"radiomics", "picture"}
    assert applying(a_photograph("OP")) == {"radiomics", "picture", "fundus"}
    assert applying(a_film()) == set()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_gives_the_same_unique_names_for_every_image(name: str) -> None:
    described = [RECIPES[name].describe(a_photograph("OP"), None) for _ in range(2)]
    first, second = ([feature.name for feature in features] for features in described)
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_is_found_by_its_own_name(name: str) -> None:
    assert RECIPES[name].name == name
    assert RECIPES[name].version


def test_radiomics_of_a_region_measures_its_shape() -> None:
    image = a_volume()
    assert image.geometry is not None
    mask = np.zeros((3, 9, 9), bool)
    mask[1, 2:5, 2:5] = True
    found = {f.name: f.value for f in RECIPES["radiomics"].describe(image, Region(mask, image.geometry, "lesion"))}
    assert found["morph_volume_voxel_counting"] == 27.0
