"""De-identification of a DICOM header: what is not known to be harmless does not pass.

In: a header as it arrived.  Out: a new header, with keyed UIDs, shifted dates and the patient's pseudonym, that
says what was done to it.  Rules: `policy.toml` beside this file, read against DICOM PS3.15 Annex E (Basic Application
Level Confidentiality Profile with the options Clean Descriptors, Retain Longitudinal Temporal Information with
Modified Dates, Retain Patient Characteristics).  Start at `deidentify`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib.resources import files

from pydicom import config
from pydicom.charset import python_encoding
from pydicom.uid import UID

from tapetum.errors import IdentityExposed
from tapetum.formats.elements import (
    NUMBER_BYTES,
    TEXT_VRS,
    Element,
    Header,
    decoded,
    keyword_of,
    tag_of,
    text_element,
)  # fmt: skip
from tapetum.protect.identity import holds_number_or_date, identifiers, mentions, mentions_bytes, mentions_number
from tapetum.protect.pseudonym import Pseudonymiser

__all__ = ["deidentify", "may_show_identity", "patient_of", "survivors"]

MAX_AGE_YEARS = 89  # HIPAA 45 CFR 164.514(b)(2)(i)(C): ages over 89 are identifying.
NUMBER_VRS = frozenset({"DS", "IS"})
TIME = re.compile(r"\d{2}:?(\d{2}:?(\d{2}(\.\d{1,6})?)?)?\s*")
TIME_OF_DAY_AND_ZONE = re.compile(r"(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?\s*")
TYPE_2 = {
    "StudyDate": "DA",
    "StudyTime": "TM",
    "Manufacturer": "LO",
    "PositionReferenceIndicator": "LO",
    "StructureSetDate": "DA",
    "StructureSetTime": "TM",
    "ContentCreatorName": "PN",
}
EMPTY_TYPE_2 = {"PatientBirthDate": "DA", "ReferringPhysicianName": "PN", "AccessionNumber": "SH", "StudyID": "SH"}
METHOD = "tapetum policy: DICOM PS3.15 Annex E, default deny"
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
SPECIFIC_CHARACTER_SET = 0x00080005
# What repeats from image to image of a series is decided once; longer values are looked at each time.
REMEMBERED, REMEMBERED_BYTES = 1 << 15, 128


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


def patient_of(header: Header, names: Pseudonymiser) -> str:
    """The patient's pseudonym; an object without Patient ID belongs to nobody but its own study."""
    patient_id = header.text("PatientID")
    if patient_id:
        return names.patient(patient_id, header.text("IssuerOfPatientID"))
    return names.patient(f"study:{header.text('StudyInstanceUID')}")


def may_show_identity(header: Header) -> bool:
    """Whether names may be burned into the pixels: said so, or a screen capture or ultrasound that does not deny it."""
    said = header.text("BurnedInAnnotation").upper()
    if said in ("YES", "NO"):
        return said == "YES"
    return header.text("SOPClassUID") in RISKY_SOP_CLASSES


def deidentify(header: Header, names: Pseudonymiser) -> Header:
    """Return a new, de-identified header. The original is not modified.

    Parameters
    ----------
    header : a parsed DICOM header; sequences at any depth. One of pydicom's: `formats.foreign.from_pydicom`.
    names : the pseudonyms of this workspace.

    Raises
    ------
    IdentityExposed : after the work one of the patient's own identifiers is still found; nothing may be written.

    Source: DICOM PS3.15 Annex E, Table E.1-1 and E.3; attributes (0012,0062), (0012,0063), (0012,0064), (0028,0303).
    """
    own = identifiers(header)
    patient = _patient(names, patient_of(header, names), own)
    out = _clean(header, patient)
    if left := survivors(out, own):
        raise IdentityExposed("an identifier survived de-identification", tags=", ".join(left))
    out[tag_of("PatientID")] = text_element("LO", patient.key)
    out[tag_of("PatientName")] = text_element("PN", patient.key)
    for keyword, vr in EMPTY_TYPE_2.items():
        out[tag_of(keyword)] = vr, b""
    for keyword, vr in TYPE_2.items():  # what may be empty must still be there (PS3.5 7.4.3)
        if header.has(keyword) and not out.has(keyword):
            out[tag_of(keyword)] = vr, b""
    if header.has("StructureSetLabel"):  # of type 1, and words of a person: it gets others (PS3.15 Table E.1-1, D)
        out[tag_of("StructureSetLabel")] = text_element("SH", "STRUCTURES")
    if age := header.text("PatientAge"):
        out[tag_of("PatientAge")] = text_element("AS", _capped_age(age))
    out[tag_of("PatientIdentityRemoved")] = text_element("CS", "YES")
    out[tag_of("DeidentificationMethod")] = text_element("LO", METHOD)
    out[tag_of("DeidentificationMethodCodeSequence")] = "SQ", _method_codes()
    out[tag_of("LongitudinalTemporalInformationModified")] = text_element("CS", "MODIFIED")
    return out


def survivors(header: Header, own: frozenset[str]) -> list[str]:
    """Tags of elements in which one of the identifiers still stands: the independent second look."""
    left = []
    for data_set in header.data_sets():
        encodings = data_set.encodings
        left += [
            f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
            for tag, element in data_set.items()
            if _exposes(tag, element, encodings, own)
        ]
    return left


