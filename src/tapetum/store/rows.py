"""Instance <-> rows of the four levels.

In: `Instance` with its attributes by keyword.  Out: what each level's table holds, and back.  An attribute stands at
its level once; where an instance says otherwise than its series, study or patient, its own row keeps what it says.
Start reading at `Spread`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from tapetum.model import Instance, Level
from tapetum.store.schema import COLUMNS, COUNTED, NUMBERS, level_of

__all__ = [
    "Values",
    "attributes_of",
    "fold",
    "instance_row",
    "modalities",
    "name_key",
    "patient_row",
    "row_of",
    "series_row",
    "spread",
    "study_row",
]

Values = dict[str, Any]

IDENTITY = frozenset({"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
WIDE = 1 << 31


def spread(instance: Instance) -> dict[Level, Values]:
    """The attributes of an instance by the level at which they stand, as text without NUL (databases refuse it)."""
    found: dict[Level, Values] = {"patient": {}, "study": {}, "series": {}, "instance": {}}
    for keyword, value in instance.attributes.items():
        if keyword not in IDENTITY:
            found[level_of(keyword)][keyword] = _clean(value) if isinstance(value, str) else value
    return found


def patient_row(instance: Instance, said: Values) -> Values:
    """A new row of `schema.patient`, but for its words."""
    row = _own_columns("patient", said)
    return {**row, "patient_key": instance.patient_key, "name_key": name_key(row["patient_name"]), "studies": 0}


def study_row(instance: Instance, said: Values) -> Values:
    """A new row of `schema.study`, but for its words."""
    row = _own_columns("study", said)
    return {
        **row,
        "referring_key": name_key(row["referring_physician"]),
        "study_instance_uid": instance.study_instance_uid,
        "patient_key": instance.patient_key,
        "modalities": "\\",
        "series": 0,
        "instances": 0,
    }


def series_row(instance: Instance, said: dict[Level, Values], study: Values) -> Values:
    """A new row of `schema.series`, but for its words; ``study`` is the row of its study."""
    return {
        **_own_columns("series", said["series"]),
        "series_instance_uid": instance.series_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "patient_key": instance.patient_key,
        "study_date": study["study_date"],
        "study_time": study["study_time"],
        "sop_class_uid": str(said["instance"].get("SOPClassUID", "")),
        "format": instance.format,
        "role": instance.role,
        "instances": 0,
    }


def instance_row(instance: Instance, said: dict[Level, Values], above: Values) -> Values:
    """A new row of `schema.instance`; ``above`` is what its series, study and patient say already."""
    own = said["instance"]
    for level in ("patient", "study", "series"):
        for keyword, value in said[level].items():
            if above.get(keyword) != value:
                own[keyword] = value
    return {
        **_own_columns("instance", own),
        "sop_instance_uid": instance.sop_instance_uid,
        "series_instance_uid": instance.series_instance_uid,
        "blob": instance.blob,
        "source_digest": instance.source_digest,
        "size_bytes": instance.size_bytes,
    }


def attributes_of(level: Level, row: Mapping[str, Any]) -> Values:
    """What a row says by keyword: its columns that are not empty, and its other attributes."""
    found = {}
    for keyword, column in COLUMNS[level].items():
        value = row[column]
        if value not in (None, "") and keyword not in IDENTITY:
            found[keyword] = str(value)
    return {**found, **row["attributes"]}


def modalities(text: str) -> tuple[str, ...]:
    r"""``\CT\SEG\`` -> CT, SEG."""
    return tuple(one for one in text.split("\\") if one)


def fold(text: str) -> str:
    """Without case and accents, and with a space for what separates the parts of a name: for searching."""
    if not text.isascii():
        text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return text.casefold().translate(SEPARATORS)


SEPARATORS = str.maketrans(dict.fromkeys("^=,\\", " "))


def name_key(name: str) -> str:
    """A person's name without regard to case; trailing empty parts are left out (PS3.5 6.2.1)."""
    return name.casefold().rstrip("^= ")


def _own_columns(level: Level, said: Values) -> Values:
    """Columns of a level that attributes fill; what does not fit its column stays in ``attributes``."""
    rest = dict(said)
    row: Values = {"attributes": rest}
    for keyword, column in COLUMNS[level].items():
        value = rest.pop(keyword, None)
        if keyword in NUMBERS:
            number = _whole(value)
            row[column] = number
            if number is None and value is not None:
                rest[keyword] = value
        else:
            row[column] = "" if value is None else str(value)
    return row


def _whole(value: object) -> int | None:
    """A number that is written back as it came, or None."""
    text = str(value)
    if not text.lstrip("-").isdecimal() or not text.isascii():
        return None
    number = int(text)
    return number if str(number) == text and -WIDE <= number < WIDE else None


def _clean(text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x00", "") if "\x00" in text else text


def row_of(level: Level, row: Mapping[str, Any]) -> Values:
    """What a row says as an answer to a query: by keyword, numbers as numbers, several values as a tuple."""
    found: Values = {}
    for keyword, value in row["attributes"].items():
        found[keyword] = tuple(value.split("\\")) if isinstance(value, str) and "\\" in value else value
    for keyword, column in COLUMNS[level].items():
        value = row[column]
        if value not in (None, ""):
            found[keyword] = tuple(value.split("\\")) if isinstance(value, str) and "\\" in value else value
    if level == "patient" and (issuer := found.get("IssuerOfPatientID")):
        found["PatientID"] = row["patient_key"].removesuffix(f"^^^{issuer}")
    for keyword, column in COUNTED[level].items():
        value = row[column]
        found[keyword] = modalities(value) if keyword == "ModalitiesInStudy" else value
    return found
