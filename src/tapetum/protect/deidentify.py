"""De-identification of a DICOM header: what is not known to be harmless does not pass.

In: a data set as it arrived.  Out: a new data set, with keyed UIDs, shifted dates and the patient's pseudonym, that
says what was done to it.  Rules: `policy.toml` beside this file, read against DICOM PS3.15 Annex E (Basic Application
Level Confidentiality Profile with the options Clean Descriptors, Retain Longitudinal Temporal Information with
Modified Dates, Retain Patient Characteristics).  Start at `deidentify`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

from pydicom import DataElement, Dataset, Sequence
from pydicom.charset import python_encoding
from pydicom.datadict import keyword_for_tag
from pydicom.uid import UID

from tapetum.errors import IdentityExposed
from tapetum.protect.identity import (
    holds_number_or_date,
    identifiers,
    mentions,
    mentions_bytes,
    mentions_number,
    values_of,
)
from tapetum.protect.pseudonym import Pseudonymiser

__all__ = ["deidentify", "may_show_identity", "patient_of", "survivors"]

MAX_AGE_YEARS = 89  # HIPAA 45 CFR 164.514(b)(2)(i)(C): ages over 89 are identifying.
TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR", "AS", "DA", "DT", "TM", "UI"})
NUMBER_VRS = frozenset({"DS", "IS"})
TIME = re.compile(r"\d{2}:?(\d{2}:?(\d{2}(\.\d{1,6})?)?)?\s*")
TIME_OF_DAY_AND_ZONE = re.compile(r"(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?\s*")
EMPTY_TYPE_2 = (
    "PatientBirthDate", "ReferringPhysicianName", "AccessionNumber", "StudyID",
)  # fmt: skip
METHOD_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
# Objects that are screens or hand-made pictures: names are often part of the pixels (PS3.15 E.3.1).
STORAGE = "1.2.840.10008.5.1.4.1.1."
RISKY_SOP_CLASSES = tuple(STORAGE + kind for kind in ("7", "7.1", "7.2", "7.3", "7.4", "6", "6.1", "3", "3.1"))
MAPPED_UIDS = "2.25."


@dataclass(frozen=True)
class Policy:
    """`policy.toml` in the form in which it is asked."""

    numeric_groups: frozenset[int]
    numeric_vrs: frozenset[str]
    keep: frozenset[str]
    clean: frozenset[str]
    enter: frozenset[str]


@cache
def policy() -> Policy:
    """The rules of what may stay."""
    tree = tomllib.loads(files("tapetum.protect").joinpath("policy.toml").read_text())
    return Policy(
        frozenset(int(group, 16) for group in tree["numeric"]["groups"]),
        frozenset(tree["numeric"]["vrs"]),
        frozenset(tree["keep"]["keywords"]),
        frozenset(tree["clean"]["keywords"]),
        frozenset(tree["enter"]["keywords"]),
    )


def patient_of(dataset: Dataset, names: Pseudonymiser) -> str:
    """The patient's pseudonym; an object without Patient ID belongs to nobody but its own study."""
    patient_id = str(dataset.get("PatientID") or "").strip()
    if patient_id:
        return names.patient(patient_id, str(dataset.get("IssuerOfPatientID") or ""))
    return names.patient(f"study:{dataset.StudyInstanceUID}")


def may_show_identity(dataset: Dataset) -> bool:
    """Whether names may be burned into the pixels: said so, or a screen capture or ultrasound that does not deny it."""
    said = str(dataset.get("BurnedInAnnotation") or "").upper()
    if said in ("YES", "NO"):
        return said == "YES"
    return str(dataset.get("SOPClassUID")) in RISKY_SOP_CLASSES


def deidentify(dataset: Dataset, names: Pseudonymiser) -> Dataset:
    """Return a new, de-identified data set. The original is not modified; pixel elements are not copied.

    Parameters
    ----------
    dataset : a parsed DICOM header; sequences at any depth.
    names : the pseudonyms of this workspace.

    Raises
    ------
    IdentityExposed : after the work one of the patient's own identifiers is still found; nothing may be written.

    Source: DICOM PS3.15 Annex E, Table E.1-1 and E.3; attributes (0012,0062), (0012,0063), (0012,0064), (0028,0303).
    """
    own = identifiers(dataset)
    patient_key = patient_of(dataset, names)
    out = _clean(dataset, own, names, patient_key)
    if left := survivors(out, own):
        raise IdentityExposed("an identifier survived de-identification", tags=", ".join(left))
    out.PatientID = out.PatientName = patient_key
    for keyword in EMPTY_TYPE_2:
        setattr(out, keyword, "")
    if dataset.get("PatientAge"):
        out.PatientAge = _capped_age(str(dataset.PatientAge))
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = "tapetum policy: DICOM PS3.15 Annex E, default deny"
    out.DeidentificationMethodCodeSequence = Sequence([_code(value, meaning) for value, meaning in METHOD_CODES])
    out.LongitudinalTemporalInformationModified = "MODIFIED"
    return out


