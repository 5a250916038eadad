"""What a FHIR R4 resource says that a study can use: codes, numbers and dates, and never its free text.

In: one resource.  Out: a `Statement`: whose it is, which version, and its `Fact` rows.  Dates are still the source's
own here; they are shifted when the patient is known.  Narrative, notes, displays, names of performers and attachments
are not looked at, so that they cannot be stored.  Start reading at `read_resource`.

Source: HL7 FHIR R4 (4.0.1); designators of coding schemes as in DICOM PS3.16 Table 8-1 and HL7 table 0396.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tapetum.errors import RejectedInput
from tapetum.model import Code

__all__ = ["LEFT_OUT", "WITHDRAWN", "Fact", "Statement", "is_known_scheme", "read_resource"]

SCHEMES = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    "http://hl7.org/fhir/sid/icd-10": "I10",
    "http://hl7.org/fhir/sid/icd-10-cm": "I10C",
    "http://hl7.org/fhir/sid/icd-9-cm": "I9C",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RXNORM",
    "http://www.whocc.no/atc": "ATC",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
    "http://www.radlex.org": "RADLEX",
    "http://unitsofmeasure.org": "UCUM",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation": "V3OI",
}
"""FHIR code system -> designator, in the order in which one of several codings is chosen."""
UCUM = "http://unitsofmeasure.org"
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,31}")  # a code, and no sentence
UNIT = re.compile(r"[^\s{}]{1,16}")
WITHDRAWN, LEFT_OUT = "withdrawn", "left-out"
# What a status must be for the resource to state a fact about the patient; an absent one says nothing against it.
STATED = {
    "Observation": ("final", "amended", "corrected", "preliminary", "registered"),
    "DiagnosticReport": ("final", "amended", "corrected", "appended", "preliminary", "partial", "registered"),
    "MedicationStatement": ("active", "completed", "on-hold", "stopped"),
    "MedicationRequest": ("active", "completed", "on-hold", "stopped"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One row to be: a number or a word, what it is, its UCUM unit and the date as the source writes it."""

    name: str
    value: float | None = None
    text: str | None = None
    code: tuple[str, str] | None = None
    unit: str = "1"
    when: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One resource as far as it is used.

    ``subject`` is its reference to a patient, ``subject_identifier`` (system, value) the logical one instead.
    ``outcome`` is empty for one that is used, ``withdrawn`` for one entered in error, ``left-out`` for one that says
    nothing that a table can hold. ``updated`` and ``version`` are of its meta element.
    """

    kind: str
    resource_id: str = ""
    subject: str = ""
    subject_identifier: tuple[str, str] = ("", "")
    updated: str = ""
    version: str = ""
    outcome: str = ""
    facts: tuple[Fact, ...] = ()
    study_instance_uid: str = ""


def read_resource(resource: Mapping[str, Any], names: Mapping[str, str]) -> Statement:
    """What a resource says.

    Parameters
    ----------
    resource : as parsed.
    names : observation names for codes, ``"LN|4548-4" -> "hba1c"``; without one the name is ``ln_4548_4``.

    Raises
    ------
    RejectedInput : invalid-resource when an element is not what R4 says that it is.
    """
    kind = str(resource.get("resourceType"))
    try:
        said = _said(kind, resource)
        reader = READERS.get(kind)
        if said.outcome or reader is None:
            return said if said.outcome else replace(said, outcome=LEFT_OUT)
        facts = tuple(_numbered(reader(resource, names)))
        study = _study_uid(resource) if kind == "ImagingStudy" else ""
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        raise RejectedInput("invalid-resource", "an element is not what FHIR R4 says", kind=_plain(kind)) from error
    unused = not facts and not study and kind != "Patient"
    return replace(said, facts=facts, study_instance_uid=study, outcome=LEFT_OUT if unused else "")


def is_known_scheme(scheme: str) -> bool:
    """Whether a designator is of a public vocabulary, whose codes cannot be somebody's number."""
    return scheme in SCHEMES.values()


