"""Bulk numbers in Parquet: one folder a table, one part a batch. Start at `ObservationTable`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from tapetum.model import Code, Observation

__all__ = ["OBSERVATION_SCHEMA", "ObservationTable"]

OBSERVATION_SCHEMA = pl.Schema(
    {
        "patient_key": pl.String(),
        "series_instance_uid": pl.String(),
        "region": pl.String(),
        "name": pl.String(),
        "value": pl.Float64(),
        "text": pl.String(),
        "code": pl.String(),
        "scheme": pl.String(),
        "unit": pl.String(),
        "effective_at": pl.String(),
        "method": pl.String(),
        "source": pl.String(),
    }
)
KEY = ["patient_key", "series_instance_uid", "region", "name", "effective_at", "method"]


class ObservationTable:
    """Every observation of a workspace: clinical facts and image features in one long table.

    The last written row of a key (patient, series, region, name, date, method) counts. What a stage computed from a
    series (a method with a version, such as ``radiomics/1``) counts only as long as nothing newer was computed from
    it: when slices or masks arrived in between, the rows of the older ``source`` are out of date, all of them.
    Writing the same batch twice changes nothing, because a part is named after its content.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, observations: Iterable[Observation]) -> int:
        """Write a batch as one part; returns the number of rows."""
        rows = [_row(observation) for observation in observations]
        if not rows:
            return 0
        frame = pl.DataFrame(rows, schema=OBSERVATION_SCHEMA, orient="row")
        digest = hashlib.sha256(frame.hash_rows(seed=1).to_numpy().tobytes()).hexdigest()[:24]
        parts = sorted(self._folder.glob("*.parquet"))
        if self._has_last_word(parts, digest, frame):
            return len(rows)
        number = int(parts[-1].stem.split("-")[0]) + 1 if parts else 0
        place = self._folder / f"{number:08d}-{digest}.parquet"
        part = place.with_suffix(".new")
        frame.write_parquet(part, compression="zstd")
        part.replace(place)
        return len(rows)

    def _has_last_word(self, parts: list[Path], digest: str, frame: pl.DataFrame) -> bool:
        """Whether the same batch was written before and no later part says otherwise about one of its keys."""
        same = [index for index, part in enumerate(parts) if part.stem.endswith(digest)]
        if not same:
            return False
        later = (pl.read_parquet(part, columns=KEY) for part in parts[same[-1] + 1 :])
        return all(frame.join(part, on=KEY, how="semi").is_empty() for part in later)

    def read(self) -> pl.DataFrame:
        """All rows that count, ordered by their key."""
        parts = sorted(self._folder.glob("*.parquet"))
        if not parts:
            return pl.DataFrame(schema=OBSERVATION_SCHEMA)
        rows = pl.concat([pl.read_parquet(part) for part in parts])
        newest = pl.col("source").last().over("series_instance_uid", "method")
        computed = pl.col("method").str.contains("/", literal=True)
        return (
            rows.filter(~computed | (pl.col("source") == newest))
            .unique(subset=KEY, keep="last", maintain_order=True)
            .sort(KEY)
        )

    def observed(self, method: str) -> Iterator[Observation]:
        """The rows that count, of the methods that begin with a word, as they were given to `append`."""
        frame = self.read().filter(pl.col("method").str.starts_with(method))
        for row in frame.iter_rows(named=True):
            value, scheme = row.pop("code"), row.pop("scheme")
            yield Observation(**row, code=Code(value, scheme) if value else None)

    def done(self, method: str) -> set[tuple[str, str]]:
        """The (series, source) pairs that have rows of a method: what need not be computed again."""
        frame = self.read().filter(pl.col("method") == method)
        return set(frame.select("series_instance_uid", "source").unique().iter_rows())


def _row(item: Observation) -> tuple[object, ...]:
    code = (item.code.value, item.code.scheme) if item.code else ("", "")
    return (
        item.patient_key,
        item.series_instance_uid,
        item.region,
        item.name,
        item.value,
        item.text,
        *code,
        item.unit,
        item.effective_at,
        item.method,
        item.source,
    )
