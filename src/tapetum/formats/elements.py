"""A DICOM header as a plain tree: tag -> (value representation, raw bytes or items), in Explicit VR Little Endian.

One representation stands behind every encoding in which a header can arrive: `tapetum.formats.header` makes it,
`Header.encoded` writes it. Values stay bytes until somebody asks for them as text or numbers.
Definitions: DICOM PS3.5 (6.1 character sets, 6.2 value representations, 7.1 elements, 7.5 sequences).
Start reading at `Header`.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias, Union

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_keyword, tag_for_keyword

__all__ = [
    "NUMBER_BYTES", "TEXT_VRS", "UNDEFINED", "Element", "Header", "Key", "Value", "decoded", "joined", "keyword_of",
    "tag_of", "text_element",
]  # fmt: skip

Value: TypeAlias = Union[str, int, float, bytes]  # noqa: UP007 - an alias at run time
Element: TypeAlias = tuple[str, Union[bytes, tuple["Header", ...]]]  # noqa: UP007 - an alias at run time
"""A value representation and its value: raw bytes, or the items of a sequence."""
Key: TypeAlias = Union[int, str]  # noqa: UP007 - an alias at run time
"""A tag as a number, or a keyword of the standard."""

UNDEFINED = 0xFFFFFFFF
SPECIFIC_CHARACTER_SET = 0x00080005
DEFAULT_ENCODINGS = ("iso8859",)
ESCAPE, PADDING = b"\x1b", " \0"
TO_GB2312 = "\x1b$)A"  # ISO 2022 IR 58, which pydicom leaves in the text: a name would not be recognised behind it
# PS3.5 6.1.2.5.3: what ends the reach of an escape sequence in a text (and in a name, "^" and "=").
DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C, 0x5C, 0x5E, 0x3D}
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
ONE_TEXT_VRS = frozenset({"LT", "ST", "UT", "UR"})
CHARSET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
TEXT_VRS = CHARSET_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
NUMBER_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
NUMBER_BYTES = {**{vr: struct.calcsize("<" + code) for vr, code in NUMBER_FORMATS.items()}, "AT": 4}
MAX_SHORT_LENGTH = 0xFFFF
ITEM = struct.pack("<HH", 0xFFFE, 0xE000)


class Header(dict[int, Element]):
    """One data set, or one item of a sequence, by tag. Group lengths and the pixel element are not in it.

    Parameters
    ----------
    inherited : Python encodings of the data set around an item, which hold unless the item names its own.

    >>> header = Header()
    >>> header[0x00080060] = text_element("CS", "CT")
    >>> header.text("Modality"), header.text("PatientID")
    ('CT', '')
    """

    __slots__ = ("inherited",)

    def __init__(self, inherited: tuple[str, ...] = DEFAULT_ENCODINGS) -> None:
        super().__init__()
        self.inherited = inherited

    @property
    def encodings(self) -> tuple[str, ...]:
        """The Python encodings of its texts, by Specific Character Set (0008,0005)."""
        element = self.get(SPECIFIC_CHARACTER_SET)
        if element is None or not isinstance(element[1], bytes):
            return self.inherited
        return _encodings(element[1])

    def has(self, key: Key) -> bool:
        """Whether the element is there, even empty."""
        return tag_of(key) in self

    def vr(self, key: Key) -> str:
        """The value representation; empty when absent."""
        element = self.get(tag_of(key))
        return element[0] if element is not None else ""

    def raw(self, key: Key) -> bytes:
        """The bytes of a value as they are, padding included; empty when absent or a sequence."""
        element = self.get(tag_of(key))
        return element[1] if element is not None and isinstance(element[1], bytes) else b""

    def sequence(self, key: Key) -> tuple[Header, ...]:
        """The items of a sequence; none when absent or no sequence."""
        element = self.get(tag_of(key))
        return element[1] if element is not None and isinstance(element[1], tuple) else ()

    def first(self, key: Key) -> Header:
        """The first item of a sequence; an empty one when there is none."""
        items = self.sequence(key)
        return items[0] if items else Header(self.encodings)

    def values_of(self, key: Key) -> tuple[Value, ...]:
        """Each value: text without padding (decimal and integer strings, too), number, or bytes of a binary one.

        None when absent, empty or a sequence. Tags (AT) are numbers.
        """
        element = self.get(tag_of(key))
        return () if element is None else decoded(element, self.encodings)

    def texts(self, key: Key) -> tuple[str, ...]:
        """Each value as text; binary ones have none."""
        return tuple([str(value) for value in self.values_of(key) if not isinstance(value, bytes)])

    def text(self, key: Key) -> str:
        """All values as one text with a backslash between them, outer spaces removed; empty when absent."""
        element = self.get(tag_of(key))
        return "" if element is None else joined(element, self.encodings)

    def numbers(self, key: Key) -> tuple[float, ...]:
        """Each value as a number, empty ones left out.

        Raises
        ------
        ValueError : a value is not a number.
        """
        return tuple([float(text) for text in self.texts(key) if text.strip()])

    def integer(self, key: Key, default: int = 0) -> int:
        """The first value as a whole number; ``default`` when there is none.

        Raises
        ------
        ValueError, OverflowError : the value is not a number, or not a finite one.
        """
        found = self.numbers(key)
        return int(found[0]) if found else default

    def data_sets(self) -> Iterator[Header]:
        """This data set and, at every depth, the items of its sequences."""
        yield self
        for vr, value in self.values():
            if vr == "SQ":
                for item in value:
                    if isinstance(item, Header):
                        yield from item.data_sets()

    def encoded(self) -> bytes:
        """The data set in Explicit VR Little Endian: sorted, even lengths, sequences and items of defined length."""
        parts: list[bytes] = []
        for tag in sorted(self):
            vr, value = self[tag]
            if isinstance(value, tuple):
                bodies = [item.encoded() for item in value]
                value = b"".join([ITEM + len(body).to_bytes(4, "little") + body for body in bodies])
            elif len(value) & 1:
                value += _padding(vr)
            if vr in LONG_VRS:
                parts += (_head(tag, vr), len(value).to_bytes(4, "little"), value)
            elif len(value) > MAX_SHORT_LENGTH:  # PS3.5 6.2.2: too long for its own representation
                parts += (_head(tag, "UN"), len(value).to_bytes(4, "little"), value)
            else:
                parts += (_head(tag, vr), len(value).to_bytes(2, "little"), value)
        return b"".join(parts)


def decoded(element: Element, encodings: tuple[str, ...]) -> tuple[Value, ...]:
    """The values of one element: see `Header.values_of`."""
    vr, raw = element
    if not raw or isinstance(raw, tuple):
        return ()
    if vr in TEXT_VRS:
        return _texts(vr, raw, encodings)
    code = NUMBER_FORMATS.get(vr)
    if code is not None:
        return struct.unpack(f"<{len(raw) // NUMBER_BYTES[vr]}{code}", raw)
    if vr == "AT":
        halves = struct.unpack(f"<{len(raw) // 2}H", raw)
        return tuple([group << 16 | element for group, element in zip(halves[::2], halves[1::2], strict=True)])
    return (raw,)


def joined(element: Element, encodings: tuple[str, ...]) -> str:
    """The values of one element as one text: see `Header.text`."""
    vr, raw = element
    if vr in TEXT_VRS and b"\\" not in raw and isinstance(raw, bytes):  # one value: most elements are so
        return (_text(raw, encodings) if vr in CHARSET_VRS else raw.decode("latin-1")).strip(PADDING)
    return "\\".join([str(value) for value in decoded(element, encodings) if not isinstance(value, bytes)]).strip()


def text_element(vr: str, text: str) -> Element:
    """An element with an ASCII text. Raises UnicodeEncodeError for any other."""
    return vr, text.encode("ascii")


@lru_cache(maxsize=4096)
def tag_of(key: Key) -> int:
    """The tag of a keyword. Raises KeyError for an unknown one."""
    tag = key if isinstance(key, int) else tag_for_keyword(key)
    if tag is None:
        raise KeyError(key)
    return int(tag)


@lru_cache(maxsize=16384)
def keyword_of(tag: int) -> str:
    """The keyword of a tag; empty for private and unknown ones."""
    try:
        return "" if tag >> 16 & 1 else dictionary_keyword(tag)
    except KeyError:
        return ""


@lru_cache(maxsize=1024)
def _encodings(raw: bytes) -> tuple[str, ...]:
    """Python encodings of a Specific Character Set; unknown ones are read as the default."""
    terms = [term.strip(PADDING) for term in raw.decode("latin-1").split("\\")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return tuple(convert_encodings(terms)) or DEFAULT_ENCODINGS
        except (LookupError, ValueError):
            return DEFAULT_ENCODINGS


def _texts(vr: str, raw: bytes, encodings: tuple[str, ...]) -> tuple[str, ...]:
    text = _text(raw, encodings) if vr in CHARSET_VRS else raw.decode("latin-1")
    if vr in ONE_TEXT_VRS or "\\" not in text:
        text = text.rstrip(PADDING)
        return (text,) if text else ()
    return tuple([part.rstrip(PADDING) for part in text.split("\\")])


def _text(raw: bytes, encodings: tuple[str, ...]) -> str:
    if ESCAPE in raw:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decode_bytes(raw, encodings, DELIMITERS).replace(TO_GB2312, "")
    return raw.decode("ascii") if raw.isascii() else raw.decode(encodings[0], errors="replace")


def _padding(vr: str) -> bytes:
    return b" " if vr in TEXT_VRS and vr != "UI" else b"\0"


@lru_cache(maxsize=16384)
def _head(tag: int, vr: str) -> bytes:
    """Tag and value representation, with the two reserved bytes where a length of 4 bytes follows."""
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + (b"\0\0" if vr in LONG_VRS else b"")