def _plain(kind: str) -> str:
    return kind if re.fullmatch(r"[A-Za-z]{1,40}", kind) else "?"


def _said(kind: str, resource: Mapping[str, Any]) -> Statement:
    meta = resource.get("meta") or {}
    subject = resource.get("subject") or resource.get("patient") or {}
    identifier = subject.get("identifier") or {}
    verification = _coded(resource.get("verificationStatus"))
    status = str(resource.get("status") or "")
    outcome = ""
    if "entered-in-error" in (status, verification):
        outcome = WITHDRAWN
    elif status and status not in STATED.get(kind, (status,)):
        outcome = LEFT_OUT
    return Statement(
        kind,
        resource_id=str(resource.get("id") or ""),
        subject=str(subject.get("reference") or ""),
        subject_identifier=(str(identifier.get("system") or ""), str(identifier.get("value") or "")),
        updated=str(meta.get("lastUpdated") or ""),
        version=str(meta.get("versionId") or ""),
        outcome=outcome,
    )


def _coded(concept: Any) -> str:
    """The code of a concept with a required vocabulary, such as a status."""
    return next((str(coding.get("code") or "") for coding in (concept or {}).get("coding") or ()), "")


def _patient(resource: Mapping[str, Any], _: Mapping[str, str]) -> Iterator[Fact]:
    if resource.get("gender") in ("male", "female", "other", "unknown"):
        yield Fact("sex", text=resource["gender"], code=("46098-0", "LN"))
    if resource.get("birthDate"):
        yield Fact("birth_year", value=math.nan, code=("21112-8", "LN"), unit="a", when=str(resource["birthDate"]))
    died = str(resource.get("deceasedDateTime") or "")
    if died or resource.get("deceasedBoolean") is True:
        yield Fact("deceased", value=1.0, code=("419099009", "SCT"), when=died)


def _observation(resource: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Fact]:
    when = _when(resource, "effective")
    for element in (resource, *(resource.get("component") or ())):
        code = _code(element.get("code"), names)
        if code is not None:
            yield from (replace(fact, when=when) for fact in _values(element, code, names))


def _values(element: Mapping[str, Any], code: Code, names: Mapping[str, str]) -> Iterator[Fact]:
    """The value[x] of an observation or component. A text is free text and is not taken."""
    name, pair = _name(code, names), (code.value, code.scheme)
    if quantity := element.get("valueQuantity"):
        number = _number(quantity.get("value"))
        if number is not None:
            yield Fact(name, value=number, code=pair, unit=_unit(quantity))
            if quantity.get("comparator") in ("<", "<=", ">=", ">"):
                yield Fact(f"{name}_comparator", text=quantity["comparator"], code=pair)
    elif ratio := element.get("valueRatio"):
        over, under = (_number((ratio.get(part) or {}).get("value")) for part in ("numerator", "denominator"))
        if over is not None and under:
            yield Fact(name, value=over / under, code=pair)
    elif isinstance(element.get("valueBoolean"), bool):
        yield Fact(name, value=float(element["valueBoolean"]), code=pair)
    elif element.get("valueInteger") is not None:
        yield Fact(name, value=_number(element["valueInteger"]), code=pair)
    elif (answer := _code(element.get("valueCodeableConcept"), names)) is not None:
        yield Fact(name, text=f"{answer.scheme}:{answer.value}", code=pair)


def _condition(resource: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Fact]:
    """1: confirmed, or not said to be otherwise; 0: refuted. What is only suspected is no fact."""
    value = {"": 1.0, "confirmed": 1.0, "refuted": 0.0}.get(_coded(resource.get("verificationStatus")))
    code = _code(resource.get("code"), names)
    if value is not None and code is not None:
        when = _when(resource, "onset") or str(resource.get("recordedDate") or "")
        yield Fact(_name(code, names), value=value, code=(code.value, code.scheme), when=when)


