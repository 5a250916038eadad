"""Searching, QIDO-RS (PS3.18 10.6): a URL becomes a `Query`, its matches DICOM JSON. Start reading at `_search`.

All attributes of the catalogue can be searched, by keyword or tag, with the matching rules of `tapetum.model.Query`;
every attribute can be asked for: those that the catalogue does not have are read from the stored header.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from pydicom.datadict import tag_for_keyword

from tapetum.errors import RefusedRequest, RejectedInput
from tapetum.formats import dicom
from tapetum.formats.dicom_json import to_json_model
from tapetum.model import Level, Query, Row
from tapetum.web.accept import Accepted
from tapetum.web.answer import JSON_OFFERS, accept_of, json_answer, uid_in_path
from tapetum.web.archive import PREFIX, Archive, archive_of, base_url
from tapetum.web.row_json import RowWriter, keyword_of_name, representation

__all__ = ["router"]

router = APIRouter(prefix=PREFIX, tags=["QIDO-RS"])

MOST_ROWS = 20_000
MOST_PARAMETERS = 256
UIDS: dict[Level, str] = {
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
# PS3.18 Tables 10.6.3-3, -4 and -5: what an answer holds without being asked.
RETURNED: dict[Level, tuple[str, ...]] = {
    "study": (
        "StudyDate", "StudyTime", "AccessionNumber", "InstanceAvailability", "ModalitiesInStudy",
        "ReferringPhysicianName", "RetrieveURL", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
        "StudyInstanceUID", "StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "series": (
        "Modality", "SeriesDescription", "RetrieveURL", "SeriesInstanceUID", "SeriesNumber",
        "NumberOfSeriesRelatedInstances", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    ),
    "instance": (
        "SOPClassUID", "SOPInstanceUID", "InstanceAvailability", "RetrieveURL", "InstanceNumber", "Rows", "Columns",
        "BitsAllocated", "NumberOfFrames",
    ),
}  # fmt: skip
# Answered where the catalogue has them: the first by the same tables, the second because everybody asks for it.
WHERE_KNOWN = ("TimezoneOffsetFromUTC", "StudyDescription")
ABOVE: dict[Level, tuple[Level, ...]] = {"study": (), "series": ("study",), "instance": ("study", "series")}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query, and the attributes named by includefield; None for all."""

    query: Query
    included: frozenset[str] | None


@router.get("/studies", summary="Search for studies")
def studies(request: Request) -> Response:
    """Search for studies."""
    return _search(request, "study", {})


@router.get("/studies/{study}/series", summary="Search for series of a study")
def series_of_study(request: Request, study: str) -> Response:
    """Search for series of a study."""
    return _search(request, "series", {"StudyInstanceUID": uid_in_path(study)})


@router.get("/series", summary="Search for series")
def series(request: Request) -> Response:
    """Search for series of all studies."""
    return _search(request, "series", {})


@router.get("/studies/{study}/instances", summary="Search for instances of a study")
def instances_of_study(request: Request, study: str) -> Response:
    """Search for instances of a study."""
    return _search(request, "instance", {"StudyInstanceUID": uid_in_path(study)})


@router.get("/studies/{study}/series/{series}/instances", summary="Search for instances of a series")
def instances_of_series(request: Request, study: str, series: str) -> Response:
    """Search for instances of a series."""
    named = {"StudyInstanceUID": uid_in_path(study), "SeriesInstanceUID": uid_in_path(series)}
    return _search(request, "instance", named)


@router.get("/instances", summary="Search for instances")
def instances(request: Request) -> Response:
    """Search for instances of all studies."""
    return _search(request, "instance", {})


def _search(request: Request, level: Level, named: Mapping[str, str]) -> Response:
    media = Accepted(accept_of(request)).choose(JSON_OFFERS).media
    archive = archive_of(request)
    asked = _asked(request, level, named)
    rows = archive.workspace.catalogue.find(asked.query)
    total = _total(archive, asked.query, len(rows))
    headers = {"X-Total-Count": str(total)}
    remaining = total - asked.query.offset - len(rows)
    if remaining > 0 and len(rows) == MOST_ROWS:
        told = f"There are {remaining} additional results that can be requested"  # PS3.18 10.6.3.2
        headers["Warning"] = f'299 {base_url(request)} "{told}"'
    body = f"[{','.join(_objects(archive, asked, rows, named, base_url(request)))}]"
    return json_answer(request, body.encode("ascii"), media=media, headers=headers)


def _asked(request: Request, level: Level, named: Mapping[str, str]) -> _Asked:
    match: dict[str, str] = {}
    own: dict[str, list[str]] = {}
    parameters = request.query_params.multi_items()
    if len(parameters) > MOST_PARAMETERS:
        raise RefusedRequest("bad-request", "too many parameters")
    for name, value in parameters:
        if name in OWN_PARAMETERS:
            own.setdefault(name, []).append(value)
        else:
            keyword = _searchable(name)
            if keyword in match:
                raise RefusedRequest("bad-request", "an attribute is named twice", attribute=keyword)
            match[keyword] = value.replace(",", "\\") if representation(keyword) == "UI" else value
    for keyword, uid in named.items():
        if match.get(keyword, uid) != uid:
            raise RefusedRequest("bad-request", "path and parameter name different objects", attribute=keyword)
        match[keyword] = uid
    limit = _whole(own, "limit")
    query = Query(
        level,
        match,
        fuzzy=own.get("fuzzymatching", [""])[-1].lower() == "true",
        limit=MOST_ROWS if limit is None else min(limit, MOST_ROWS),
        offset=_whole(own, "offset") or 0,
    )
    return _Asked(query, _included(own.get("includefield", [])))