def survivors(dataset: Dataset, own: frozenset[str]) -> list[str]:
    """Tags of elements in which one of the identifiers still stands: the independent second look."""
    return [str(element.tag) for element in dataset.iterall() if _exposes(element, own)]


def _exposes(element: DataElement, own: frozenset[str]) -> bool:
    """Whether an identifier stands in an element, whatever its value representation."""
    values = values_of(element)
    if element.keyword == "SpecificCharacterSet":  # a patient whose number is 2022 is not meant by ISO 2022
        return not all(str(value) in python_encoding for value in values)
    if element.VR in NUMBER_VRS:
        return mentions_number(values, own)
    if element.VR in TEXT_VRS:
        return any(mentions(str(value), own) for value in values if not (element.VR == "UI" and _is_ours(str(value))))
    return any(mentions_bytes(value, own) for value in values if isinstance(value, bytes))


def _is_ours(uid: str) -> bool:
    """Whether a UID is a mapped one (a hash: digits in it say nothing) or one that the standard registers."""
    return uid.startswith(MAPPED_UIDS) or bool(UID(uid).type)


def _clean(dataset: Dataset, own: frozenset[str], names: Pseudonymiser, patient_key: str) -> Dataset:
    out = Dataset()
    # The writer needs to know in which encoding the raw pixel element will follow.
    implicit, little = dataset.original_encoding
    out.set_original_encoding(implicit, little, dataset.original_character_set)
    for element in dataset:
        kept = _element(element, own, names, patient_key)
        if kept is not None:
            out.add(kept)
    return out


def _element(element: DataElement, own: frozenset[str], names: Pseudonymiser, patient_key: str) -> DataElement | None:
    """What becomes of one element: itself, a changed copy, or None."""
    tag, vr, keyword = element.tag, element.VR, keyword_for_tag(element.tag)
    if tag.is_private or not keyword or keyword == "PatientBirthDate":
        return None
    if vr == "SQ":
        return _entered(element, own, names, patient_key) if keyword in policy().enter else None
    if vr == "UI":
        uids = [names.uid(str(uid)) for uid in values_of(element) if str(uid)]
        return DataElement(tag, vr, uids[0] if len(uids) == 1 else uids)
    if vr in ("DA", "DT"):
        return _shifted(element, names.shift_days(patient_key))
    return element if _may_stay(element, keyword, own) else None


def _entered(element: DataElement, own: frozenset[str], names: Pseudonymiser, patient_key: str) -> DataElement:
    items = [_clean(item, own, names, patient_key) for item in element.value]
    return DataElement(element.tag, element.VR, Sequence([item for item in items if len(item)]))


def _may_stay(element: DataElement, keyword: str, own: frozenset[str]) -> bool:
    rules = policy()
    if _exposes(element, own):
        return False
    if keyword in rules.clean:
        return not any(holds_number_or_date(str(value)) for value in values_of(element))
    if element.VR == "TM" and not all(TIME.fullmatch(str(value)) for value in values_of(element)):
        return False
    return keyword in rules.keep or (element.tag.group in rules.numeric_groups and element.VR in rules.numeric_vrs)


def _shifted(element: DataElement, days: int) -> DataElement | None:
    """A date or date-time moved by days; one that cannot be parsed is dropped, because it cannot be moved."""
    moved = []
    for value in values_of(element):
        match = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", str(value))
        rest = str(value)[match.end() :] if match and element.VR == "DT" else ""
        if match is None or not TIME_OF_DAY_AND_ZONE.fullmatch(rest):
            return None
        try:
            day = date(*map(int, match.groups())) + timedelta(days=days)
        except (ValueError, OverflowError):
            return None
        moved.append(day.isoformat().replace("-", "") + rest)
    return DataElement(element.tag, element.VR, moved[0] if len(moved) == 1 else moved) if moved else None


def _capped_age(age: str) -> str:
    years = re.fullmatch(r"(\d{3})Y", age.strip())
    if years:
        return f"{min(int(years.group(1)), MAX_AGE_YEARS + 1):03d}Y"
    return age.strip() if re.fullmatch(r"\d{3}[DWM]", age.strip()) else ""


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
