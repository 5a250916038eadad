"""Searching as people do it: a few words in, a table out.

In: the words of `Workspace.search`.  Out: one row a patient, study or series, newest studies first, its columns named
as in `Workspace.series`.  Start reading at `question`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from tapetum.errors import InvalidQuery
from tapetum.model import Level, Query, Row
from tapetum.ports import Catalogue

__all__ = ["as_table", "fulfilling", "pages", "question", "snake"]

PAGE = 1000
NAMED = {
    "NumberOfPatientRelatedStudies": "studies",
    "NumberOfStudyRelatedSeries": "series",
    "NumberOfStudyRelatedInstances": "study_instances",
    "NumberOfSeriesRelatedInstances": "instances",
    "ModalitiesInStudy": "modalities",
}
"""Columns that are not the keyword in snake case."""

FIRST: dict[Level, tuple[str, ...]] = {
    "patient": ("patient_key", "studies"),
    "study": ("patient_key", "study_instance_uid", "study_date", "study_description", "modalities", "series"),
    "series": (
        "patient_key", "study_instance_uid", "series_instance_uid", "modality", "role", "site", "format", "instances",
        "study_date", "body_part_examined", "series_description",
    ),
    "instance": ("patient_key", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "instance_number"),
}  # fmt: skip
"""Columns that a table always has, in this order; the others come behind them."""

COUNTS = frozenset({"studies", "series", "study_instances", "instances", "instance_number"})
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def question(level: Level, *, text: str = "", date: str = "", name: str = "", **asked: str) -> Query:
    """The query that a person means.

    Parameters
    ----------
    text : words that must all stand in the descriptions, the protocol or the body part.
    date : of the study: ``2020``, ``202003``, ``2020-2022``, ``2020-03-31``, or ``2020-03-31/2020-04-15``.
    name : beginnings of parts of the patient's name, where names are kept.
    asked : ``modality``, ``patient`` (its key), ``body_part``, ``scanner`` (within manufacturer and model), ``site``.
    """
    if DATE.search(date):
        date = "-".join(day.replace("-", "") for day in date.split("/"))
    match = {
        "PatientName": name,
        "PatientID": asked.get("patient", ""),
        "StudyDate": date,
        "Modality": asked.get("modality", "").upper(),
        "BodyPartExamined": asked.get("body_part", "").upper(),
        "scanner": asked.get("scanner", ""),
        "site": asked.get("site", ""),
    }
    return Query(level, {word: value for word, value in match.items() if value}, text, bool(name), newest_first=True)


def pages(catalogue: Catalogue, query: Query) -> Iterator[Row]:
    """All matches of a query, read a page at a time."""
    offset, more = 0, True
    while more:
        found = catalogue.find(
            Query(query.level, query.match, query.text, query.fuzzy, PAGE, offset, newest_first=True)
        )
        yield from found
        offset, more = offset + PAGE, len(found) == PAGE


def fulfilling(observations: pl.DataFrame, quality: str) -> set[str]:
    """The series whose quality fulfils a condition such as ``noise<20`` or ``sharpness >= 100``.

    Raises
    ------
    InvalidQuery : it is no condition on a number.
    """
    parts = re.fullmatch(r"\s*(?:quality_)?(\w+)\s*(<=|>=|<|>|=)\s*([-+.\deE]+)\s*", quality)
    if parts is None:
        raise InvalidQuery("no condition on quality", hint="ask as in noise<20", quality=quality)
    name, sign, limit = parts.groups()
    try:
        fulfilled = COMPARISONS[sign](pl.col("value"), float(limit))
    except ValueError:
        raise InvalidQuery("no number", hint="ask as in noise<20", quality=quality) from None
    found = observations.filter((pl.col("name") == f"quality_{name}") & fulfilled)
    return set(found["series_instance_uid"].to_list())


def as_table(level: Level, rows: list[Row]) -> pl.DataFrame:
    """Matches as a table: several values of one attribute are joined by backslashes, as DICOM writes them."""
    types = {name: pl.Int64 if name in COUNTS else pl.String for name in FIRST[level]}
    made = [
        {NAMED.get(keyword) or snake(keyword): _cell(value) for keyword, value in row.items() if keyword != "PatientID"}
        for row in rows
    ]  # the patient's key says the number, too
    table = pl.DataFrame(schema=types)
    return pl.concat([table, pl.DataFrame(made, infer_schema_length=None)], how="diagonal") if made else table


def snake(keyword: str) -> str:
    """DICOM keyword -> column: BodyPartExamined -> body_part_examined, SOPClassUID -> sop_class_uid."""
    out = ""
    for index, letter in enumerate(keyword):
        before, after = keyword[index - 1 : index], keyword[index + 1 : index + 2]
        if index and letter.isupper() and before != "_" and (before.islower() or after.islower()):
            out += "_"
        out += letter.lower()
    return out


def _cell(value: Any) -> Any:
    return "\\".join(map(str, value)) if isinstance(value, tuple) else value
