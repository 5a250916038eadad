from __future__ import annotations

from typing import Any

import pytest

from tapetum.describe.radiomics import FAMILIES, TERMS, RadiomicsSettings


@pytest.mark.parametrize(
    "impossible",
    [
        {"bins": 0},
        {"bin_size": -25.0},
        {"outlier_sigma": 0.0},
        {"ivh_bin_size": 0.0},
        {"resample_mm": (1.0, 0.0, 1.0)},
        {"range": (400.0, -1000.0)},
        {"families": ("stat", "wavelet")},
        {"interpolation": "nearest"},
        {"aggregation": "4d"},
    ],
)
def test_settings_that_no_image_could_be_described_with_are_refused(impossible: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"positive|empty|unknown|interpolation"):
        RadiomicsSettings(**impossible)


def test_every_family_has_its_terms() -> None:
    assert tuple(TERMS) == FAMILIES
    assert set(RadiomicsSettings().families) == set(FAMILIES) - {"loc", "spatial"}
