"""The few Protocols behind which there are really two adapters. Stages take them as arguments; `flow` builds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Protocol, TypeVar

from tapetum.model import Arrival, Instance, Rejected, Series

__all__ = ["BlobStore", "Catalogue", "Engine"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class BlobStore(Protocol):
    """Bytes by key, written once. Keys are the sha256 hex of the content."""

    def put(self, data: bytes | BinaryIO) -> str:
        """Store the bytes (streamed when a file is given) and return their key; a second time is free."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable binary file of the content. Raises KeyError when the key is unknown."""
        ...

    def __contains__(self, key: str) -> bool: ...

    def flush(self) -> None:
        """Have all that was put written down for good: called once a batch, before the catalogue names it."""
        ...


class Catalogue(Protocol):
    """Small facts that change: which instances, series and rejected files there are."""

    def known(self, source_digests: Sequence[str]) -> set[str]:
        """Those of the digests that are stored instances already."""
        ...

    def record(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write a batch in one transaction; returns the arrivals as they ended (a stored one may be a duplicate)."""
        ...

    def series(self) -> list[Series]:
        """Every series, ordered by patient key and UID."""
        ...

    def instances(self, series_instance_uid: str) -> list[Instance]:
        """The instances of one series, ordered by UID."""
        ...

    def pixel_digests(self) -> dict[str, str]:
        """Series UID -> digest of its pixels: equal digests mean identical images under two names."""
        ...

    def rejected(self) -> list[Rejected]:
        """The quarantine."""
        ...


class Engine(Protocol):
    """Runs a pure function over many items, in whatever order they finish."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) as each is done. ``function`` must be picklable."""
        ...
