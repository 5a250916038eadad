"""Spots: connected pieces that stand out, are compact, and lie off the vessels.

In: a (y, x) map in which lesions are bright.  Out: `Spots`, one row per accepted piece, and the features of them.
Start reading at `find_spots`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tapetum.describe.fundus.anatomy import Anatomy
from tapetum.describe.fundus.shapes import peaks
from tapetum.describe.fundus.terms import term
from tapetum.model import Feature

__all__ = ["Kind", "Spots", "describe_peaks", "describe_spots", "find_spots"]

Map = NDArray[np.float32]
Vector = NDArray[np.float64]

ELONGATION = 2.5
"""Longest over shortest axis; a longer piece is a bit of vessel or a fold."""

SMALLEST = 5
"""Pixels of the standard field (0.0025 field diameters across): less is noise, not yet a microaneurysm."""


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Accepted pieces: area in pixels, centre in pixels, mean height of the map within."""

    area: Vector
    y: Vector
    x: Vector
    height: Vector

    def within(self, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which centres lie in the region."""
        return np.asarray(region[np.round(self.y).astype(int), np.round(self.x).astype(int)], np.bool_)


def find_spots(
    heights: Map, *, above: float, inside: NDArray[np.bool_], avoid: NDArray[np.bool_] | None = None
) -> Spots:
    """Connected pieces of the map higher than ``above`` that are compact and for the most part off ``avoid``.

    Parameters
    ----------
    heights : (y, x) float.
    above : threshold in the map's unit.
    inside : (y, x) bool, where to look.
    avoid : (y, x) bool, the vessels.

    Source: shape rules as in Spencer et al., Comput Biomed Res 1996;29:284 and Frame et al., Comput Biol Med
    1998;28:225.
    """
    mask = (heights > above) & inside
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 0:
        return Spots(*(np.zeros(0) for _ in range(4)))
    rows, columns = np.nonzero(mask)
    which = labels[mask] - 1
    area = np.bincount(which, minlength=count).astype(np.float64)

    def mean(values: NDArray[np.generic]) -> Vector:
        return np.asarray(np.bincount(which, weights=values, minlength=count) / area, np.float64)

    y, x = mean(rows), mean(columns)
    # 1/12 is the variance of one pixel's width
    yy, xx = mean((rows - y[which]) ** 2) + 1 / 12, mean((columns - x[which]) ** 2) + 1 / 12
    xy = mean((rows - y[which]) * (columns - x[which]))
    middle, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    compact = middle + spread < ELONGATION**2 * np.maximum(middle - spread, 1 / 12)
    on_vessel = mean(avoid[mask].astype(np.float64)) if avoid is not None else np.zeros(count)
    keep = compact & (on_vessel < 0.5) & (area >= SMALLEST)
    return Spots(area[keep], y[keep], x[keep], mean(heights[mask])[keep])


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of spot: name and code of its features, what it is, longest line in pixels, contrasts in grains."""

    name: str
    code: str
    meaning: str
    length: int
    contrasts: tuple[float, ...]


def describe_spots(
    kind: Kind, heights: Map, anatomy: Anatomy, *, avoid: NDArray[np.bool_] | None = None
) -> list[Feature]:
    """Count, area and burden in the macula, quadrants and largest at each contrast; then the peaks.

    Parameters
    ----------
    heights : (y, x) float32, contrast of short structures in standard deviations of the photograph's grain.
    """
    out: list[Feature] = []
    retina = float(anatomy.retina.sum())
    for level, contrast in zip(("faint", "clear"), kind.contrasts, strict=True):
        spots = find_spots(heights, above=contrast, inside=anatomy.retina, avoid=avoid)
        name, code, text = f"{kind.name}_{level}", f"{kind.code}-{level[0].upper()}", f"{kind.meaning}, {level}"
        share = 100 / retina
        out += [
            term(f"{name}_count", len(spots.area), f"{code}N", f"number of {text}", "{count}"),
            term(f"{name}_area", spots.area.sum() * share, f"{code}A", f"share of the retina in {text}", "%"),
            term(
                f"{name}_burden", float(spots.area @ spots.height) * share, f"{code}B", f"area times contrast of {text}"
            ),
            term(f"{name}_macula", spots.within(anatomy.macula).sum(), f"{code}M", f"in the macula: {text}", "{count}"),
            term(f"{name}_quadrants", _quadrants(spots, anatomy), f"{code}Q", f"quadrants with {text}", "{count}"),
            term(f"{name}_largest", spots.area.max(initial=0) * share, f"{code}X", f"largest of {text}", "%"),
        ]
    return out + describe_peaks(kind, np.where(avoid, 0, heights) if avoid is not None else heights, anatomy)


def describe_peaks(kind: Kind, heights: Map, anatomy: Anatomy) -> list[Feature]:
    """Mean height of the 1st, the 2nd to 4th, 5th to 12th and 13th to 40th greatest peak: no threshold to choose."""
    found = np.concatenate([peaks(heights, anatomy.retina, 4)[:40], np.zeros(40)])
    return [
        term(
            f"{kind.name}_peak_{last}",
            found[first - 1 : last].mean(),
            f"{kind.code}-P{last}",
            f"mean contrast of the {first}. to {last}. strongest of {kind.meaning}",
        )
        for first, last in ((1, 1), (2, 4), (5, 12), (13, 40))
    ]


def _quadrants(spots: Spots, anatomy: Anatomy) -> int:
    """In how many of the four quadrants around the fovea there is a spot."""
    return len(set(zip(spots.y > anatomy.fovea[0], spots.x > anatomy.fovea[1], strict=True)))
