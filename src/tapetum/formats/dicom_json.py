"""The DICOM JSON Model of a header, for WADO-RS metadata and QIDO-RS. Definition: DICOM PS3.18 Annex F.

Start reading at `to_json_model`.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tapetum.formats.elements import NUMBER_BYTES, TEXT_VRS, Header, Value, decoded

__all__ = ["to_json_model"]

INLINE_BYTES = 1024
NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def to_json_model(
    header: Header, *, bulk_data_uri: Callable[[str], str] | None = None, path: str = ""
) -> dict[str, Any]:
    """A header as DICOM JSON: tag in 8 hexadecimal digits -> ``vr`` and ``Value``, ``InlineBinary`` or ``BulkDataURI``.

    Parameters
    ----------
    header : without pixel element; the caller adds that as it serves it.
    bulk_data_uri : makes the address of a binary value of more than 1 KiB from its path, the tags and item numbers
        that lead to it (``"00420011"``, ``"54000100/0/54001010"``); without it every value is given inline.
    path : that leads to this data set, with its slash.

    Returns
    -------
    Plain dicts, lists, texts and finite numbers. An empty value within several, or a number that is not finite, is
    None; decimal and integer strings are numbers, or texts when they are none.

    Source: PS3.18 F.2.2 to F.2.7, Table F.2.3-1.
    """
    model: dict[str, Any] = {}
    encodings = header.encodings
    for tag in sorted(header):
        name = _name(tag)
        vr, value = element = header[tag]
        entry: dict[str, Any] = {"vr": vr}
        model[name] = entry
        if isinstance(value, tuple):
            if value:
                entry["Value"] = [
                    to_json_model(item, bulk_data_uri=bulk_data_uri, path=f"{path}{name}/{number}/")
                    for number, item in enumerate(value)
                ]
        elif not value:
            continue
        elif vr in TEXT_VRS or vr in NUMBER_BYTES:
            values = _values(vr, decoded(element, encodings))
            if values:
                entry["Value"] = values
        elif bulk_data_uri is not None and len(value) > INLINE_BYTES:
            entry["BulkDataURI"] = bulk_data_uri(path + name)
        else:
            entry["InlineBinary"] = b64encode(value).decode()
    return model


def _values(vr: str, values: tuple[Value, ...]) -> list[Any]:
    if vr == "DS":
        return [_number(value, float) for value in values]
    if vr == "IS":
        return [_number(value, int) for value in values]
    if vr in ("FL", "FD"):
        return [value if math.isfinite(value) else None for value in values]  # type: ignore[arg-type]
    if vr == "PN":
        return [_name_groups(str(value)) for value in values]
    if vr == "AT":
        return [_name(int(value)) for value in values]
    return [value if value != "" else None for value in values]


def _number(text: Value, kind: type[int] | type[float]) -> int | float | str | None:
    """A decimal or integer string as a number; what is no number stays a text, as F.2.3 allows."""
    try:
        number = kind(text)
    except ValueError:
        return str(text).strip() or None
    return number if math.isfinite(number) else None


def _name_groups(name: str) -> dict[str, str] | None:
    groups = {group: part for group, part in zip(NAME_GROUPS, name.split("="), strict=False) if part}
    return groups or None


@lru_cache(maxsize=16384)
def _name(tag: int) -> str:
    return f"{tag:08X}"
