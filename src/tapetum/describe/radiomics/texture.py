"""Texture: matrices of grey levels and their features, aggregated as IBSI says.

In: the grey levels of a region.  Out: one value for each term of the family, in its order.  Start at `textures`.
Definitions: IBSI reference manual, families LFYI, TP0I, 9SAK, VMDZ, IPET, REK0; neighbours at Chebyshev distance 1,
no weighting by distance, dependence coarseness 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapetum.describe.radiomics import kernels
from tapetum.describe.radiomics.matrices import cooccurrence_features, emphasis_features, tone_features

__all__ = ["MATRICES", "textures"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """A volume or slice made ready for the kernels: flat, with a border of zeros, and the steps to walk."""

    levels: NDArray[np.int32]
    inside: NDArray[np.bool_]
    n_levels: int
    longest: int
    voxels: int
    half_steps: NDArray[np.int64]
    axis_steps: NDArray[np.int64]

    @property
    def steps(self) -> NDArray[np.int64]:
        """To all neighbours."""
        return np.concatenate([self.half_steps, -self.half_steps])

    def directions(self) -> list[_Field]:
        """The same voxels, one field for each direction to walk."""
        return [replace(self, half_steps=self.half_steps[k : k + 1]) for k in range(self.half_steps.size)]


def textures(
    levels: NDArray[np.int32],
    inside: NDArray[np.bool_],
    n_levels: int,
    *,
    aggregation: str,
    merge_directions: bool,
    families: tuple[str, ...],
) -> dict[str, list[float]]:
    """The features of the texture ``families`` asked for, each in the order of its terms.

    Parameters
    ----------
    levels : (z, y, x) grey levels of 1 to ``n_levels`` in the intensity mask, 0 outside; at least one is not 0.
    inside : (z, y, x) morphological mask, for the distance to the border.
    aggregation : ``3d``, ``2.5d`` or ``2d`` (the mean over slices of the features that a slice has).
    merge_directions : False makes co-occurrence and run length matrices by direction and takes the mean of features.
    """
    planar = aggregation != "3d"
    if aggregation == "2d":
        slices = [slice(z, z + 1) for z in np.flatnonzero(levels.any(axis=(1, 2)))]
    else:
        slices = [slice(None)]
    fields = [_field(levels[part], inside[part], n_levels, planar=planar) for part in slices]
    made: dict[str, list[list[float]]] = {}
    for make in dict.fromkeys(MATRICES[family] for family in families):
        apart = make in (_cooccurrences, _runs) and not merge_directions
        walked = [way for field in fields for way in field.directions()] if apart else fields
        for field in walked:
            for family, values in make(field).items():
                made.setdefault(family, []).append(values)
    return {family: _mean(made[family]) for family in families}


def _field(levels: NDArray[np.int32], inside: NDArray[np.bool_], n_levels: int, *, planar: bool) -> _Field:
    padded = np.pad(levels, 1)
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1], np.int64)
    # Half of the 26 (in a plane: 8) neighbours, one of each opposite pair.
    half = [step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0) and not (planar and step[0])]
    return _Field(
        levels=np.ascontiguousarray(padded, np.int32).ravel(),
        inside=np.pad(inside, 1).ravel(),
        n_levels=n_levels,
        longest=max(levels.shape),
        voxels=int(np.count_nonzero(levels)),
        half_steps=np.array(half, np.int64) @ strides,
        axis_steps=strides[1:] if planar else strides,
    )


def _mean(rows: list[list[float]]) -> list[float]:
    """Column means of what exists; NaN where no row has a value."""
    table = np.array(rows)
    exists = np.isfinite(table)
    return [float(x) for x in np.where(exists, table, 0.0).sum(axis=0) / exists.sum(axis=0)]


def _cooccurrences(field: _Field) -> dict[str, list[float]]:
    counts = kernels.cooccurrences(field.levels, field.half_steps, field.n_levels)
    return {"glcm": cooccurrence_features(counts)}


def _runs(field: _Field) -> dict[str, list[float]]:
    counts = kernels.run_lengths(field.levels, field.half_steps, field.n_levels, field.longest)
    potential = field.voxels * field.half_steps.size
    return {"glrlm": emphasis_features(*_cells(counts), potential=potential)}


def _zones(field: _Field) -> dict[str, list[float]]:
    distance = kernels.border_distances(field.inside, field.axis_steps)
    zones = kernels.zones(field.levels, distance, field.steps)
    features = {}
    for family, column in (("glszm", 1), ("gldzm", 2)):
        width = int(zones[:, column].max()) + 1
        cells, counts = np.unique(zones[:, 0] * width + zones[:, column], return_counts=True)
        features[family] = emphasis_features(
            cells // width, cells % width, counts.astype(np.float64), potential=field.voxels
        )
    return features


def _neighbourhoods(field: _Field) -> dict[str, list[float]]:
    tones, dependence = kernels.neighbourhoods(field.levels, field.steps, field.n_levels)
    level, alike, counts = _cells(dependence)
    energy = float(((counts / counts.sum()) ** 2).sum())
    return {
        "ngtdm": tone_features(tones[:, 0], tones[:, 1]),
        "ngldm": [*emphasis_features(level, alike, counts, potential=field.voxels), energy],
    }


def _cells(matrix: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64], Matrix]:
    """The occupied cells of a matrix: row and column, both from 1, and count."""
    rows, columns = np.nonzero(matrix)
    return rows + 1, columns + 1, matrix[rows, columns]


MATRICES: dict[str, Callable[[_Field], dict[str, list[float]]]] = {
    "glcm": _cooccurrences,
    "glrlm": _runs,
    "glszm": _zones,
    "gldzm": _zones,
    "ngtdm": _neighbourhoods,
    "ngldm": _neighbourhoods,
}
"""What makes each texture family; two families can come from one walk over the voxels."""
