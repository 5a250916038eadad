"""One row of the fundus description: a `Feature` with the prefix ``fundus_`` and a code of our own scheme."""

from __future__ import annotations

from tapetum.model import Code, Feature

__all__ = ["term"]


def term(name: str, value: float, code: str, meaning: str, unit: str = "1") -> Feature:
    """``name`` without prefix, ``code`` without ``FUN-``; the unit is UCUM."""
    return Feature(f"fundus_{name}", float(value), Code(f"FUN-{code}", "99TAPETUM", meaning), unit)
