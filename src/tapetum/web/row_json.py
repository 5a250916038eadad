"""Rows of the catalogue -> DICOM JSON (PS3.18 Annex F), as text: thousands of them while somebody waits.

Start reading at `RowWriter`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword

from tapetum.model import Row

__all__ = ["RowWriter", "keyword_of_name", "representation"]

NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
NUMBERS = frozenset({"IS", "DS", "US", "UL", "SS", "SL", "FL", "FD", "UV", "SV"})
# Of these a backslash is part of the text (PS3.5 6.2).
ONE_TEXT = frozenset({"LT", "ST", "UT", "UR"})


@lru_cache(maxsize=4096)
def keyword_of_name(name: str) -> str:
    """The keyword of an attribute given by keyword or by tag in 8 hexadecimal digits; empty when there is none."""
    if len(name) == 8:
        try:
            tag = int(name, 16)
        except ValueError:
            pass
        else:
            return keyword_for_tag(tag) if dictionary_has_tag(tag) else ""
    return name if tag_for_keyword(name) is not None else ""


@lru_cache(maxsize=4096)
def representation(keyword: str) -> str:
    """The value representation of a keyword."""
    tag = tag_for_keyword(keyword)
    return dictionary_VR(tag)[:2] if tag is not None else ""


class RowWriter:
    """Writes rows with certain attributes.

    Parameters
    ----------
    wanted : keywords; None writes all that a row has.
    always : keywords that are written even when a row does not have them, without a value.
    """

    def __init__(self, wanted: Iterable[str] | None, *, always: Iterable[str]) -> None:
        self._always = frozenset(always)
        self._fields = None if wanted is None else _sorted({*wanted, *self._always})

    def text(self, row: Row, extra: Mapping[str, str]) -> str:
        """One row as a JSON object. ``extra`` is JSON by keyword, for what the row itself does not have."""
        keywords = _sorted({*row, *extra, *self._always}) if self._fields is None else self._fields
        parts = []
        for keyword in keywords:
            value = row.get(keyword)
            if value not in (None, "", ()):
                parts.append(_entry(keyword, value))
            elif keyword in extra:
                parts.append(f'"{_tag(keyword)}":{extra[keyword]}')
            elif keyword in self._always:
                parts.append(f"{_field(keyword)[0]}}}")
        return f"{{{','.join(parts)}}}"


def _sorted(keywords: Iterable[str]) -> list[str]:
    """Those that DICOM knows, by tag, as the model demands. The catalogue's own words are left out."""
    return sorted((keyword for keyword in keywords if representation(keyword)), key=_tag)


@lru_cache(maxsize=4096)
def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"


@lru_cache(maxsize=16384, typed=True)
def _entry(keyword: str, value: Any) -> str:
    """One attribute. Most values of many rows are those of the row before: a study has one date."""
    head, write = _field(keyword)
    return f"{head},{write(value)}}}"


@lru_cache(maxsize=4096)
def _field(keyword: str) -> tuple[str, Callable[[Any], str]]:
    """How an entry begins, and what writes its values."""
    vr = representation(keyword)
    write = _name if vr == "PN" else _number if vr in NUMBERS else quoted
    one = vr in ONE_TEXT
    return f'"{_tag(keyword)}":{{"vr":"{vr}"', lambda value: _values(value, write, one=one)


def _values(value: Any, write: Callable[[str], str], *, one: bool) -> str:
    if isinstance(value, int | float):
        return f'"Value":[{value}]'
    texts = value if isinstance(value, tuple) else (value,) if one else value.split("\\")
    return f'"Value":[{",".join(["null" if text == "" else write(text) for text in texts])}]'


def _number(text: Any) -> str:
    """A decimal or integer string as a number; what is none stays a text, as F.2.3 allows."""
    try:
        number = float(text)
    except ValueError:
        return quoted(str(text))
    if not math.isfinite(number):
        return "null"
    return str(int(number)) if number.is_integer() else repr(number)


def _name(text: str) -> str:
    groups = [f'"{group}":{quoted(part)}' for group, part in zip(NAME_GROUPS, text.split("="), strict=False) if part]
    return f"{{{','.join(groups)}}}"
