"""The 4 x 4 slice on which the IBSI reference manual (arXiv:1612.07003v11) explains its matrices, counted by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapetum.describe.radiomics import kernels

SLICE = np.array([[1, 2, 2, 3], [1, 2, 3, 3], [4, 2, 4, 1], [4, 1, 2, 3]])


def flat(levels: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """With a border of zeros, and the steps right, down-left, down, down-right."""
    padded = np.pad(levels, 1).astype(np.int32)
    width = padded.shape[1]
    return padded.ravel(), np.array([1, width - 1, width, width + 1])


def test_cooccurrence_to_the_right_counts_each_pair_in_both_orders() -> None:
    levels, steps = flat(SLICE)
    assert kernels.cooccurrences(levels, steps[:1], 4).tolist() == [
        [0, 3, 0, 2],
        [3, 2, 3, 2],
        [0, 3, 2, 0],
        [2, 2, 0, 0],
    ]


def test_runs_to_the_right_are_counted_once_by_their_length() -> None:
    levels, steps = flat(SLICE)
    assert kernels.run_lengths(levels, steps[:1], 4, 4).tolist() == [
        [4, 0, 0, 0],
        [3, 1, 0, 0],
        [2, 1, 0, 0],
        [3, 0, 0, 0],
    ]


def test_zones_are_joined_through_corners_and_know_their_distance_to_the_border() -> None:
    levels, steps = flat(SLICE)
    inside = levels > 0
    distance = kernels.border_distances(inside, np.array([6, 1]))
    assert distance.reshape(6, 6)[1:-1, 1:-1].tolist() == [[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1]]
    zones = kernels.zones(levels, distance, np.concatenate([steps, -steps]))
    assert sorted(map(tuple, zones[:, :2].tolist())) == [
        (1, 1), (1, 1), (1, 2), (2, 5), (3, 1), (3, 3), (4, 1), (4, 2),
    ]  # fmt: skip
    assert sorted(zones[zones[:, 0] == 4, 2].tolist()) == [1, 2]


def test_tone_differences_are_those_of_the_manuals_example() -> None:
    # The manual takes the inner 2 x 2 voxels with neighbours from all of the slice (table of the example NGTDM):
    # n = 0, 2, 1, 1 and s = 0, 1.000, 0.625, 1.875. Here the whole slice is the region, so the inner voxels add up
    # to the same sums within the total.
    levels, steps = flat(SLICE)
    everywhere = np.concatenate([steps, -steps])
    total, _ = kernels.neighbourhoods(levels, everywhere, 4)
    padded = levels.reshape(6, 6)
    inner = np.zeros((4, 2))
    for y in (2, 3):
        for x in (2, 3):
            patch = padded[y - 1 : y + 2, x - 1 : x + 2]
            level = int(padded[y, x])
            inner[level - 1] += 1, abs(level - (patch.sum() - level) / 8)
    assert inner.tolist() == [[0, 0], [2, 1.0], [1, 0.625], [1, 1.875]]
    assert (total >= inner).all()
    assert total[:, 0].tolist() == [4, 5, 4, 3]


def test_a_voxel_depends_on_its_equal_neighbours() -> None:
    levels, steps = flat(np.array([[1, 1, 0], [2, 1, 0]]))
    _, dependence = kernels.neighbourhoods(levels, np.concatenate([steps, -steps]), 2)
    assert dependence.tolist() == [[0, 0, 3, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0]]


def test_a_voxel_without_neighbours_has_no_tone_difference() -> None:
    levels, steps = flat(np.array([[3]]))
    tones, _ = kernels.neighbourhoods(levels, np.concatenate([steps, -steps]), 3)
    assert not tones.any()


def test_many_zones_and_a_large_one_are_all_found() -> None:
    y, x = np.mgrid[:60, :60]
    levels, steps = flat(1 + 2 * (y % 2) + x % 2)
    everywhere = np.concatenate([steps, -steps])
    assert len(kernels.zones(levels, np.ones(levels.size, np.int32), everywhere)) == 3600
    levels = np.minimum(levels, 1)
    assert kernels.zones(levels, np.ones(levels.size, np.int32), everywhere).tolist() == [[1, 3600, 1]]