OWN_PARAMETERS = frozenset({"limit", "offset", "fuzzymatching", "includefield", "accept", "multiplevaluematching"})


def _searchable(name: str) -> str:
    keyword = keyword_of_name(name)
    if not keyword:
        what = "a private or unknown attribute, or no parameter of a search"
        raise RefusedRequest("bad-request", what, hint="name attributes of DICOM by keyword or tag", name=name[:64])
    if representation(keyword) == "SQ":
        raise RefusedRequest("bad-request", "sequences are not searched", attribute=keyword)
    return keyword


def _included(values: list[str]) -> frozenset[str] | None:
    names = {name.strip() for value in values for name in value.split(",") if name.strip()}
    if "all" in names:
        return None
    # The last of a path is in the first: who asks for an item's attribute is given the sequence.
    found = {name: keyword_of_name(name.split(".")[0]) for name in names}
    unknown = sorted(name[:64] for name, keyword in found.items() if not keyword)
    if unknown:
        raise RefusedRequest("bad-request", "includefield names a private or unknown attribute", name=unknown[0])
    return frozenset(found.values())


def _whole(own: Mapping[str, list[str]], name: str) -> int | None:
    text = own.get(name, [""])[-1]
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise RefusedRequest("bad-request", f"{name} is not a whole number of 0 or more")
    return int(text)


def _total(archive: Archive, query: Query, found: int) -> int:
    """How many there are on all pages; counted only when this is not the last one."""
    last = query.limit is None or 0 < found < query.limit or (found == 0 and query.offset == 0 and query.limit > 0)
    return query.offset + found if last else archive.workspace.catalogue.count(query)


def _objects(archive: Archive, asked: _Asked, rows: list[Row], named: Mapping[str, str], root: str) -> Iterator[str]:
    """Each match as JSON."""
    level = asked.query.level
    levels = [above for above in ABOVE[level] if UIDS[above] not in named]
    always = {*RETURNED[level], *UIDS_OF[level], *asked.query.match} - NEVER
    for above in levels:
        always |= set(RETURNED[above])
    wanted = None if asked.included is None else {*always, *asked.included, *WHERE_KNOWN}
    writer = RowWriter(wanted, always=always)
    upper = {above: _upper(archive, above, rows) for above in levels}
    for row in rows:
        whole = {"InstanceAvailability": "ONLINE", "RetrieveURL": f"{root}{_path(level, row)}"}
        for above in levels:
            whole.update(upper[above].get(row[UIDS[above]], {}))
        whole.update(row)
        missing = (asked.included or frozenset()) - whole.keys()
        yield writer.text(whole, _from_header(archive, level, row, missing) if missing else {})


UIDS_OF: dict[Level, tuple[str, ...]] = {
    "study": ("StudyInstanceUID",),
    "series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
NEVER = frozenset({"PatientComments"})


def _path(level: Level, row: Row) -> str:
    path = f"/studies/{row['StudyInstanceUID']}"
    if level != "study":
        path += f"/series/{row['SeriesInstanceUID']}"
    return path if level != "instance" else f"{path}/instances/{row['SOPInstanceUID']}"


def _upper(archive: Archive, level: Level, rows: list[Row]) -> dict[str, Row]:
    """The rows of a level above, by UID: asked for together, a few hundred at a time."""
    keyword = UIDS[level]
    uids = sorted({row[keyword] for row in rows})
    found = {}
    for at in range(0, len(uids), UIDS_AT_ONCE):
        several = "\\".join(uids[at : at + UIDS_AT_ONCE])
        for row in archive.workspace.catalogue.find(Query(level, {keyword: several})):
            found[row[keyword]] = row
    return found


UIDS_AT_ONCE = 400


def _from_header(archive: Archive, level: Level, row: Row, keywords: frozenset[str]) -> dict[str, str]:
    """Attributes of a match, or of its first instance, as JSON by keyword."""
    match = {UIDS[each]: row[UIDS[each]] for each in UIDS if UIDS[each] in row}
    first = next((found for found in archive.workspace.catalogue.select(Query(level, match, limit=1))), None)
    if first is None or first.format != "dicom":
        return {}
    with archive.workspace.blobs.open(first.blob) as file:
        try:
            model = to_json_model(dicom.read(file).header)
        except RejectedInput:
            return {}
    tags = {keyword: f"{tag_for_keyword(keyword):08X}" for keyword in keywords}
    return {keyword: json.dumps(model[tag]) for keyword, tag in tags.items() if tag in model}
