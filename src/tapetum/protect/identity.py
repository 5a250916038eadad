"""The words by which a person is known, and whether one of them stands in a text. Start at `mentions`.

Texts are compared folded: without case, accents, width and punctuation, so that ``MÜLLER^Jörg`` is found in
``mueller_joerg``, ``４７１１`` in ``4711`` and ``王^小明`` in ``王小明``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise, permutations

from tapetum.formats.elements import Element, Header, decoded, tag_of

__all__ = [
    "holds_number_or_date", "identifiers", "mentions", "mentions_bytes", "mentions_number", "words_of",
]  # fmt: skip

NUMBERS = (
    "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientTelephoneNumbers", "MedicalRecordLocator", "AdmissionID",
)  # fmt: skip
DATES = ("PatientBirthDate",)
# Their single words ("General", "North", "Street") are too common to look for; the whole phrase is not.
PHRASES = (
    "PatientAddress", "IssuerOfPatientID", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
)  # fmt: skip
KINDS = {
    **{tag_of(keyword): "name" for keyword in NUMBERS},
    **{tag_of(keyword): "date" for keyword in DATES},
    **{tag_of(keyword): "phrase" for keyword in PHRASES},
}
SHORTEST_WORD, SHORTEST_FOREIGN_WORD, SHORTEST_NUMBER = 3, 2, 4
# From here on a find inside another word is no chance any more (Muellers, PAT77345121).
LONG_WORD, LONG_NUMBER = 5, 6
# A long number, or a date as people write it: neither has a place in a description.
NUMBER_OR_DATE = re.compile(
    r"\d{6,}|(19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}(?!\d)|(?<!\d)\d{1,2}[./-]\d{1,2}[./-](19|20)\d\d(?!\d)"
)
DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})


def identifiers(header: Header) -> frozenset[str]:
    """The patient's and staff's own names and numbers in an object, folded: what must not be found afterwards.

    Words of fewer than 3 letters (2 where they are not Latin) and numbers of fewer than 4 digits are left out, because
    they would be found in harmless places.
    """
    found: set[tuple[str, str]] = set()
    for data_set in header.data_sets():
        encodings = data_set.encodings
        for tag, element in data_set.items():
            kind = "name" if element[0] == "PN" else KINDS.get(tag)
            if kind is not None:
                found.update([(kind, text) for text in _texts(element, encodings)])
    return _telling(frozenset(found))


def _texts(element: Element, encodings: tuple[str, ...]) -> list[str]:
    values = decoded(element, encodings)
    return [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values]


@lru_cache(maxsize=1024)
def _telling(facts: frozenset[tuple[str, str]]) -> frozenset[str]:
    """What to look for, from names, birth dates and phrases as they stand in the object."""
    found: set[str] = set()
    for kind, text in facts:
        if kind == "name":
            found |= words_of(text)
        elif kind == "date":
            found |= _spoken_date(text)
        else:
            found |= {phrase for phrase in {_fold(text)} if _tells(phrase)}
    return frozenset(found)


def words_of(name: str) -> frozenset[str]:
    """A name or number, folded, with its words and its neighbouring words in both orders, those that tell something."""
    found: set[str] = set()
    for spelling in {name.casefold(), name.casefold().translate(DIGRAPHS)}:
        for part in {spelling, *spelling.split("=")}:
            words = _fold(part).split()
            near = [f"{a} {b}" for pair in pairwise(words) for a, b in permutations(pair)]
            numbers = re.findall(r"\d+", part)  # the 7734512 of MRN7734512
            found |= {" ".join(words), *words, *near, *(pair.replace(" ", "") for pair in near), *numbers}
    return frozenset(phrase for phrase in found if _tells(phrase))


def mentions(text: str, own: Iterable[str]) -> bool:
    """Whether an identifier stands in the text: long ones anywhere, short ones as words of their own."""
    folded = _fold(text)
    return bool(folded) and any(_stands_in(folded, folded.replace(" ", ""), phrase) for phrase in own)


def mentions_number(values: Iterable[float], own: frozenset[str]) -> bool:
    """Whether one of the numbers is an identifier of at least 6 digits; shorter ones are numbers of anything."""
    wanted = _long_numbers(own)
    return bool(wanted) and not wanted.isdisjoint(values)


@lru_cache(maxsize=1024)
def _long_numbers(own: frozenset[str]) -> frozenset[float]:
    bare = (phrase.replace(" ", "") for phrase in own)
    return frozenset(float(number) for number in bare if number.isdecimal() and len(number) >= LONG_NUMBER)


def mentions_bytes(data: bytes, own: Iterable[str]) -> bool:
    """Whether an identifier of at least 5 characters stands in bytes that should be numbers or pixels."""
    lowered = data.lower()
    return any(phrase.encode() in lowered for phrase in own if len(phrase) >= LONG_WORD)


def holds_number_or_date(text: str) -> bool:
    """Whether a number of 6 or more digits, or a date, stands in a text that should only describe."""
    return NUMBER_OR_DATE.search(text) is not None


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.sub(r"[\W_]+", " ", "".join(c for c in plain if not unicodedata.combining(c))).split())


def _spoken_date(raw: str) -> set[str]:
    """A birth date as people write it: year first, day first, month first."""
    match = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", raw.strip())
    if not match:
        return set()
    year, month, day = match.groups()
    return {" ".join(order) for order in ((year, month, day), (day, month, year), (month, day, year))}


def _tells(phrase: str) -> bool:
    bare = phrase.replace(" ", "")
    if bare.isdecimal():
        return len(bare) >= SHORTEST_NUMBER
    return len(bare) >= (SHORTEST_WORD if bare.isascii() else SHORTEST_FOREIGN_WORD)


def _stands_in(folded: str, compact: str, phrase: str) -> bool:
    bare = phrase.replace(" ", "")
    if bare not in compact:
        return False
    if not bare.isascii() or (len(bare) >= LONG_NUMBER and any(letter.isdigit() for letter in bare)):
        return True
    if len(bare) >= LONG_WORD and (" " in phrase or bare in folded):
        return True
    return re.search(rf"(?<![a-z0-9]){re.escape(phrase)}(?![a-z0-9])", folded) is not None
