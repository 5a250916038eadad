"""Rows of the catalogue: what came in, after de-identification. Every UID and key here is a pseudonym."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Arrival", "Instance", "Rejected", "Series"]

Outcome = Literal["stored", "duplicate", "rejected"]
Role = Literal["image", "mask", "other"]


@dataclass(frozen=True, slots=True)
class Instance:
    """One stored object.

    ``blob`` is the sha256 of the de-identified bytes; ``source_digest`` the keyed digest of the bytes that arrived,
    by which a second arrival is recognised. ``format`` is dicom, nifti, nrrd or picture. ``attributes`` holds the
    few header facts that later stages ask for, by DICOM keyword (or the mapping's own words for other formats).
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_key: str
    blob: str
    source_digest: str
    format: str
    size_bytes: int
    role: Role = "image"
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """One series of the catalogue, with what all its instances share."""

    series_instance_uid: str
    study_instance_uid: str
    patient_key: str
    modality: str
    role: Role
    site: str
    format: str
    instances: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One file that could not be used.

    ``locator`` is the place it came from, sealed with the workspace's key. ``blob`` names the bytes when they were kept
    all the same: those of an object that contradicts a stored one. ``arrived`` is that of its `Arrival`, or the blob of
    an object in conflict, which stays whatever comes from its place later.
    """

    arrived: str
    code: str
    message: str
    locator: bytes
    size_bytes: int
    blob: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How one file ended: exactly one of stored, duplicate, rejected.

    ``arrived`` is the keyed digest of the file's place and bytes: a file that is stored at last leaves the quarantine.
    """

    outcome: Outcome
    instance: Instance | None = None
    rejected: Rejected | None = None
    arrived: str = ""

    def __post_init__(self) -> None:
        wanted = {"stored": self.instance, "rejected": self.rejected}.get(self.outcome, True)
        if not wanted:
            raise ValueError(f"an arrival that is {self.outcome} needs its row")
