"""Images shown on a page: `MontageTile`, which ones to show (`choose`), and how they become part of the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from tapetum.learn.result import Prediction

__all__ = ["GROUPS", "MontageTile", "choose", "data_uri", "grouped"]

GROUPS = ("Most certain, and right", "Most certain, and wrong", "Nearest to the threshold")
OTHERS = "Examples"
LONGEST_SIDE = 320  # pixels: two per CSS pixel of the widest tile


@dataclass(frozen=True, slots=True)
class MontageTile:
    """One image of a montage.

    ``pixels`` is (y, x, 3) uint8, red, green, blue. ``outcome`` and ``probability`` are None when there are none.
    ``group`` is the heading it stands under, as `choose` says; without one the page finds it from the threshold.

    Raises
    ------
    ValueError : pixels of another shape or type.
    """

    pixels: NDArray[np.uint8]
    caption: str
    outcome: int | None = None
    probability: float | None = None
    group: str = ""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or not self.pixels.size:
            raise ValueError(f"a tile is (y, x, 3) uint8, not {self.pixels.shape} {self.pixels.dtype}")


def choose(predictions: Sequence[Prediction], *, threshold: float, each: int = 6) -> list[tuple[str, Prediction]]:
    """The predictions worth looking at, as (group, prediction): at most ``each`` of every group, one a patient.

    The surest right and the surest wrong ones are those farthest from the threshold, each side measured by its own
    length, so that a low threshold does not hide the confident negatives.
    """
    known = [row for row in predictions if math.isfinite(row.probability)]
    ranked = sorted(known, key=lambda row: -certainty(row.probability, threshold))
    # Mistakes are rare: a patient who has one is shown for it.
    wrong = _one_a_patient([row for row in ranked if (row.probability >= threshold) != bool(row.outcome)])[:each]
    taken = {row.patient_key for row in wrong}
    right = _one_a_patient([row for row in ranked if (row.probability >= threshold) == bool(row.outcome)], taken)
    sure = _both_outcomes(right, each)
    near = _one_a_patient(ranked[::-1], taken | {row.patient_key for row in sure})[:each]
    groups = zip(GROUPS, (sure, wrong, near), strict=True)
    return [(group, row) for group, rows in groups for row in rows]


def certainty(probability: float, threshold: float) -> float:
    """0 at the threshold, 1 at a probability of 0 or 1."""
    room = 1 - threshold if probability >= threshold else threshold
    return abs(probability - threshold) / room if room > 0 else 1.0


def grouped(tiles: Sequence[MontageTile], *, threshold: float | None) -> dict[str, list[MontageTile]]:
    """Tiles under their headings, in the order of `GROUPS`; tiles without a prediction last."""
    groups: dict[str, list[MontageTile]] = {}
    for tile in tiles:
        groups.setdefault(tile.group or _group(tile, threshold), []).append(tile)
    order = [name for name in GROUPS if name in groups] + [name for name in groups if name not in GROUPS]
    return {name: groups[name] for name in order}


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A (y, x, 3) uint8 picture as a PNG inside a ``data:`` address, at most 320 pixels long."""
    picture = Picture.fromarray(pixels)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Picture.Resampling.LANCZOS)
    target = io.BytesIO()
    picture.save(target, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode("ascii")


def _one_a_patient(ranked: Sequence[Prediction], taken: Collection[str] = ()) -> list[Prediction]:
    """The first row of each patient who is not taken yet."""
    first: dict[str, Prediction] = {}
    for row in ranked:
        if row.patient_key not in taken:
            first.setdefault(row.patient_key, row)
    return list(first.values())


def _both_outcomes(ranked: Sequence[Prediction], each: int) -> list[Prediction]:
    """Half with the outcome, half without, as far as there are any."""
    events = [row for row in ranked if row.outcome]
    others = [row for row in ranked if not row.outcome]
    from_events = min(len(events), max(each - each // 2, each - len(others)))
    return events[:from_events] + others[: each - from_events]


def _group(tile: MontageTile, threshold: float | None) -> str:
    if tile.outcome is None or tile.probability is None or threshold is None or not math.isfinite(tile.probability):
        return OTHERS
    if certainty(tile.probability, threshold) < 0.1:
        return GROUPS[2]
    return GROUPS[0] if (tile.probability >= threshold) == bool(tile.outcome) else GROUPS[1]
