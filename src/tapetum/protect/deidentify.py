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
from pydicom.datadict import keyword_for_tag
from pydicom.multival import MultiValue

from tapetum.errors import IdentityExposed
from tapetum.protect.pseudonym import Pseudonymiser

__all__ = ["deidentify", "identifiers", "may_show_identity", "patient_of", "survivors"]

MAX_AGE_YEARS = 89  # HIPAA 45 CFR 164.514(b)(2)(i)(C): ages over 89 are identifying.
TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR", "UN", "AS", "DA", "DT"})
IDENTIFYING = (
    "PatientID", "OtherPatientIDs", "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    "PatientBirthDate", "AccessionNumber", "PatientAddress", "PatientTelephoneNumbers", "MilitaryRank",
    "MedicalRecordLocator", "IssuerOfPatientID", "AdmissionID", "InstitutionAddress",
)  # fmt: skip
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
RISKY_SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1")


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
    return str(dataset.get("SOPClassUID")).startswith(RISKY_SOP_CLASSES)


def identifiers(dataset: Dataset) -> frozenset[str]:
    """The patient's and staff's own names and numbers in an object, case-folded: what must not be found afterwards.

    Words of fewer than 3 letters (2 where they are not Latin) and numbers of fewer than 4 digits are left out, because
    they would be found in harmless places.
    """
    found: set[str] = set()
    for element in dataset.iterall():
        if element.VR == "PN" or element.keyword in IDENTIFYING:
            for value in _values(element):
                found.update(_words(value))
    return frozenset(found)


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
    return [
        str(element.tag)
        for element in dataset.iterall()
        if element.VR in TEXT_VRS and any(_contains(str(value), own) for value in _values(element))
    ]


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
        uids = [names.uid(str(uid)) for uid in _values(element) if str(uid)]
        return DataElement(tag, vr, uids[0] if len(uids) == 1 else uids)
    if vr in ("DA", "DT"):
        return _shifted(element, names.shift_days(patient_key))
    return element if _may_stay(element, keyword, own) else None


def _entered(element: DataElement, own: frozenset[str], names: Pseudonymiser, patient_key: str) -> DataElement:
    items = [_clean(item, own, names, patient_key) for item in element.value]
    return DataElement(element.tag, element.VR, Sequence([item for item in items if len(item)]))


def _may_stay(element: DataElement, keyword: str, own: frozenset[str]) -> bool:
    rules = policy()
    text = " ".join(str(value) for value in _values(element)) if element.VR in TEXT_VRS else ""
    if _contains(text, own):
        return False
    if keyword in rules.clean:
        return re.search(r"\d{6,}", text) is None
    return keyword in rules.keep or (element.tag.group in rules.numeric_groups and element.VR in rules.numeric_vrs)


def _shifted(element: DataElement, days: int) -> DataElement | None:
    """A date or date-time moved by days; one that cannot be parsed is dropped, because it cannot be moved."""
    moved = []
    for value in _values(element):
        match = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", str(value))
        try:
            day = date(*map(int, match.groups())) if match else None
        except ValueError:
            day = None
        if match is None or day is None:
            return None
        rest = str(value)[match.end() :] if element.VR == "DT" else ""
        moved.append((day + timedelta(days=days)).strftime("%Y%m%d") + rest)
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


def _values(element: DataElement) -> list[object]:
    if element.value is None or element.VR == "SQ":
        return []
    return list(element.value) if isinstance(element.value, MultiValue | list | tuple) else [element.value]


def _words(value: object) -> set[str]:
    text = str(value).casefold()
    words = {word for word in re.split(r"[\s^=,;/\\.]+", text) if word}
    return {word for word in {*words, text.strip()} if _tells(word)}


def _tells(word: str) -> bool:
    if word.isdigit():
        return len(word) >= 4
    return len(word) >= (3 if word.isascii() else 2)


def _contains(text: str, own: frozenset[str]) -> bool:
    """Whether an identifier stands in the text: as a word of its own in Latin letters, anywhere otherwise."""
    text = text.casefold()
    return any(
        word in text and (not word.isascii() or re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text))
        for word in own
    )
