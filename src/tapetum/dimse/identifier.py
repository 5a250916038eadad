"""The identifier of a query or retrieval: what is asked, and at which level. Start reading at `read_identifier`.

Definitions: DICOM PS3.4 C.4.1.1, C.4.2.1 and C.6 (levels and unique keys of Patient Root and Study Root).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import BinaryIO

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian

from tapetum.dimse.classes import PATIENT_ROOT
from tapetum.dimse.messages import Spool
from tapetum.errors import InvalidQuery
from tapetum.formats.damage import parsing
from tapetum.model import Level, Query

__all__ = ["UNIQUE_KEYS", "Identifier", "read_data", "read_identifier"]

LEVEL_NAMES: dict[str, Level] = {"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "instance"}
UNIQUE_KEYS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
ABOUT_THE_ANSWER = frozenset(
    {"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC", "RetrieveAETitle", "InstanceAvailability"}
)


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a peer asks.

    Parameters
    ----------
    keys : the keywords that the answer shall hold, in the order of their tags.
    match : those of them that have a value.
    unsupported : keys that we cannot match: items of sequences, private attributes.
    """

    level: Level
    keys: tuple[str, ...]
    match: dict[str, str]
    unsupported: tuple[str, ...]

    @property
    def level_name(self) -> str:
        """The level as DICOM spells it."""
        return next(name for name, level in LEVEL_NAMES.items() if level == self.level)

    def retrieval(self) -> Query:
        """The query for what shall be retrieved: by the unique keys of its level and those above.

        Raises
        ------
        InvalidQuery : the unique key of the level is not given, or has a wildcard.
        """
        found = {}
        for level, keyword in UNIQUE_KEYS.items():
            value = self.match.get(keyword, "")
            if "*" in value or "?" in value or (level == self.level and not value):
                raise InvalidQuery("a retrieval names what it wants", hint="give the unique key", keyword=keyword)
            if value:
                found[keyword] = value
            if level == self.level:
                break
        return Query(self.level, found)


def read_identifier(data: Spool | None, sop_class_uid: str, transfer_syntax: str) -> Identifier:
    """The identifier of a request.

    Raises
    ------
    InvalidQuery : there is none, or its level is not one of the SOP class's model.
    RejectedInput : it cannot be read.
    """
    if data is None or data.lost:
        raise InvalidQuery("a request without an identifier, or with one too long", hint="send one")
    with data.open() as file:
        dataset = read_data(file, transfer_syntax)
    with parsing("the identifier"):
        keys, match, unsupported = _asked(dataset)
        name = str(dataset.get("QueryRetrieveLevel") or "").strip()
    level = LEVEL_NAMES.get(name)
    if level is None or (level == "patient" and not sop_class_uid.startswith(PATIENT_ROOT)):
        raise InvalidQuery("no level of this information model", hint="name a Query/Retrieve Level (0008,0052)")
    return Identifier(level, keys, match, unsupported)


def read_data(file: BinaryIO, transfer_syntax: str) -> Dataset:
    """A data set that came over the wire, in plain little endian. Raises RejectedInput."""
    with warnings.catch_warnings(), parsing("a data set"):
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        dataset = read_dataset(file, transfer_syntax == ImplicitVRLittleEndian, is_little_endian=True)
        list(dataset.iterall())  # pydicom converts late; what is broken shall be known now
        return dataset


def _asked(dataset: Dataset) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    keys: list[str] = []
    match: dict[str, str] = {}
    unsupported: list[str] = []
    for item in dataset:
        if not item.keyword:
            unsupported.append(str(item.tag))
            continue
        keys.append(item.keyword)
        if item.VR == "SQ":
            if any(len(each) for each in item.value or ()):
                unsupported.append(item.keyword)
        elif item.keyword not in ABOUT_THE_ANSWER and item.value not in (None, "", b""):
            values = item.value if item.VM > 1 else (item.value,)
            match[item.keyword] = "\\".join(str(value) for value in values)
    return tuple(keys), match, tuple(unsupported)
