"""A mirror of the catalogue in Parquet, for questions about everybody.

In: the tables patient, study and series.  Out: one row a series, as a lazy table for Polars (other tools read the same
files).  What a series says never changes, so the mirror grows by parts; only how many instances it has is read anew.
Start reading at `CohortTable.scan`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, func, select

from tapetum.store.database import Database
from tapetum.store.schema import patient, series, study

__all__ = ["COHORT_SCHEMA", "CohortTable"]

COLUMNS = {
    "id": series.c.id,
    "patient_key": series.c.patient_key,
    "sex": patient.c.sex,
    "birth_date": patient.c.birth_date,
    "study_instance_uid": series.c.study_instance_uid,
    "study_date": series.c.study_date,
    "study_description": study.c.description,
    "series_instance_uid": series.c.series_instance_uid,
    "modality": series.c.modality,
    "body_part": series.c.body_part,
    "series_description": series.c.description,
    "laterality": series.c.laterality,
    "manufacturer": series.c.manufacturer,
    "model": series.c.model,
    "site": series.c.site,
    "role": series.c.role,
    "format": series.c.format,
}
DATES = ("birth_date", "study_date")
COHORT_SCHEMA = {
    **{name: pl.Date if name in DATES else pl.String for name in COLUMNS if name != "id"},
    "instances": pl.Int64,
}
"""Columns of the mirror. A text that is not known is empty, a date that is not known is null."""

ROWS = 100_000
MOST_PARTS = 64


class CohortTable:
    """The mirror in a folder. Several processes may read and refresh it: a part is there whole or not at all."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder, self._database = folder, database

    def scan(self) -> pl.LazyFrame:
        """One row a series, in the order of their arrival, as the catalogue is now."""
        self.refresh()
        parts = self._parts()
        if not parts:
            return pl.LazyFrame(schema=COHORT_SCHEMA)
        counts = pl.scan_parquet(self._folder / "instances.parquet")
        return pl.concat([pl.scan_parquet(parts).drop("id"), counts.select("instances")], how="horizontal")

    def refresh(self) -> None:
        """Bring the mirror up to date: nothing to do, new series only, or all of it when it is not a mirror of this."""
        self._database.read(self._refresh)

    def _refresh(self, connection: Connection) -> None:
        last, height = self._mirrored()
        if not self._is_mirror(connection, last, height) or len(self._parts()) > MOST_PARTS:
            self._forget()
            last = 0
        total = connection.execute(select(func.coalesce(func.sum(study.c.instances), 0))).scalar_one()
        counted = self._folder / "instances.parquet"
        newest = connection.execute(select(func.coalesce(func.max(series.c.id), 0))).scalar_one()
        if (
            newest == last
            and counted.exists()
            and pl.scan_parquet(counted).select("instances").sum().collect().item() == total
        ):
            return
        self._append(connection, last, newest)
        ids = pl.scan_parquet(self._parts()).select("id").collect() if self._parts() else pl.DataFrame({"id": []})
        rows = connection.execute(select(series.c.id, series.c.instances).where(series.c.id <= newest))
        now = pl.DataFrame(rows.all(), schema={"id": pl.Int64, "instances": pl.Int64}, orient="row")
        self._write(ids.cast(pl.Int64).join(now, on="id", how="left", maintain_order="left"), counted)

    def _append(self, connection: Connection, last: int, newest: int) -> None:
        """Write the series behind the last one that is mirrored."""
        source = series.join(study, series.c.study_id == study.c.id).join(
            patient, series.c.patient_key == patient.c.patient_key
        )
        wanted = (
            select(*(column.label(name) for name, column in COLUMNS.items()))
            .select_from(source)
            .where(series.c.id > last, series.c.id <= newest)
            .order_by(series.c.id)
        )
        found = connection.execution_options(yield_per=ROWS).execute(wanted)
        for rows in found.partitions():
            self._write(_typed(rows), self._folder / f"series-{rows[0].id:012}-{rows[-1].id:012}.parquet")

    def _is_mirror(self, connection: Connection, last: int, height: int) -> bool:
        """Whether so many series up to this one are there, and it is the same one: else it mirrors another catalogue.

        Under PostgreSQL a series can also become visible after one with a higher id.
        """
        if not last:
            return True
        there = connection.execute(select(func.count()).select_from(series).where(series.c.id <= last)).scalar_one()
        uid = connection.execute(select(series.c.series_instance_uid).where(series.c.id == last)).scalar()
        mirrored = pl.scan_parquet(self._parts()[-1]).select("series_instance_uid").last().collect().item()
        return bool(there == height and uid == mirrored)

    def _mirrored(self) -> tuple[int, int]:
        """The last id in the mirror, and how many rows it has."""
        parts = self._parts()
        if not parts:
            return 0, 0
        return int(parts[-1].stem.rpartition("-")[2]), pl.scan_parquet(parts).select(pl.len()).collect().item()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("series-*.parquet"))

    def _forget(self) -> None:
        for part in self._folder.glob("*.parquet"):
            part.unlink()

    def _write(self, table: pl.DataFrame, place: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f"{place.stem}-{uuid.uuid4().hex}.new"
        table.write_parquet(new, compression="zstd", row_group_size=ROWS)
        os.replace(new, place)  # noqa: PTH105 - the same as Path.replace, which hides that it is atomic


def _typed(rows: Iterable[Any]) -> pl.DataFrame:
    kinds = {name: pl.Int64 if name == "id" else pl.String for name in COLUMNS}
    table = pl.DataFrame([tuple(row) for row in rows], schema=kinds, orient="row")
    return table.with_columns(pl.col(name).str.to_date("%Y%m%d", strict=False) for name in DATES)
