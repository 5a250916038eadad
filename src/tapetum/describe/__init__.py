"""Describe: an image, or a region of it, becomes numbers with names, codes and units.

In: `Image` and `Region`.  Out: `Feature`s. Each recipe is a pure function; start reading at `recipes.RECIPES`.
"""

from tapetum.describe.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe"]
