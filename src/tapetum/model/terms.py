"""Coded terms: a value, whose value it is, and what it means."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Code", "Notice", "Quantity"]


@dataclass(frozen=True, slots=True)
class Code:
    """One term of a coding scheme, as in DICOM's code sequences and FHIR's Coding.

    ``scheme`` is the DICOM Coding Scheme Designator: ``SCT``, ``LN``, ``RADLEX``, ``UCUM``, ``DCM``, ``IBSI``;
    ``99TAPETUM`` for terms of our own. Equality is on value and scheme: the meaning is for people.
    """

    value: str
    scheme: str
    meaning: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.value or not self.scheme:
            raise ValueError("a code needs a value and a scheme")


@dataclass(frozen=True, slots=True)
class Quantity:
    """What the numbers of an image are: a name and a UCUM unit (``1`` when they have none, ``[hnsf'U]`` for HU)."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something noticed about a series that its user must know: a stable code and a sentence without patient data."""

    code: str
    message: str
