"""Measurements: clinical, laboratory, genetic and image-derived in one long table, which is what makes fusion plain."""

from __future__ import annotations

from dataclasses import dataclass

from tapetum.model.terms import Code

__all__ = ["Feature", "Observation"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One number that describes an image or a region of it.

    ``name`` is snake_case and unique within a recipe; ``code`` is IBSI's where IBSI defines it, else ``99TAPETUM``;
    ``unit`` is UCUM. A value that does not exist for this image is NaN, never left out.
    """

    name: str
    value: float
    code: Code
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class Observation:
    """One fact about a patient, after FHIR Observation: a number in ``value`` or a word in ``text``.

    ``name`` is the column it becomes in a study. ``series_instance_uid`` and ``region`` are empty for facts that are
    not of an image. ``effective_at`` is an ISO date, with the time of day where the source gives one, shifted like all
    dates of the patient. ``method`` says how it was made (recipe and version, or the mapping), ``source`` from which
    bytes (a digest).
    """

    patient_key: str
    name: str
    value: float | None = None
    text: str | None = None
    code: Code | None = None
    unit: str = "1"
    series_instance_uid: str = ""
    region: str = ""
    effective_at: str = ""
    method: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.text is None):
            raise ValueError("an observation has a value or a text, not both or neither")
