"""What a client accepts (PS3.18 8.3.3, 8.7; RFC 9110 12.5.1). Start reading at `Accepted.choose`.

In: the Accept header, or the query parameter of that name.  Out: which of the offers it is, and in which encodings.
``multipart/related; type="image/jpeg"`` accepts parts of that type; ``image/jpeg`` one picture on its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tapetum.errors import RefusedRequest
from tapetum.web.multipart import parse_media_type

__all__ = ["ANY_SYNTAX", "Accepted", "Offer"]

MULTIPART = "multipart/related"
ANY_SYNTAX = "*"
MOST_RANGES = 64
# Commas within quotes belong to the text.
ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')


@dataclass(frozen=True, slots=True)
class Offer:
    """What could be answered: a media type, on its own or as parts of multipart/related."""

    media: str
    multipart: bool = False

    def __str__(self) -> str:
        return f'{MULTIPART}; type="{self.media}"' if self.multipart else self.media


@dataclass(frozen=True, slots=True)
class _Range:
    """One item of an Accept header. ``syntax`` is empty when it names no transfer syntax."""

    media: str
    multipart: bool | None
    syntax: str
    quality: float

    def specificity(self, offer: Offer) -> int:
        """0: does not match; the more exactly it names the offer, the more."""
        if self.multipart is not None and self.multipart != offer.multipart:
            return 0
        if self.media == offer.media:
            return 3
        kind, _, sub = self.media.partition("/")
        if sub == "*" and kind == offer.media.split("/")[0]:
            return 2
        return int(self.media == "*/*")


class Accepted:
    """The ranges of one request.

    Parameters
    ----------
    header : of Accept; empty accepts everything.
    """

    def __init__(self, header: str) -> None:
        items = ITEM.findall(header)[:MOST_RANGES]
        self._ranges = [_range(item) for item in items if item.strip()] or [_Range("*/*", None, "", 1.0)]

    def choose(self, offers: Sequence[Offer]) -> Offer:
        """The offer with the highest quality; of equals the first.

        Raises
        ------
        RefusedRequest : not-acceptable, with the list of what there is.
        """
        best = max(offers, key=self._quality)
        if self._quality(best) <= 0:
            there_is = ", ".join(map(str, offers))
            raise RefusedRequest("not-acceptable", "none of the accepted media types is there", hint=f"ask {there_is}")
        return best

    def accepts(self, offer: Offer) -> bool:
        """Whether an offer is accepted at all."""
        return self._quality(offer) > 0

    def syntaxes(self, offer: Offer) -> frozenset[str]:
        """The transfer syntaxes asked for with an offer: UIDs, `ANY_SYNTAX`; "" where none is named."""
        best = max(item.specificity(offer) for item in self._ranges)
        return frozenset(item.syntax for item in self._ranges if item.specificity(offer) == best and item.quality > 0)

    def _quality(self, offer: Offer) -> float:
        found = [(item.specificity(offer), item.quality) for item in self._ranges]
        best = max(specificity for specificity, _ in found)
        return max(quality for specificity, quality in found if specificity == best) if best else 0.0


def _range(item: str) -> _Range:
    media, parameters = parse_media_type(item)
    try:
        quality = min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        quality = 1.0
    syntax = parameters.get("transfer-syntax", "")
    if media == "*/*":
        return _Range(media, None, syntax, quality)
    if media in (MULTIPART, "multipart/*"):
        return _Range(parameters.get("type", "*/*").lower(), True, syntax, quality)
    return _Range(media, False, syntax, quality)
