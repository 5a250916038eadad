"""Radiomics: intensity, shape and texture of an image or a region of it, as the IBSI defines them.

In: an `Image` and, if there is one, a `Region`.  Out: `Feature`s with IBSI codes and UCUM units.
Definitions: IBSI reference manual (arXiv:1612.07003v11). Start reading at `describe`, then `sample`, then `texture`.
"""

from tapetum.describe.radiomics.extract import describe
from tapetum.describe.radiomics.settings import FAMILIES, RadiomicsSettings
from tapetum.describe.radiomics.terms import TERMS, Term

__all__ = ["FAMILIES", "TERMS", "RadiomicsSettings", "Term", "describe"]
