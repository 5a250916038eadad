from __future__ import annotations

import re

import pytest

from tapetum.describe.radiomics import TERMS
from tapetum.describe.radiomics.terms import feature_name, unit_of

ALL = [term for terms in TERMS.values() for term in terms]


def test_names_are_unique_snake_case_with_their_family_in_front() -> None:
    names = [term.name for term in ALL]
    assert len(set(names)) == len(names) == 170
    assert all(re.fullmatch(r"(stat|ih|ivh|morph|loc|gl[a-z]+|ng[a-z]+)(_[a-z0-9]+)+", name) for name in names)


def test_codes_are_the_four_characters_of_ibsi_and_only_volume_histogram_points_share_theirs() -> None:
    assert all(re.fullmatch("[0-9A-Z]{4}", term.code.value) and term.code.scheme == "IBSI" for term in ALL)
    elsewhere = [term.code.value for family, terms in TERMS.items() if family != "ivh" for term in terms]
    assert len(set(elsewhere)) == len(elsewhere)


def test_codes_are_those_of_the_manual() -> None:
    # IBSI reference manual, chapter 3, one of each family.
    codes = {term.name: term.code.value for term in ALL}
    for name, code in {
        "stat_mean": "Q4LE", "stat_excess_kurtosis": "IPH6", "ih_entropy": "TLU2", "morph_volume_mesh": "RNU0",
        "morph_centre_of_mass_shift": "KLMA", "loc_global_intensity_peak": "0F91", "morph_sphericity": "QCFX",
        "glcm_joint_entropy": "TU9B", "glrlm_short_runs_emphasis": "22OV", "glszm_small_zone_emphasis": "5QRC",
        "gldzm_small_distance_emphasis": "0GBI", "ngtdm_coarseness": "QCDE", "ngldm_low_dependence_emphasis": "SODN",
    }.items():  # fmt: skip
        assert codes[name] == code


def test_a_name_is_what_ibsi_calls_it_in_snake_case() -> None:
    assert feature_name("morph", "Volume density (convex hull)") == "morph_volume_density_convex_hull"


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("stat_mean", "[hnsf'U]", "[hnsf'U]"),
        ("stat_energy", "[hnsf'U]", "[hnsf'U]2"),
        ("stat_energy", "Bq/mL", "(Bq/mL).(Bq/mL)"),
        ("stat_energy", "1", "1"),
        ("morph_integrated_intensity", "Bq/mL", "(Bq/mL).mm3"),
        ("morph_integrated_intensity", "1", "mm3"),
        ("morph_surface_to_volume_ratio", "Bq/mL", "/mm"),
    ],
)
def test_units_are_ucum(name: str, unit: str, expected: str) -> None:
    assert unit_of(next(term for term in ALL if term.name == name), unit) == expected
