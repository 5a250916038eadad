"""What the catalogue was told, line by line beside the blobs, so that it can be made again from them.

In: the arrivals of a batch.  Out: JSON lines in the journal of the blob store, written before the catalogue's commit.
Start reading at `JournalledCatalogue`; `replay` reads them back.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from tapetum.model import Arrival, Instance, Rejected
from tapetum.ports import BlobStore
from tapetum.store.catalogue import SqlCatalogue

__all__ = ["JournalledCatalogue", "replay"]

INSTANCE = tuple(item.name for item in fields(Instance))
REJECTED = tuple(item.name for item in fields(Rejected) if item.name != "locator")


class JournalledCatalogue(SqlCatalogue):
    """A catalogue that notes every batch in the journal of the blobs before it writes it.

    Before, not after: whatever the catalogue acknowledges can be found again. A batch whose commit then failed was not
    acknowledged; played back, it is stored, and when its sender repeats it, it is a duplicate.

    Parameters
    ----------
    url : see `SqlCatalogue`.
    blobs : the store whose journal is written.
    """

    def __init__(self, url: str, blobs: BlobStore) -> None:
        super().__init__(url)
        self._blobs = blobs
        self._quarantined: set[str] | None = None

    def record(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Note a batch and write it in one transaction; see `SqlCatalogue.record`."""
        lines = [_line(arrival) for arrival in arrivals if self._is_news(arrival)]
        if lines:
            self._blobs.note("".join(lines).encode())
        ended = super().record(arrivals)
        self._remember(ended)
        return ended

    def record_again(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Write a batch that came out of the journal."""
        return super().record(arrivals)

    def _is_news(self, arrival: Arrival) -> bool:
        """A duplicate tells nothing, but that a file leaves the quarantine: a folder is often acquired again."""
        if arrival.outcome != "duplicate":
            return True
        if self._quarantined is None:
            self._quarantined = {row.arrived for row in self.rejected()}
        return arrival.arrived in self._quarantined

    def _remember(self, ended: Sequence[Arrival]) -> None:
        if self._quarantined is not None:
            self._quarantined |= {arrival.arrived for arrival in ended if arrival.outcome == "rejected"}


def replay(blobs: BlobStore) -> Iterator[Arrival]:
    """The arrivals of the journal in their order. A line that a killed writer left torn is no arrival."""
    for line in blobs.notes():
        arrival = _arrival(line)
        if arrival is not None:
            yield arrival


def _line(arrival: Arrival) -> str:
    said: dict[str, Any] = {"outcome": arrival.outcome, "arrived": arrival.arrived}
    if arrival.instance is not None and arrival.outcome == "stored":
        said["instance"] = {name: getattr(arrival.instance, name) for name in INSTANCE}
    if arrival.rejected is not None:
        said["rejected"] = {name: getattr(arrival.rejected, name) for name in REJECTED}
        said["rejected"]["locator"] = b64encode(arrival.rejected.locator).decode()
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"), default=dict) + "\n"


def _arrival(line: bytes) -> Arrival | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    instance = Instance(**said["instance"]) if "instance" in said else None
    rejected = None
    if "rejected" in said:
        rejected = Rejected(**{**said["rejected"], "locator": b64decode(said["rejected"]["locator"])})
    return Arrival(said["outcome"], instance, rejected, said["arrived"])
