from __future__ import annotations

import numpy as np
import pytest

from tapetum.describe.radiomics.texture import MATRICES, textures

FAMILIES = tuple(MATRICES)


def test_a_slice_is_described_alike_in_2d_and_merged() -> None:
    levels = np.random.default_rng(7).integers(1, 5, (1, 8, 9)).astype(np.int32)
    flat, merged = (
        textures(levels, levels > 0, 4, aggregation=aggregation, merge_directions=True, families=FAMILIES)
        for aggregation in ("2d", "2.5d")
    )
    for family in FAMILIES:
        assert flat[family] == pytest.approx(merged[family])


def test_slices_without_voxels_do_not_count() -> None:
    levels = np.random.default_rng(8).integers(1, 5, (3, 8, 9)).astype(np.int32)
    levels[1] = 0
    full = textures(levels, levels > 0, 4, aggregation="2d", merge_directions=True, families=FAMILIES)
    dense = textures(levels[[0, 2]], levels[[0, 2]] > 0, 4, aggregation="2d", merge_directions=True, families=FAMILIES)
    assert full == dense


def test_only_the_families_asked_for_are_made() -> None:
    levels = np.ones((2, 2, 2), np.int32)
    assert list(textures(levels, levels > 0, 1, aggregation="3d", merge_directions=True, families=("glszm",))) == [
        "glszm"
    ]
