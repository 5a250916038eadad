"""A `Query` as SQL.

In: keywords and values with the matching rules of DICOM PS3.4 C.2.2.2.  Out: a statement that gives keys, in the order
in which lists are shown, or a count.  Levels above are joined; a condition on a level below asks whether anything below
fulfils it.  Start reading at `keys_of`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import Column, ColumnElement, FromClause, Select, and_, func, select

from tapetum.errors import InvalidQuery
from tapetum.model import LEVELS, Level, Query
from tapetum.store import schema
from tapetum.store.matching import Dialect, contains, matches, vr_of

__all__ = ["PRIMARY", "count_of", "keys_of", "order_of"]

PRIMARY: dict[Level, str] = {
    "patient": "patient_key",
    "study": "id",
    "series": "id",
    "instance": "sop_instance_uid",
}
"""The shortest key of a row."""

REFERRED: dict[Level, tuple[str, str]] = {
    "patient": ("patient_key", "patient_key"),
    "study": ("id", "study_id"),
    "series": ("series_instance_uid", "series_instance_uid"),
}
"""By which of its columns, and by which of theirs, the rows below refer to a row."""

ALSO: dict[Level, dict[str, str]] = {
    "patient": {},
    "study": {"PatientID": "patient_key", "patient_key": "patient_key"},
    "series": {
        "PatientID": "patient_key",
        "patient_key": "patient_key",
        "StudyDate": "study_date",
        "StudyTime": "study_time",
        "SOPClassUID": "sop_class_uid",
    },
    "instance": {"SeriesInstanceUID": "series_instance_uid"},
}
"""Attributes of other levels that a table holds, too."""

ALIASES = {"AvailableTransferSyntaxUID": "TransferSyntaxUID", "SOPClassesInStudy": "SOPClassUID"}


def keys_of(query: Query, dialect: Dialect) -> Select[Any]:
    """The primary keys of the matches, in order, within limit and offset.

    Raises
    ------
    InvalidQuery : a keyword does not exist, or a value cannot be matched with it.
    """
    ordered = order_of(query)
    needed = {level for level in LEVELS for one in ordered if _bare(one).table is _table(level)}
    source, conditions = _asked(query, dialect, needed)
    found = select(_table(query.level).c[PRIMARY[query.level]]).select_from(source).where(*conditions)
    if dialect == "sqlite" and (query.text or "scanner" in query.match):
        # Words leave few rows: SQLite shall find these and sort them, not walk all rows in order.
        ordered = [
            _in_direction(one, _bare(one).concat("")) if index == 0 else one for index, one in enumerate(ordered)
        ]
    return found.order_by(*ordered).limit(query.limit).offset(query.offset or None)


def count_of(query: Query, dialect: Dialect) -> Select[int]:
    """How many matches there are. Raises InvalidQuery."""
    source, conditions = _asked(query, dialect, set())
    return select(func.count()).select_from(source).where(*conditions)


def order_of(query: Query) -> list[ColumnElement[Any]]:
    """By patient, newest study first, then numbers, then as they came; or the newest studies of everybody first."""
    patient, study, series, instance = (_table(level).c for level in LEVELS)
    if query.level == "patient":
        return [patient.patient_key]
    of = study if query.level == "study" else series
    when = [of.study_date.desc(), of.study_time.desc()]
    order = [*when, of.patient_key] if query.newest_first else [of.patient_key, *when]
    if query.level == "study":
        return [*order, study.id]
    order += [series.study_id, series.number, series.id]
    return order if query.level == "series" else [*order, instance.number, instance.sop_instance_uid]


def _bare(ordered: ColumnElement[Any]) -> Column[Any]:
    element = getattr(ordered, "element", ordered)
    assert isinstance(element, Column)  # noqa: S101 - an order is a column or one that descends
    return element


def _in_direction(ordered: ColumnElement[Any], same: ColumnElement[Any]) -> ColumnElement[Any]:
    """An expression in the direction of another one."""
    return same if isinstance(ordered, Column) else same.desc()


def _table(level: Level) -> Any:
    return schema.metadata.tables[level]


def _asked(query: Query, dialect: Dialect, needed: set[Level]) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """What to read from and which conditions hold."""
    here, below = LEVELS.index(query.level), []
    conditions: list[ColumnElement[bool]] = []
    for level, condition in _conditions(query, dialect):
        if LEVELS.index(level) > here:
            below.append((level, condition))
        else:
            needed.add(level)
            conditions.append(condition)
    conditions += [_has_below(query.level, level, condition) for level, condition in _together(below)]
    source = _table(query.level)
    highest = min((LEVELS.index(level) for level in needed), default=here)
    for index in range(here, highest, -1):
        if LEVELS[index] == "study" or index - 1 > highest or LEVELS[index - 1] in needed:
            source = source.join(_table(LEVELS[index - 1]), _link(LEVELS[index - 1], LEVELS[index]))
    return source, conditions


def _link(upper: Level, lower: Level) -> ColumnElement[bool]:
    own, theirs = REFERRED[upper]
    return cast("ColumnElement[bool]", _table(upper).c[own] == _table(lower).c[theirs])


def _together(below: list[tuple[Level, ColumnElement[bool]]]) -> Iterator[tuple[Level, ColumnElement[bool]]]:
    """Conditions on one level below hold for one and the same thing there."""
    for level in LEVELS:
        some = [condition for place, condition in below if place == level]
        if some:
            yield level, and_(*some)


def _has_below(upper: Level, lower: Level, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether something at the lower level, under a row of the upper one, fulfils a condition."""
    holder = _table(lower)
    source = holder
    if lower == "instance" and upper != "series":
        holder = _table("series")
        source = _table("instance").join(holder, _link("series", "instance"))
    own, theirs = REFERRED[upper]
    found = select(holder.c[theirs]).select_from(source).where(condition)
    return cast("ColumnElement[bool]", _table(upper).c[own].in_(found))


def _conditions(query: Query, dialect: Dialect) -> Iterator[tuple[Level, ColumnElement[bool]]]:
    for asked, value in query.match.items():
        keyword = ALIASES.get(asked, asked)
        if keyword == "scanner":
            yield from (("series", contains(schema.series.c.scanner, word, dialect)) for word in value.split())
            continue
        if vr_of(keyword) is None:
            raise InvalidQuery("there is no such attribute", hint="name it by its DICOM keyword", keyword=asked)
        level, place = _place(keyword, query.level)
        condition = matches(keyword, place, value.strip(), dialect, fuzzy=query.fuzzy)
        if condition is not None:
            yield level, condition
    for word in query.text.split():
        yield "series", contains(schema.series.c.words, word, dialect)


def _place(keyword: str, level: Level) -> tuple[Level, ColumnElement[Any]]:
    """Where an attribute is looked up: at the asked level, else above, else below."""
    here = LEVELS.index(level)
    for candidate in (*LEVELS[here::-1], *LEVELS[here + 1 :]):
        for names in (schema.COLUMNS, schema.COUNTED, ALSO):
            if keyword in names[candidate]:
                return candidate, _table(candidate).c[names[candidate][keyword]]
    found = schema.level_of(keyword)
    return found, _table(found).c.attributes[keyword].as_string()
