"""The loops over voxels, compiled. In: grey levels with a border of zeros, flattened.  Out: texture matrices.

Every kernel takes ``levels`` (int32, C order, 0 outside the region, at least one zero around it in every direction
that is walked) and ``steps`` (int64 differences of flat indices), so that planes and volumes are the same code.
Definitions: IBSI reference manual, sections on the named matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["border_distances", "cooccurrences", "neighbourhoods", "run_lengths", "zones"]

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Levels = NDArray[np.int32]
Steps = NDArray[np.int64]


def _compiled(function: Kernel) -> Kernel:
    return cast(Kernel, njit(cache=True)(function))


@_compiled
def cooccurrences(levels: Levels, steps: Steps, n_levels: int) -> NDArray[np.float64]:
    """GLCM (LFYI): symmetric (n_levels, n_levels) counts of neighbouring levels, merged over ``steps``."""
    counts = np.zeros((n_levels, n_levels))
    for here in range(levels.size):
        level = levels[here]
        if level == 0:
            continue
        for step in steps:
            other = levels[here + step]
            if other != 0:
                counts[level - 1, other - 1] += 1
                counts[other - 1, level - 1] += 1
    return counts


@_compiled
def run_lengths(levels: Levels, steps: Steps, n_levels: int, longest: int) -> NDArray[np.float64]:
    """GLRLM (TP0I): (n_levels, longest) counts of runs, merged over ``steps``; column 0 is length 1."""
    counts = np.zeros((n_levels, longest))
    for here in range(levels.size):
        level = levels[here]
        if level == 0:
            continue
        for step in steps:
            if levels[here - step] == level:
                continue
            length, there = 1, here + step
            while levels[there] == level:
                length += 1
                there += step
            counts[level - 1, length - 1] += 1
    return counts


@_compiled
def border_distances(inside: NDArray[np.bool_], steps: Steps) -> NDArray[np.int32]:
    """Manhattan distance in voxels to the nearest voxel outside; 1 at the border. ``steps`` are the positive axes."""
    distance = np.zeros(inside.size, np.int32)
    for here in range(inside.size):
        if inside[here]:
            nearest = distance[here - steps[0]]
            for step in steps[1:]:
                nearest = min(nearest, distance[here - step])
            distance[here] = nearest + 1
    for here in range(inside.size - 1, -1, -1):
        if inside[here]:
            for step in steps:
                distance[here] = min(distance[here], distance[here + step] + 1)
    return distance


@_compiled
def zones(levels: Levels, distance: NDArray[np.int32], steps: Steps) -> NDArray[np.int64]:
    """Zones of GLSZM (9SAK) and GLDZM (VMDZ): rows of level, size in voxels, smallest distance to the border."""
    found = np.empty((1024, 3), np.int64)
    waiting = np.empty(1024, np.int64)
    seen = np.zeros(levels.size, np.bool_)
    n_zones = 0
    for start in range(levels.size):
        level = levels[start]
        if level == 0 or seen[start]:
            continue
        seen[start] = True
        waiting[0], n_waiting = start, 1
        size, nearest = 0, distance[start]
        while n_waiting > 0:
            n_waiting -= 1
            here = waiting[n_waiting]
            size += 1
            nearest = min(nearest, distance[here])
            if n_waiting + steps.size > waiting.size:
                waiting = np.append(waiting, np.empty_like(waiting))
            for step in steps:
                there = here + step
                if levels[there] == level and not seen[there]:
                    seen[there] = True
                    waiting[n_waiting] = there
                    n_waiting += 1
        if n_zones == len(found):
            found = np.concatenate((found, np.empty_like(found)))
        found[n_zones, 0], found[n_zones, 1], found[n_zones, 2] = level, size, nearest
        n_zones += 1
    return found[:n_zones].copy()


@_compiled
def neighbourhoods(levels: Levels, steps: Steps, n_levels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """NGTDM (IPET) as (n_levels, 2): count n, difference s; NGLDM (REK0) as (n_levels, len(steps) + 1) counts."""
    tones = np.zeros((n_levels, 2))
    dependence = np.zeros((n_levels, steps.size + 1))
    for here in range(levels.size):
        level = levels[here]
        if level == 0:
            continue
        same, total, present = 0, 0, 0
        for step in steps:
            other = levels[here + step]
            if other != 0:
                present += 1
                total += other
                same += other == level
        dependence[level - 1, same] += 1
        if present > 0:
            tones[level - 1, 0] += 1
            tones[level - 1, 1] += abs(level - total / present)
    return tones, dependence
