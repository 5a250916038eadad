"""Clinical tables: rows of a CSV or Parquet become observations, and say whose the pictures are.

Start at `read_table`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import PurePosixPath
from typing import BinaryIO

import polars as pl

from tapetum.acquire.mapping import MappedObservation, TableMapping
from tapetum.errors import RejectedInput
from tapetum.model import Observation
from tapetum.protect import Pseudonymiser, holds_number_or_date, mentions, words_of

__all__ = ["Manifest", "TableRow", "read_table", "shifted_date"]

LONGEST_TEXT = 64  # as DICOM's LO and SH: what is longer is free text and no category
PARQUET_ROWS = 20_000
PARQUET_MAGIC = b"PAR1"
ALLELES = re.compile(r"(\d+|\.)(?:[/|](\d+|\.))?")  # VCF 4.4, 1.6.2: GT
VARIANT = re.compile(r"[A-Za-z0-9][\w.:>*=+-]{0,63}")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: what it says by role, and its observations about the patient and about one image.

    ``roles["patient"]`` is still the source's own identifier: it is needed to place pictures and is never stored.
    Observations carry the pseudonym, and no series yet.
    """

    roles: Mapping[str, str]
    patient: list[Observation]
    image: list[Observation]


@dataclass(slots=True)
class Manifest:
    """Which row speaks of which file. Keys are paths or names of files as the table writes them."""

    rows: dict[str, TableRow] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)

    def add(self, row: TableRow) -> bool:
        """Keep a row about a file. A second one about the same file adds its facts, unless it contradicts the first."""
        name = row.roles["file"]
        first = self.rows.setdefault(name, row)
        if first is not row:
            if first.roles != row.roles:
                return False
            first.image.extend(row.image)
        return True

    def meet(self, relative: str, locator: str) -> None:
        """Note that a file is there, before any is stored: a key that fits two places may be about either."""
        key = self._key(relative)
        if key is not None and self.places.setdefault(key, locator) != locator:
            self.ambiguous.add(key)

    def unmet(self) -> int:
        """How many names of files no file was met for."""
        return len(self.rows) - len(self.places)

    def find(self, relative: str) -> TableRow | None:
        """The row of a file: by its whole path below the given folder, by any end of it, at last by its name.

        Raises
        ------
        RejectedInput : unknown-patient where the row fits several files.
        """
        key = self._key(relative)
        if key in self.ambiguous:
            raise RejectedInput("unknown-patient", "the table's name for this file is ambiguous; write the path there")
        return self.rows[key] if key is not None else None

    def _key(self, relative: str) -> str | None:
        parts = PurePosixPath(relative).parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((end for end in ends if end in self.rows), None)


def read_table(
    file: BinaryIO, mapping: TableMapping, names: Pseudonymiser, source: str
) -> Iterator[TableRow | RejectedInput]:
    """Yield each row of a CSV or Parquet as its roles and its observations; a row that does not fit as its rejection.

    Dates are ISO (YYYY-MM-DD or YYYYMMDD, with or without a time) and are shifted; the time of day stays, and midnight
    means that there is none. A row that contradicts an earlier one about the same patient, image and date is refused.
    A rejection names the row by its number and the column, never a value.

    Raises
    ------
    RejectedInput : invalid-row for a table that is no table or lacks a mapped column.
    """
    told: dict[int, int] = {}  # hashes: what each fact of the table was, in little memory
    head = file.read(len(PARQUET_MAGIC))
    file.seek(0)
    rows = _parquet_rows if head == PARQUET_MAGIC else _csv_rows
    for number, cells in enumerate(rows(file, mapping), start=2):
        try:
            found = _row(cells, mapping, names, source)
            _refuse_a_contradiction(found, mapping, told)
            yield found
        except RejectedInput as error:
            error.context["row"] = number
            yield error


