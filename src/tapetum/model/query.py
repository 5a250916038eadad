"""What one asks a catalogue: DICOM's query model (PS3.4 Annex C), shared by C-FIND, QIDO-RS, the command and Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["LEVELS", "Level", "Query", "Row"]

Level = Literal["patient", "study", "series", "instance"]
LEVELS: tuple[Level, ...] = ("patient", "study", "series", "instance")

Row = Mapping[str, Any]
"""One match: DICOM keyword -> value: text, number, or a tuple of texts where there are several."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question at one level.

    ``match`` maps keywords, of this level or of one above, to what their value must be, with the matching rules of
    PS3.4 C.2.2.2: a plain value is equal; ``*`` and ``?`` are wildcards in texts; ``a-b``, ``a-`` and ``-b`` are
    ranges in dates and times; texts separated by a backslash match any of them (UIDs, Modality, ModalitiesInStudy);
    an empty value matches everything. A person's name matches without regard to case; with ``fuzzy`` any of its
    parts that begins so matches, accents and case aside. ``text``: each of its words stands in the descriptions,
    the protocol or the body part, case and accents aside. A level above matches when something below it does. Beside
    DICOM's keywords there are ``site``, ``format``, ``role``, ``pixel_digest`` and ``scanner`` (words in manufacturer
    and model).

    ``limit`` (None: all) and ``offset`` page through the matches, whose order is stable: by patient, then newest
    study first, then series and instance number, then as they came. ``newest_first`` puts the newest studies of
    everybody first.
    """

    level: Level
    match: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    fuzzy: bool = False
    limit: int | None = None
    offset: int = 0
    newest_first: bool = False

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level is one of {', '.join(LEVELS)}")
        if self.offset < 0 or (self.limit is not None and self.limit < 0):
            raise ValueError("limit and offset are not negative")
