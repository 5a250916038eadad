"""Rows of the fundus description."""

from __future__ import annotations

from tapetum.describe.fundus.terms import term
from tapetum.model import Code


def test_a_term_has_our_prefix_scheme_and_the_unit_given() -> None:
    got = term("vessel_density", 1, "VD", "share of the field in vessels", "%")
    assert got.name == "fundus_vessel_density"
    assert got.value == 1.0
    assert got.code == Code("FUN-VD", "99TAPETUM")
    assert got.code.meaning == "share of the field in vessels"
    assert got.unit == "%"