def _csv_rows(file: BinaryIO, mapping: TableMapping) -> Iterator[dict[str, str]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        rows = csv.DictReader(text, delimiter=mapping.separator)
        _refuse_without_columns(mapping, rows.fieldnames or ())
        for row in rows:
            yield {name: (cell or "").strip() for name, cell in row.items() if name}
    except (UnicodeDecodeError, csv.Error) as error:
        raise RejectedInput("invalid-row", "the table is not UTF-8 text with separated values") from error
    finally:
        text.detach()


def _parquet_rows(file: BinaryIO, mapping: TableMapping) -> Iterator[dict[str, str]]:
    """The cells of the mapped columns as texts, some rows at a time."""
    try:
        table = pl.scan_parquet(file)
        kinds = table.collect_schema()
        _refuse_without_columns(mapping, list(kinds))
        wanted = sorted(_mapped_columns(mapping))
        start = 0
        while len(part := table.select(wanted).slice(start, PARQUET_ROWS).collect()):
            yield from ({name: _cell(value) for name, value in row.items()} for row in part.iter_rows(named=True))
            start += len(part)
    except pl.exceptions.PolarsError as error:
        raise RejectedInput("invalid-row", "the Parquet file cannot be read") from error


def _cell(value: object) -> str:
    """A value as a CSV would write it."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value).strip()


def _mapped_columns(mapping: TableMapping) -> set[str]:
    return {*mapping.columns.values(), *(item.column for item in mapping.observations)}


def _refuse_without_columns(mapping: TableMapping, columns: Sequence[str]) -> None:
    absent = sorted(_mapped_columns(mapping) - set(columns))
    if absent:
        raise RejectedInput("invalid-row", "the table lacks a mapped column", column=absent[0])


def _row(row: Mapping[str, str], mapping: TableMapping, names: Pseudonymiser, source: str) -> TableRow:
    roles = {role: row.get(column, "") for role, column in mapping.columns.items()}
    if not roles.get("patient"):
        raise RejectedInput("invalid-row", "a row without patient")
    patient_key = names.patient(roles["patient"], mapping.patient_issuer)
    effective_at = _shifted(roles.get("date", ""), patient_key, names)
    own = words_of(roles["patient"]) | words_of(roles.pop("name", ""))
    found: dict[str, list[Observation]] = {"patient": [], "image": []}
    variant = _variant(roles, own) if "variant" in mapping.columns else ""
    for item in mapping.observations:
        raw = row.get(item.column, "")
        if raw in mapping.missing:
            continue
        if item.kind == "text":
            _refuse_what_tells(raw, item.column, own)
        value = _value(raw, item)
        if value is None and item.kind != "text":
            continue
        observation = Observation(
            patient_key,
            variant if variant and item.kind == "genotype" else item.name,
            value=value,
            text=raw if item.kind == "text" else None,
            code=item.code,
            unit=item.unit,
            effective_at=effective_at,
            method="table",
            source=source,
        )
        found[item.level].append(observation)
    return TableRow(roles, found["patient"], found["image"])


def _variant(roles: Mapping[str, str], own: frozenset[str]) -> str:
    """The name of the variant that a row is about (rs7903146, 10:112998590:C:T)."""
    name = roles["variant"]
    if not VARIANT.fullmatch(name) or mentions(name, own):
        raise RejectedInput("invalid-row", "not the name of a variant")
    return name


def _value(raw: str, item: MappedObservation) -> float | None:
    """The number of a cell; None for a text, and for a genotype that was not called."""
    if item.kind == "text":
        return None
    alleles = ALLELES.fullmatch(raw) if item.kind == "genotype" else None
    if alleles is None or not (alleles[2] or alleles[1] == "."):
        number = _number(raw, item)
        if item.kind == "genotype" and not 0 <= number <= 2:
            raise RejectedInput("invalid-row", "not a genotype or dosage", column=item.column)
        return number
    called = [allele for allele in alleles.groups() if allele]
    return None if "." in called else float(sum(allele != "0" for allele in called))


def _refuse_what_tells(text: str, column: str, own: frozenset[str]) -> None:
    if mentions(text, own):
        raise RejectedInput("identifier-survived", "the text names the patient", column=column)
    if holds_number_or_date(text):
        raise RejectedInput("identifier-survived", "the text holds a date or a long number", column=column)
    if len(text) > LONGEST_TEXT:
        raise RejectedInput("invalid-row", f"the text has more than {LONGEST_TEXT} characters", column=column)


def _refuse_a_contradiction(row: TableRow, mapping: TableMapping, told: dict[int, int]) -> None:
    """Keep what a row says, unless an earlier one said something else about the same: one of them would be lost."""
    column = {item.name: item.column for item in mapping.observations}
    variant = mapping.columns.get("variant", "")
    image = (row.roles.get("file", ""), row.roles.get("series_instance_uid", ""))
    said: dict[int, int] = {}
    for place, facts in ((("", ""), row.patient), (image, row.image)):
        for fact in facts:
            key = hash((fact.patient_key, place, fact.name, fact.effective_at))
            said[key] = hash((fact.value, fact.text))
            if told.get(key, said[key]) != said[key]:
                raise RejectedInput(
                    "invalid-row", "an earlier row says something else", column=column.get(fact.name, variant)
                )
    told.update(said)


def _number(raw: str, item: MappedObservation) -> float:
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in raw:  # Python reads 1_0 as 10
        raise RejectedInput("invalid-row", "not a number", column=item.column)
    return number


def shifted_date(raw: str, patient_key: str, names: Pseudonymiser) -> str:
    """An ISO date moved by the patient's shift; empty stays empty. Raises RejectedInput for anything else."""
    return _shifted(raw, patient_key, names)[:10]


def _shifted(raw: str, patient_key: str, names: Pseudonymiser) -> str:
    """The same with the time of day as given; midnight is what exports write for none."""
    if not raw:
        return ""
    try:
        moment = datetime.fromisoformat(raw)
        day = names.shift_date(moment.date(), patient_key).isoformat()
    except (ValueError, OverflowError):
        raise RejectedInput("invalid-row", "not an ISO date") from None
    return day if moment.time() == time.min else f"{day}T{moment.timetz().isoformat()}"
