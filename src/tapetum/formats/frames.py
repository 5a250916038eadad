"""Functional groups of enhanced multi-frame objects: what holds for one frame.

A macro stands either in the shared groups or in those of each frame (DICOM PS3.3 C.7.6.16).  Start at `group_item`.
"""

from __future__ import annotations

from typing import Any

from pydicom import Dataset

__all__ = ["frame_count", "frame_value", "group_item"]


def group_item(dataset: Dataset, frame: int, sequence: str) -> Dataset:
    """The first item of a functional group macro for one frame (from 0); an empty data set when there is none."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    shared = dataset.get("SharedFunctionalGroupsSequence")
    for groups in (per_frame[frame] if per_frame and frame < len(per_frame) else None, shared[0] if shared else None):
        items = groups.get(sequence) if groups is not None else None
        if items:
            return Dataset(items[0])
    return Dataset()


def frame_value(dataset: Dataset, frame: int, sequence: str, keyword: str) -> Any:
    """The value of a keyword for one frame: of its functional group, else of the data set itself, else None."""
    value = group_item(dataset, frame, sequence).get(keyword)
    return dataset.get(keyword) if value is None else value


def frame_count(dataset: Dataset) -> int:
    """Number of Frames, 1 when absent."""
    return int(dataset.get("NumberOfFrames") or 1)
