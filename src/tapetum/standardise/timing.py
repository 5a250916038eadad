"""When each time point of a stack was taken, and how it was diffusion-weighted.

In: a `Stack`.  Out: seconds, b-values, directions.  Start reading at `times_of` and `diffusion_of`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydicom import Dataset

from tapetum.standardise.stack import Plane, Stack

__all__ = ["diffusion_of", "film_times", "times_of"]

OWN_ZERO = ("TriggerTime", "FrameReferenceTime", "TemporalPositionTimeOffset")
CLOCKS = (*OWN_ZERO, "AcquisitionTime", "ContentTime")
REPEATS = ("TemporalResolution", "RepetitionTime")
TR_AGREES = 0.02  # of the repetition time: scanners round their clock to 2.5 ms
SAME_B = 0.05  # of the b-value: Siemens writes what each slice really had

Vector = tuple[float, float, float]


def times_of(stack: Stack) -> tuple[float, ...]:
    """Seconds of each time point.

    The first clock that every frame has and that grows from point to point: Trigger Time, Frame Reference Time,
    Temporal Position Time Offset (each from its own zero), Acquisition Time, Content Time (from the first point). A
    point's time is that of its earliest frame. The acquisition clock gives way to multiples of the repetition time
    where both agree, for scanners round their clock. Without a clock, multiples of Temporal Resolution.

    Returns
    -------
    Empty for one time point, for echoes, and where no clock grows.
    """
    if len(stack.planes) < 2 or stack.told_apart_by == "EchoTime":
        return ()
    for clock in CLOCKS:
        if clock == "TriggerTime" and stack.told_apart_by not in ("TriggerTime", "TemporalPositionIdentifier"):
            continue  # of a gated scan of other things
        seconds = _read(stack.planes, clock)
        if not seconds or any(after <= before for before, after in pairwise(seconds)):
            continue
        if clock in OWN_ZERO:
            return tuple(round(one, 6) for one in seconds)
        return _by_repetition(stack, tuple(round(one - seconds[0], 6) for one in seconds))
    resolution = stack.planes[0][0].clocks.get("TemporalResolution", 0.0)
    return tuple(round(at * resolution, 6) for at in range(len(stack.planes))) if resolution > 0 else ()


def diffusion_of(stack: Stack) -> tuple[tuple[float, ...], tuple[Vector, ...]]:
    """b-values in s/mm2 and LPS directions of the time points; empty when none is weighted or slices disagree."""
    values, vectors = [], []
    for moment in stack.planes:
        known = np.array([plane.b_value for plane in moment])
        spread = np.ptp(known)
        if np.isfinite(known).all() and spread > max(SAME_B * known.max(), 1.0):
            return (), ()
        values.append(float(known[0]))
        vectors.append(moment[0].b_vector)
    if not np.isfinite(values).any():
        return (), ()
    directions = tuple(vector for vector in vectors if vector is not None)
    return tuple(values), directions if len(directions) == len(values) else ()


def film_times(dataset: Dataset, frames: int) -> tuple[float, ...]:
    """Seconds of a film's frames since the first, by Frame Time Vector, Frame Time or Cine Rate (PS3.3 C.7.6.5)."""
    vector = [float(step) / 1000 for step in np.atleast_1d(dataset.get("FrameTimeVector") or [])]
    step = float(dataset.get("FrameTime") or 0) / 1000
    rate = float(dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate") or 0)
    if len(vector) == frames:
        times = np.cumsum([0.0, *vector[1:]])
    elif step > 0 or rate > 0:
        times = np.arange(frames) * (step or 1 / rate)
    else:
        return ()
    return tuple(np.round(times, 6).tolist()) if frames > 1 and (np.diff(times) > 0).all() else ()


def _read(planes: list[list[Plane]], clock: str) -> list[float]:
    if not all(clock in plane.clocks for moment in planes for plane in moment):
        return []
    return [min(plane.clocks[clock] for plane in moment) for moment in planes]


def _by_repetition(stack: Stack, seconds: tuple[float, ...]) -> tuple[float, ...]:
    repetition = stack.planes[0][0].clocks.get("RepetitionTime", 0.0)
    even = tuple(round(at * repetition, 6) for at in range(len(seconds)))
    far = max(abs(a - b) for a, b in zip(even, seconds, strict=True))
    return even if repetition > 0 and far <= TR_AGREES * repetition else seconds
