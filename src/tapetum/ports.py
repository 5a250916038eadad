"""The few Protocols behind which there are really two adapters. Stages take them as arguments; `flow` builds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from tapetum.model import Arrival, Instance, Query, Rejected, Row, Series

__all__ = ["BlobStore", "Catalogue", "Engine", "LinkStore"]

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

    def keys(self) -> Iterator[str]:
        """Every key that is stored, in ascending order."""
        ...

    def note(self, lines: bytes) -> None:
        """Append whole lines to the store's journal: they are there for good when this returns."""
        ...

    def notes(self) -> Iterator[bytes]:
        """Every line of the journal, in the order of writing; a killed writer may have left one torn."""
        ...

    def sweep(self) -> int:
        """Remove what killed runs left half written; returns how many."""
        ...


class LinkStore(BlobStore, Protocol):
    """A store that can also leave a file where it lies."""

    def link(self, path: Path) -> str:
        """Remember a file and return its key; nothing of it is copied."""
        ...


class Catalogue(Protocol):
    """Small facts that change: which instances, series and rejected files there are."""

    def known(self, source_digests: Sequence[str]) -> set[str]:
        """Those of the digests that are stored instances already."""
        ...

    def record(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write a batch in one transaction; returns the arrivals as they ended (a stored one may be a duplicate)."""
        ...

    def series(self, query: Query | None = None) -> list[Series]:
        """Every series, ordered by patient key and UID; with a query of series, its matches in their own order."""
        ...

    def one(self, series_instance_uid: str) -> Series:
        """One series. Raises NotFound."""
        ...

    def find(self, query: Query) -> list[Row]:
        """The matches of a query at its level, by DICOM keyword: see `tapetum.model.Query`."""
        ...

    def count(self, query: Query) -> int:
        """How many matches there are; limit and offset are not looked at."""
        ...

    def select(self, query: Query) -> Iterator[Instance]:
        """Every instance below the matches of a query of any level, a page at a time."""
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
