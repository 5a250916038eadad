"""The catalogue at scale: the real index of a million series that PyPI's ``idc-index-data`` carries, as catalogue rows.

Each row becomes one arrival of one instance and goes through `SqlCatalogue.record`, as an object that came in would.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from harness import Figures

from tapetum.model import Arrival, Instance, Query
from tapetum.store import CohortTable, SqlCatalogue

PACKAGE = "idc-index-data==25.0.5"
BATCH = 4000
ATTRIBUTES = (
    "PatientAge", "PatientSex", "StudyDescription", "BodyPartExamined", "Modality", "SOPClassUID", "TransferSyntaxUID",
    "Manufacturer", "ManufacturerModelName", "SeriesDescription", "SeriesNumber",
)  # fmt: skip
QUESTIONS = {
    "study_list_page": Query("study", limit=50, newest_first=True),
    "patient_search": Query("patient", {"PatientID": "*GA-02*"}, limit=50),
    "series_search": Query(
        "series",
        {"Modality": "CT", "BodyPartExamined": "CHEST", "StudyDate": "19990101-20001231"},
        text="lung",
        limit=50,
        newest_first=True,
    ),
}
LIMIT_MS = {**dict.fromkeys(QUESTIONS, 50.0), "cohort_query": 300.0}


def scale(figures: Figures, folder: Path, *, quick: bool) -> None:
    """Ask the same questions at growing sizes; the goals are for the largest."""
    index = read_index(folder)
    sizes = [10_000] if quick else [10_000, 100_000, index.height]
    for size in sizes:
        place = folder / f"index{size}"
        place.mkdir()
        catalogue = SqlCatalogue(f"sqlite:///{place / 'catalogue.db'}")
        load(catalogue, sample(index, size))
        found = {name: milliseconds(partial(catalogue.find, query)) for name, query in QUESTIONS.items()}
        table = CohortTable(place / "mirror", catalogue.database)
        table.refresh()
        found["cohort_query"] = milliseconds(partial(chest_ct_and_pet, table))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = ", ".join(f"{name} {value:.0f} ms" for name, value in found.items())
        print(f"  {catalogue.count(Query('series')):,} series: {told}; peak memory {memory:.0f} MiB", flush=True)
        if size == sizes[-1]:
            for name, value in found.items():
                figures.add(f"{name}_within_its_limit", LIMIT_MS[name] / value, 1.0, f"{value:.0f} ms")
        catalogue.close()


def read_index(folder: Path) -> pl.DataFrame:
    """The index, from the wheel of the package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("idc_index_data-*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/idc_index.parquet"))
        return pl.read_parquet(wheel.read(name))


def sample(index: pl.DataFrame, size: int) -> pl.DataFrame:
    """About so many series, of whole patients."""
    if size >= index.height:
        return index
    people = index["PatientID"].unique().sort().sample(fraction=size / index.height, seed=1)
    return index.filter(pl.col("PatientID").is_in(people.implode()))


def load(catalogue: SqlCatalogue, index: pl.DataFrame) -> None:
    """Record one instance of every series."""
    start = time.process_time()
    for at in range(0, index.height, BATCH):
        ended = catalogue.record([arrival(row) for row in index.slice(at, BATCH).iter_rows(named=True)])
        if any(item.outcome == "rejected" for item in ended):
            raise SystemExit("a series of the index was refused")
    told = (time.process_time() - start) / index.height * 1000
    print(f"  recorded {index.height:,} series, {told:.2f} ms CPU each", flush=True)


def arrival(row: dict[str, Any]) -> Arrival:
    """A series of the index as one object that came in."""
    uid = row["SeriesInstanceUID"]
    digest = hashlib.sha256(uid.encode()).hexdigest()
    attributes = {name: row[name] for name in ATTRIBUTES if row[name]}
    attributes |= {name: str(row[name]).replace("-", "") for name in ("StudyDate", "SeriesDate") if row[name]}
    attributes |= {"Modality": row["Modality"] or "OT", "site": row["collection_id"], "InstanceNumber": "1"}
    instance = Instance(
        sop_instance_uid=f"{uid}.1",
        series_instance_uid=uid,
        study_instance_uid=row["StudyInstanceUID"],
        patient_key=row["PatientID"],
        blob=digest,
        source_digest=digest,
        format="dicom",
        size_bytes=1,
        attributes=attributes,
    )
    return Arrival("stored", instance, arrived=digest)


def chest_ct_and_pet(table: CohortTable) -> int:
    """How many patients have a chest CT and a PET within 90 days of each other."""
    series = table.scan()
    chest = series.filter(modality="CT", body_part="CHEST").select("patient_key", day="study_date").unique()
    pet = series.filter(modality="PT").select("patient_key", pet="study_date").unique()
    both = chest.join(pet, on="patient_key").filter((pl.col("day") - pl.col("pet")).abs() <= pl.duration(days=90))
    return int(both.select(pl.col("patient_key").n_unique()).collect().item())


def milliseconds(ask: Callable[[], object]) -> float:
    """The median of five tries."""
    return sorted(_times(ask))[2] * 1000


def _times(ask: Callable[[], object]) -> Iterator[float]:
    for _ in range(5):
        start = time.perf_counter()
        ask()
        yield time.perf_counter() - start