@dataclass(frozen=True, slots=True, eq=False)
class _Patient:
    """What all objects of one patient share in one workspace; equal to itself only, so that it is a quick key."""

    names: Pseudonymiser
    key: str
    own: frozenset[str]
    shift_days: int


@lru_cache(maxsize=256)
def _patient(names: Pseudonymiser, key: str, own: frozenset[str]) -> _Patient:
    return _Patient(names, key, own, names.shift_days(key))


def _exposes(tag: int, element: Element, encodings: tuple[str, ...], own: frozenset[str]) -> bool:
    """Whether an identifier stands in an element, whatever its value representation."""
    vr, value = element
    if isinstance(value, tuple) or not value:
        return False
    if tag == SPECIFIC_CHARACTER_SET:  # a patient whose number is 2022 is not meant by ISO 2022
        return not all(str(term).strip() in python_encoding for term in decoded(element, encodings))
    looked_at = _tells if len(value) <= REMEMBERED_BYTES else _tells.__wrapped__
    return looked_at(vr, value, encodings, own)


@lru_cache(maxsize=REMEMBERED)
def _tells(vr: str, value: bytes, encodings: tuple[str, ...], own: frozenset[str]) -> bool:
    """Whether an identifier stands in a value."""
    if vr in NUMBER_VRS:
        numbers = _numbers((vr, value))
        return numbers is None or mentions_number(numbers, own)  # words have no place in a number
    if vr in TEXT_VRS:
        texts = map(str, decoded((vr, value), encodings))
        return any(mentions(text, own) for text in texts if not (vr == "UI" and _is_ours(text)))
    return vr not in NUMBER_BYTES and mentions_bytes(value, own)


def _numbers(element: Element) -> list[float] | None:
    """Decimal or integer strings as numbers; None when one of them is something else."""
    try:
        return [float(value) for value in decoded(element, ()) if str(value).strip()]
    except ValueError:
        return None


def _is_ours(uid: str) -> bool:
    """Whether a UID is a mapped one (a hash: digits in it say nothing) or one that the standard registers."""
    return uid.startswith(MAPPED_UIDS) or bool(UID(uid, config.IGNORE).type)


def _clean(header: Header, patient: _Patient) -> Header:
    out, encodings = Header(header.inherited), header.encodings
    for tag, element in header.items():
        value = element[1]
        if isinstance(value, tuple):
            if keyword_of(tag) in policy().enter:
                items = [_clean(item, patient) for item in value]
                out[tag] = "SQ", tuple([item for item in items if item])
            continue
        decide = _fate if len(value) <= REMEMBERED_BYTES else _fate.__wrapped__
        kept = decide(tag, element, encodings, patient)
        if kept is not None:
            out[tag] = kept
    return out


@lru_cache(maxsize=REMEMBERED)
def _fate(tag: int, element: Element, encodings: tuple[str, ...], patient: _Patient) -> Element | None:
    """What becomes of one element: itself, a changed copy, or None."""
    vr, keyword = element[0], keyword_of(tag)
    if not keyword or keyword == "PatientBirthDate":
        return None
    if vr == "UI":
        uids = [str(patient.names.uid(str(uid))) for uid in decoded(element, encodings) if uid]
        return text_element(vr, "\\".join(uids))
    if vr in ("DA", "DT"):
        return _shifted(element, patient.shift_days)
    return element if _may_stay(tag, element, encodings, patient.own) else None


def _may_stay(tag: int, element: Element, encodings: tuple[str, ...], own: frozenset[str]) -> bool:
    rules, vr, keyword = policy(), element[0], keyword_of(tag)
    numeric = tag >> 16 in rules.numeric_groups and vr in rules.numeric_vrs
    if not (numeric or keyword in rules.keep or keyword in rules.clean):
        return False
    if _exposes(tag, element, encodings, own):
        return False
    values = decoded(element, encodings)
    if keyword in rules.clean:
        return not any(holds_number_or_date(str(value)) for value in values)
    return vr != "TM" or all(TIME.fullmatch(str(value)) for value in values)


def _shifted(element: Element, days: int) -> Element | None:
    """A date or date-time moved by days; one that cannot be parsed is dropped, because it cannot be moved."""
    moved = []
    for value in decoded(element, ()):
        match = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", str(value))
        rest = str(value)[match.end() :] if match and element[0] == "DT" else ""
        if match is None or not TIME_OF_DAY_AND_ZONE.fullmatch(rest):
            return None
        try:
            day = date(*map(int, match.groups())) + timedelta(days=days)
        except (ValueError, OverflowError):
            return None
        moved.append(day.isoformat().replace("-", "") + rest)
    return text_element(element[0], "\\".join(moved)) if moved else None


def _capped_age(age: str) -> str:
    years = re.fullmatch(r"(\d{3})Y", age)
    if years:
        return f"{min(int(years.group(1)), MAX_AGE_YEARS + 1):03d}Y"
    return age if re.fullmatch(r"\d{3}[DWM]", age) else ""


@cache
def _method_codes() -> tuple[Header, ...]:
    items = []
    for value, meaning in METHOD_CODES:
        item = Header()
        for keyword, vr, text in (
            ("CodeValue", "SH", value),
            ("CodingSchemeDesignator", "SH", "DCM"),
            ("CodeMeaning", "LO", meaning),
        ):
            item[tag_of(keyword)] = text_element(vr, text)
        items.append(item)
    return tuple(items)
