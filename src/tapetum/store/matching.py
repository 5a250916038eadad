"""One value against one column: the matching rules of DICOM PS3.4 C.2.2.2.

In: a keyword, its column, what was asked.  Out: a condition, or None where everything matches.
Start reading at `matches`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydicom.datadict import dictionary_VR, tag_for_keyword
from sqlalchemy import Column, ColumnElement, Integer, Text, and_, column, func, not_, or_, select, table

from tapetum.errors import InvalidQuery
from tapetum.store import schema
from tapetum.store.rows import fold, name_key

__all__ = ["TRIGRAMS", "Dialect", "contains", "matches", "vr_of"]

Dialect = Literal["sqlite", "postgresql"]
Condition = ColumnElement[bool]

TRIGRAMS = "term_trigram"
"""SQLite's full-text table over `schema.term`; PostgreSQL has an index instead."""

NAME_KEYS: dict[Any, Any] = {
    schema.patient.c.patient_name: schema.patient.c.name_key,
    schema.study.c.referring_physician: schema.study.c.referring_key,
}
TEXTS: dict[Any, Column[int]] = {
    schema.patient.c.patient_key: schema.patient.c.words,
    schema.patient.c.name_key: schema.patient.c.words,
    schema.study.c.description: schema.study.c.words,
    schema.study.c.referring_key: schema.study.c.words,
    schema.series.c.description: schema.series.c.words,
    schema.series.c.body_part: schema.series.c.words,
    schema.series.c.manufacturer: schema.series.c.scanner,
    schema.series.c.model: schema.series.c.scanner,
}
"""Columns whose texts stand in `schema.term`, so that a wildcard in front need not look at every row."""

TRIGRAM = re.compile(r"[^*?]{3}")
MOMENTS = frozenset({"DA", "TM", "DT"})
LISTED = frozenset({"AE", "AS", "CS", "DS", "IS", "LO", "SH", "UI", "US", "UL", "SS", "SL"})
"""Value representations in which a backslash separates values."""

LAST = "\U0010ffff"
"""Sorts behind every text that begins the same."""


def vr_of(keyword: str) -> str | None:
    """The value representation of a keyword, None when there is no such attribute."""
    if keyword in schema.OWN:
        return "LO"
    tag = tag_for_keyword(keyword)
    return None if tag is None else dictionary_VR(tag)


def matches(keyword: str, place: ColumnElement[Any], asked: str, dialect: Dialect, *, fuzzy: bool) -> Condition | None:
    """The condition under which a column matches what was asked; None: always.

    Raises
    ------
    InvalidQuery : the attribute is a number, a date or a time and the value is none.
    """
    if not asked.strip("*"):
        return None
    vr = vr_of(keyword)
    if vr == "PN":
        return _person(place, asked, dialect, fuzzy=fuzzy)
    if vr in MOMENTS:
        return _moment(keyword, place, asked)
    values = [one.strip() for one in asked.split("\\")] if vr in LISTED else [asked]
    values = [one for one in values if one]
    if isinstance(place.type, Integer):
        return place.in_([_whole(keyword, one) for one in values])
    if keyword in ("ModalitiesInStudy", "PatientID"):
        among = _modality if keyword == "ModalitiesInStudy" else _number
        return or_(*(among(place, one, dialect) for one in values))
    plain = [one for one in values if "*" not in one and "?" not in one]
    found = [_wild(place, one, dialect) for one in values if one not in plain]
    if plain:
        found.append(place == plain[0] if len(plain) == 1 else place.in_(plain))
    return or_(*found)


def _modality(place: ColumnElement[Any], asked: str, dialect: Dialect) -> Condition:
    return _like(place, f"*\\{asked}\\*", dialect)


def _number(key: ColumnElement[Any], asked: str, dialect: Dialect) -> Condition:
    """A Patient ID in the keys of patients, where the issuer may stand behind it: IssuerOfPatientID asks for that."""
    if "*" in asked or "?" in asked:
        without_issuer = and_(_wild(key, asked, dialect), not_(_like(key, "*^^^*", dialect)))
        return or_(without_issuer, _wild(key, f"{asked}^^^*", dialect))
    return or_(key == asked, and_(key >= f"{asked}^^^", key < f"{asked}^^^{LAST}"))


def contains(words: Column[int], text: str, dialect: Dialect) -> Condition:
    """Whether the searched texts of a row hold a text, case and accents aside; wildcards stay wildcards."""
    return _words(words, f"*{fold(text)}*", dialect)


def _words(words: Column[int], pattern: str, dialect: Dialect) -> Condition:
    if dialect == "sqlite" and TRIGRAM.search(pattern):
        terms = table(TRIGRAMS, column("rowid", Integer), column("text", Text))
        return words.in_(select(terms.c.rowid).where(_like(terms.c.text, pattern, dialect)))
    return words.in_(select(schema.term.c.id).where(_like(schema.term.c.text, pattern, dialect)))


def _person(place: ColumnElement[Any], asked: str, dialect: Dialect, *, fuzzy: bool) -> Condition:
    key = NAME_KEYS.get(place)
    if fuzzy:
        parts = [part for part in fold(asked).replace("*", " ").split() if part]
        if key is not None:
            return and_(*(_words(key.table.c.words, f"* {part}*", dialect) for part in parts))
        return and_(*(_begins_a_part(func.lower(place), part, dialect) for part in parts))
    wanted = name_key(asked)
    one = func.lower(place) if key is None else key
    return _wild(one, wanted, dialect) if "*" in wanted or "?" in wanted else one == wanted


def _begins_a_part(place: ColumnElement[Any], part: str, dialect: Dialect) -> Condition:
    return or_(*(_like(place, f"{before}{part}*", dialect) for before in ("", "*^", "* ", "*=")))


def _moment(keyword: str, place: ColumnElement[Any], asked: str) -> Condition:
    """A date or time, or a range of them, to the precision that is given."""
    first, dash, last = asked.partition("-")
    if not all(part.replace(".", "").replace(":", "").isdecimal() for part in (first, last) if part) or asked == "-":
        raise InvalidQuery("no date, time or range of them", hint="ask as YYYYMMDD or FROM-TO", keyword=keyword)
    first, last = first.replace(":", ""), last.replace(":", "")
    limits = [place >= (first or "0")]  # what has no date lies in no range
    if last or not dash:
        limits.append(place <= (last or first) + LAST)
    return and_(*limits)


def _whole(keyword: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidQuery("this attribute is a number", hint="ask for a whole number", keyword=keyword) from None


def _wild(place: ColumnElement[Any], pattern: str, dialect: Dialect) -> Condition:
    """A pattern, with help for the database: a range for what it begins with, else the texts that hold its parts."""
    conditions = [_like(place, pattern, dialect)]
    first = min(pattern.find(sign) for sign in "*?" if sign in pattern)
    if first:
        conditions += [place >= pattern[:first], place < pattern[:first] + LAST]
    elif place in TEXTS and TRIGRAM.search(pattern):
        somewhere = fold(pattern).replace("?", "*")  # one letter may be folded into two
        conditions.append(_words(TEXTS[place], f"*{somewhere}*", dialect))
    return and_(*conditions)


def _like(place: ColumnElement[Any], pattern: str, dialect: Dialect) -> Condition:
    """``*`` and ``?`` as wildcards, everything else as it is."""
    if dialect == "sqlite":
        return place.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))
    for sign in "\\%_":
        pattern = pattern.replace(sign, f"\\{sign}")
    return place.like(pattern.replace("*", "%").replace("?", "_"), escape="\\")
