"""Structured reports: measurements and findings -> observations with their codes.

In: a Structured Report of TID 1500 (Measurement Report), or any other that holds numbers and codes in containers.
Out: one `Observation` for each number and each coded or written answer.  Definitions: DICOM PS3.3 C.17.3 (document
content), PS3.16 TID 1500, 1410, 1411, 1419 (measurement groups).  Start reading at `read`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite

from pydicom import Dataset

from tapetum.formats.damage import parsing
from tapetum.model import Code, Observation

__all__ = ["CLASSES", "is_report", "read"]

CLASSES = "1.2.840.10008.5.1.4.1.1.88."
"""How the UIDs of all classes of reports begin."""

DEEPEST = 60  # levels: a report that is deeper is no report
TRACKING = ("112039", "112040")  # Tracking Identifier, Tracking Unique Identifier
FINDING = {"121071"}
SITE = {"363698007", "G-C0E3"}
IS_CONTEXT = {*TRACKING, "C2348792", "128773004", "370129005", "G-C036", "121049", "121050"}
"""Names of items that say what is measured, by whom or in which language, and are no answer themselves."""
NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for everything below a container: the lesion, its site, and the series that was measured."""

    region: str = ""
    site: str = ""
    series: str = ""


def is_report(dataset: Dataset) -> bool:
    """Whether an object is a Structured Report (any storage class of them)."""
    return str(dataset.get("SOPClassUID", "")).startswith(CLASSES)


def read(dataset: Dataset) -> list[Observation]:
    """Read the numbers and answers of a report.

    Parameters
    ----------
    dataset : a Structured Report.

    Returns
    -------
    In the order of the report. ``name`` is the meaning of the item's concept in snake_case, ``code`` the concept,
    ``unit`` UCUM. ``region`` is the Tracking Identifier (else the Tracking UID, else the finding site) of the
    measurement group, ``series_instance_uid`` the series that the group or the report refers to, when it is one.
    Derivations, such as a mean or a maximum, are part of the name. Items without a value are left out.

    Raises
    ------
    RejectedInput : unreadable.
    """
    with parsing("the report"):
        series = _only_series(dataset)
        made = str(dataset.get("ContentDate") or ""), str(dataset.get("ContentTime") or "")
        base = Observation(
            str(dataset.get("PatientID") or ""),
            "report",
            text="",
            effective_at=_moment(*made),
            method=f"sr/{_template(dataset)}",
            source=str(dataset.get("SOPInstanceUID") or ""),
        )
        return list(_walk(dataset, base, Context(series=_series_of(dataset, series) or series.get("", "")), series, 0))


def _walk(
    parent: Dataset, base: Observation, context: Context, series: dict[str, str], depth: int
) -> Iterator[Observation]:
    if depth > DEEPEST:
        raise ValueError("a report that is too deep")
    for item in parent.get("ContentSequence") or []:
        kind = str(item.get("ValueType") or "")
        found = _observation(item, kind, base, context)
        if found is not None:
            yield found
        below = _below(item, context, series) if kind == "CONTAINER" else context
        yield from _walk(item, base, below, series, depth + 1)


def _observation(item: Dataset, kind: str, base: Observation, context: Context) -> Observation | None:
    concept = _concept(item, "ConceptNameCodeSequence")
    if concept is None or concept.value in IS_CONTEXT:
        return None
    base = replace(base, region=context.region or context.site, series_instance_uid=context.series)
    name = _name(item, concept)
    if kind == "NUM":
        measured = item.get("MeasuredValueSequence")
        number = float(measured[0].NumericValue) if measured and measured[0].get("NumericValue") is not None else None
        if number is None or not isfinite(number):
            return None
        unit = _concept(measured[0], "MeasurementUnitsCodeSequence")
        return replace(base, name=name, value=number, text=None, code=concept, unit=unit.value if unit else "1")
    answer = _concept(item, "ConceptCodeSequence") if kind == "CODE" else None
    text = answer.meaning or answer.value if answer else str(item.get("TextValue") or "") if kind == "TEXT" else ""
    return replace(base, name=name, text=text, code=concept) if text else None


def _below(item: Dataset, context: Context, series: dict[str, str]) -> Context:
    """The context of a container: what its direct items say of the lesion and of the images."""
    texts: dict[str, str] = {}
    for child in item.get("ContentSequence") or []:
        concept = _concept(child, "ConceptNameCodeSequence")
        if concept is None:
            continue
        if concept.value in TRACKING:
            texts[concept.value] = str(child.get("TextValue") or child.get("UID") or "")
        elif concept.value in SITE and (site := _concept(child, "ConceptCodeSequence")):
            texts["site"] = site.meaning or site.value
    region = texts.get(TRACKING[0]) or texts.get(TRACKING[1]) or context.region
    return Context(region, texts.get("site", context.site), _series_of(item, series) or context.series)


def _series_of(item: Dataset, series: dict[str, str]) -> str:
    """The one series whose objects stand below an item; empty when there is none or are several."""
    named = {
        series.get(str(element.value), "")
        for element in item.iterall()
        if element.keyword == "ReferencedSOPInstanceUID" and str(element.value) in series
    }
    named |= {
        str(child.get("UID"))
        for child in item.get("ContentSequence") or []
        if (concept := _concept(child, "ConceptNameCodeSequence")) and concept.value == "121232" and child.get("UID")
    }  # Source series for segmentation
    return named.pop() if len(named) == 1 else ""


def _only_series(dataset: Dataset) -> dict[str, str]:
    """SOP Instance UID -> series, by the evidence of the report; under the empty key the series when it is one."""
    found: dict[str, str] = {}
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in dataset.get(keyword) or []:
            for one in study.get("ReferencedSeriesSequence") or []:
                for instance in one.get("ReferencedSOPSequence") or []:
                    found[str(instance.ReferencedSOPInstanceUID)] = str(one.SeriesInstanceUID)
    every = set(found.values())
    return {**found, "": every.pop()} if len(every) == 1 else found


def _concept(item: Dataset, keyword: str) -> Code | None:
    codes = item.get(keyword)
    if not codes:
        return None
    value = str(codes[0].get("CodeValue") or codes[0].get("LongCodeValue") or codes[0].get("URNCodeValue") or "")
    scheme = str(codes[0].get("CodingSchemeDesignator") or "")
    return Code(value, scheme, str(codes[0].get("CodeMeaning") or "")) if value and scheme else None


def _name(item: Dataset, concept: Code) -> str:
    """The concept's meaning and its derivation (121401) in snake_case."""
    words = [concept.meaning or concept.value]
    for child in item.get("ContentSequence") or []:
        modifier = _concept(child, "ConceptNameCodeSequence")
        if modifier and modifier.value == "121401" and (how := _concept(child, "ConceptCodeSequence")):
            words.append(how.meaning or how.value)
    return NAMES.sub("_", " ".join(words).lower()).strip("_")


def _template(dataset: Dataset) -> str:
    templates = dataset.get("ContentTemplateSequence")
    return f"TID{templates[0].get('TemplateIdentifier')}" if templates else "unknown"


def _moment(date: str, time: str) -> str:
    """ISO date, with the time where it is known to the minute."""
    if not re.fullmatch(r"\d{8}", date):
        return ""
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    clock = re.match(r"(\d{2})(\d{2})(\d{2})?", time)
    return f"{day}T{clock[1]}:{clock[2]}:{clock[3] or '00'}" if clock else day