def _report(resource: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Fact]:
    """Its coded conclusions; its results are Observations of their own, its text stays where it is."""
    when = _when(resource, "effective")
    for concept in resource.get("conclusionCode") or ():
        code = _code(concept, names)
        if code is not None:
            yield Fact(_name(code, names), value=1.0, code=(code.value, code.scheme), when=when)


def _medication(resource: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Fact]:
    code = _code(resource.get("medicationCodeableConcept"), names)
    if code is not None:
        when = _when(resource, "effective") or str(resource.get("authoredOn") or resource.get("dateAsserted") or "")
        yield Fact(_name(code, names), value=1.0, code=(code.value, code.scheme), when=when)


def _imaging_study(_: Mapping[str, Any], __: Mapping[str, str]) -> Iterator[Fact]:
    return iter(())


Reader = Callable[[Mapping[str, Any], Mapping[str, str]], Iterator[Fact]]
READERS: dict[str, Reader] = {
    "Patient": _patient,
    "Observation": _observation,
    "Condition": _condition,
    "DiagnosticReport": _report,
    "MedicationStatement": _medication,
    "MedicationRequest": _medication,
    "ImagingStudy": _imaging_study,
}


def _study_uid(resource: Mapping[str, Any]) -> str:
    for identifier in resource.get("identifier") or ():
        if identifier.get("system") == "urn:dicom:uid":
            return str(identifier.get("value") or "").removeprefix("urn:oid:")
    return ""


def _when(resource: Mapping[str, Any], what: str) -> str:
    """The dateTime, instant, or start of the Period of a choice element."""
    period = resource.get(f"{what}Period") or {}
    return str(resource.get(f"{what}DateTime") or resource.get(f"{what}Instant") or period.get("start") or "")


def _code(concept: Any, names: Mapping[str, str]) -> Code | None:
    """The coding of a concept to go by: one that the mapping names, else of the first vocabulary we prefer."""
    found = []
    for coding in (concept or {}).get("coding") or ():
        value, system = str(coding.get("code") or ""), str(coding.get("system") or "")
        if TOKEN.fullmatch(value) and system:
            found.append(Code(value, SCHEMES.get(system) or _local(system)))
    order = list(SCHEMES.values())
    ranks = {scheme: place for place, scheme in enumerate(order)}
    found.sort(key=lambda code: (f"{code.scheme}|{code.value}" not in names, ranks.get(code.scheme, len(order))))
    return found[0] if found else None


def _local(system: str) -> str:
    """A private designator (99...) for a code system of a hospital, whose address would say which hospital."""
    return "99" + hashlib.sha256(system.encode()).hexdigest()[:8].upper()


def _name(code: Code, names: Mapping[str, str]) -> str:
    given = names.get(f"{code.scheme}|{code.value}")
    return given or re.sub(r"[^0-9a-z]+", "_", f"{code.scheme}_{code.value}".lower()).strip("_")


def _number(raw: Any) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError("not a decimal")
    return float(raw)


def _unit(quantity: Mapping[str, Any]) -> str:
    """The UCUM code; a unit of another or no system becomes UCUM's annotation, which converts into nothing."""
    if quantity.get("system") == UCUM and quantity.get("code"):
        return str(quantity["code"]) if re.fullmatch(r"[!-~]{1,40}", str(quantity["code"])) else "1"
    word = str(quantity.get("unit") or quantity.get("code") or "")
    return f"{{{word}}}" if UNIT.fullmatch(word) else "1"


def _numbered(facts: Iterator[Fact]) -> Iterator[Fact]:
    """A name that comes twice in one resource gets a number: each row of a resource has its own."""
    seen: dict[str, int] = {}
    for fact in facts:
        seen[fact.name] = seen.get(fact.name, 0) + 1
        yield fact if seen[fact.name] == 1 else replace(fact, name=f"{fact.name}_{seen[fact.name]}")
