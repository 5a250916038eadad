"""A workspace of plain adapters, as `flow` builds one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tapetum.acquire import Policy, TableMapping, Tally, acquire
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, ObservationTable, SqlCatalogue


@dataclass
class Hospital:
    """Where things end, and the questions that a test asks about it."""

    folder: Path
    names: Pseudonymiser
    blobs: LocalBlobs
    catalogue: SqlCatalogue
    table: ObservationTable

    def take(self, *paths: Path, mapping: TableMapping | None = None, **settings: Any) -> Tally:
        return acquire(
            list(paths),
            blobs=self.blobs,
            catalogue=self.catalogue,
            observe=self.table.append,
            observed=self.table.observed,
            names=self.names,
            policy=Policy(**settings),
            mapping=mapping,
        )

    def quarantine(self) -> dict[str, str]:
        """File name (its place below the inbox) to code."""
        places = {self.names.unseal(row.locator): row.code for row in self.catalogue.rejected()}
        return {place.split("/in/", 1)[-1]: code for place, code in places.items()}

    def state(self) -> dict[str, Any]:
        """Everything that was stored, but the seals, which differ every time."""
        series = self.catalogue.series()
        blobs = self.folder / "blobs"
        return {
            "series": series,
            "instances": [self.catalogue.instances(item.series_instance_uid) for item in series],
            "quarantine": self.quarantine(),
            "blobs": {str(p.relative_to(blobs)): p.read_bytes() for p in blobs.rglob("*") if p.is_file()},
            "observations": self.table.read().rows(),
        }

    def written(self) -> bytes:
        """Every byte in the workspace; Parquet also unfolded, because its columns are compressed."""
        tables = "".join(pl.read_parquet(part).write_csv() for part in self.folder.rglob("*.parquet"))
        return b"".join(p.read_bytes() for p in self.folder.rglob("*") if p.is_file()) + tables.encode()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    catalogue = SqlCatalogue(f"sqlite:///{folder / 'catalogue.db'}")
    yield Hospital(
        folder, Pseudonymiser(bytes(range(32))), LocalBlobs(folder / "blobs"), catalogue, ObservationTable(folder / "t")
    )
    catalogue.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder
