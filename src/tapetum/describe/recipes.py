"""The recipes by which images are described, by name.

In: an `Image` and, if there is one, a `Region`.  Out: `Feature`s. Start reading at `RECIPES`.

A recipe's code is imported when it first describes: it brings in scipy, scikit-image and numba, for which whoever only
takes files in, or asks which recipes there are, need not wait seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tapetum.model import Feature, Image, Region

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to describe images.

    Parameters
    ----------
    name, version : together the method of an observation; the version changes whenever a value could.
    describe : the features of a region of an image, None for the whole image; always the same names for one recipe
        and either kind of call.
    applies : whether the recipe can describe this image.
    """

    name: str
    version: str
    describe: Callable[[Image, Region | None], list[Feature]]
    applies: Callable[[Image], bool]


def _code(recipe: str) -> Callable[..., list[Feature]]:
    code: Callable[..., list[Feature]] = import_module(f"tapetum.describe.{recipe}").describe
    return code


def _radiomics(image: Image, region: Region | None) -> list[Feature]:
    return _code("radiomics")(image, region)


def _fundus(image: Image, region: Region | None) -> list[Feature]:
    # The field of view is found in the photograph itself.
    return _code("fundus")(image)


def _picture(image: Image, region: Region | None) -> list[Feature]:
    # A picture is described as a whole: its region is what the camera was held to.
    return _code("picture")(image)


def _is_volume_or_picture(image: Image) -> bool:
    return image.axes in ("zyx", "yx", "yxc")


def _is_fundus_photograph(image: Image) -> bool:
    return image.axes == "yxc" and image.modality == "OP"


def _is_colour_picture(image: Image) -> bool:
    return image.axes == "yxc"


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("radiomics", "1", _radiomics, _is_volume_or_picture),
        Recipe("fundus", "1", _fundus, _is_fundus_photograph),
        Recipe("picture", "1", _picture, _is_colour_picture),
    )
}
"""Every recipe by its name."""
