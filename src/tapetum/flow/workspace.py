"""A workspace: a folder with a catalogue, blobs, tables, models and reports. `Workspace` is what the commands call.

Here, and only here, settings become adapters, and stages are put in order.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from tapetum import acquire, settings
from tapetum.describe import RECIPES
from tapetum.errors import InvalidQuery, InvalidStudy, NotFound
from tapetum.flow import searching, stages
from tapetum.model import Image, Level, Query, Region, Series
from tapetum.ports import Engine
from tapetum.protect import KEY_BYTES, Pseudonymiser, RealNames, silence_parsers
from tapetum.settings import Settings
from tapetum.store import (
    CohortTable,
    JournalledCatalogue,
    LinkedBlobs,
    LocalBlobs,
    ObservationTable,
    ProcessEngine,
    S3Blobs,
    SerialEngine,
    Volumes,
)

__all__ = ["CATALOGUE_FILE", "Workspace"]

CATALOGUE_FILE = "catalogue.db"

SERIES_SCHEMA = {
    **dict.fromkeys(("patient_key", "study_instance_uid", "series_instance_uid"), pl.String),
    **dict.fromkeys(("modality", "role", "site", "format", "pixel_digest"), pl.String),
    "instances": pl.Int64,
}
"""The columns that `Workspace.series` always has; header attributes come behind them."""

SERIAL_BELOW = 8

PATIENTS_AT_ONCE = 200
"""Of so many patients the masks are asked for in one question."""


class Workspace:
    """An existing workspace; `Workspace.create` makes one.

    Parameters
    ----------
    folder : the workspace's folder.
    flags : settings that override file and environment, by their Python names (``acquire_site="North"``).

    Raises
    ------
    NotFound : the folder is no workspace.
    """

    def __init__(self, folder: str | Path, **flags: Any) -> None:
        silence_parsers()
        self.folder = Path(folder)
        if not (self.folder / settings.FILE_NAME).exists():
            raise NotFound("no workspace here", hint="make one with `tapetum init DIR`", folder=self.folder)
        # Fewer items than this are done in this process: starting workers costs more than it gains.
        self.serial_below = SERIAL_BELOW
        self.settings: Settings = settings.load(self.folder, flags=flags)
        names = Pseudonymiser if self.settings.protect_deidentify else RealNames
        key = _read_key(self.folder / self.settings.protect_key_file)
        self.names = names(key, issuer=self.settings.acquire_issuer)
        url = self.settings.store_blobs_url
        self.blobs = LinkedBlobs(self.folder / "links", S3Blobs(url) if url else LocalBlobs(self.folder / "blobs"))
        self.catalogue = JournalledCatalogue(
            self.settings.store_catalogue_url or f"sqlite:///{self.folder.resolve() / CATALOGUE_FILE}", self.blobs
        )
        self.volumes = Volumes(self.folder / "volumes")
        self.observation_table = ObservationTable(self.folder / "tables" / "observations")

    @classmethod
    def create(cls, folder: str | Path, **flags: Any) -> Workspace:
        """Make a workspace in a new or empty folder; one that is there already is opened as it is.

        Raises
        ------
        InvalidStudy : the folder holds something else.
        """
        folder = Path(folder)
        if not (folder / settings.FILE_NAME).exists():
            if folder.exists() and any(folder.iterdir()):
                raise InvalidStudy("the folder is not empty", hint="name a new folder", folder=folder)
            folder.mkdir(parents=True, exist_ok=True)
            _write_key(folder / Settings().protect_key_file)
            (folder / settings.FILE_NAME).write_text(settings.template(), encoding="utf-8")
        return cls(folder, **flags)

    def acquire(
        self,
        paths: Iterable[str | Path],
        *,
        mapping: str | Path | acquire.TableMapping | None = None,
        link: bool = False,
        on_progress: Callable[[acquire.Progress], object] = lambda _: None,
        on_arrival: Callable[[str, str], object] = lambda _file, _series: None,
    ) -> acquire.Tally:
        """Take in files, folders and archives (see `tapetum.acquire.acquire`). Running it twice changes nothing.

        With ``link`` DICOM files stay where they lie, and their places are remembered; only where identities are not
        replaced. ``on_arrival`` is called with (place, series UID) of every file that is stored or was so already.

        Raises
        ------
        InvalidStudy : ``link`` in a workspace that replaces identities.
        """
        self.blobs.sweep()
        known = mapping if isinstance(mapping, acquire.TableMapping) or mapping is None else None
        return acquire.acquire(
            [Path(path) for path in paths],
            blobs=self.blobs,
            catalogue=self.catalogue,
            observe=self.observation_table.append,
            names=self.names,
            policy=acquire.Policy(
                max_bytes=self.settings.acquire_max_bytes,
                max_pixels=self.settings.acquire_max_pixels,
                allow_burned_in=self.settings.acquire_allow_burned_in,
                site=self.settings.acquire_site,
                deidentify=self.settings.protect_deidentify,
                link=link,
            ),
            mapping=known if known or mapping is None else acquire.read_mapping(Path(str(mapping))),
            on_progress=on_progress,
            on_arrival=on_arrival,
            observed=self.observation_table.observed,
        )

    def quarantine(self) -> list[dict[str, Any]]:
        """What could not be taken in: code, message and, unsealed with the workspace's key, the place of the file.

        ``blob`` is the key of the bytes that were kept all the same, as of a conflicting instance; else it is empty.
        """
        return [
            {
                "code": row.code,
                "message": row.message,
                "file": self.names.unseal(row.locator),
                "bytes": row.size_bytes,
                "blob": row.blob,
            }
            for row in self.catalogue.rejected()
        ]

    def series(self) -> pl.DataFrame:
        """One row a series: its keys, modality, site, format, pixel digest and header attributes."""
        digests = self.catalogue.pixel_digests()
        rows = [
            {**_flat(series), "pixel_digest": digests[series.series_instance_uid]} for series in self.catalogue.series()
        ]
        empty = pl.DataFrame(schema=SERIES_SCHEMA)
        return pl.concat([empty, pl.DataFrame(rows, infer_schema_length=None)], how="diagonal") if rows else empty

    def search(
        self, level: Level = "series", *, quality: str = "", limit: int | None = None, offset: int = 0, **words: str
    ) -> pl.DataFrame:
        """Patients, studies or series that fit, those with the newest studies first.

        Parameters
        ----------
        words : ``modality``, ``patient``, ``name``, ``date``, ``body_part``, ``scanner``, ``site``, ``text``: see
            `flow.searching.question`.
        quality : a condition on a measured quality of the series, such as ``noise<20``.
        limit, offset : a page of the matches.

        Raises
        ------
        InvalidQuery : a word or condition cannot be understood.
        """
        query = searching.question(level, **words)
        if not quality:
            return searching.as_table(level, self.catalogue.find(replace(query, limit=limit, offset=offset)))
        if level != "series":
            raise InvalidQuery("quality is of series", hint="search for series", level=level)
        fit = searching.fulfilling(self.observations(), quality)
        rows = (row for row in searching.pages(self.catalogue, query) if row["SeriesInstanceUID"] in fit)
        return searching.as_table(level, list(islice(rows, offset, None if limit is None else offset + limit)))

    def cohort_table(self) -> pl.LazyFrame:
        """One row a series with what its study and patient say (`store.COHORT_SCHEMA`), for questions about everybody.

        A mirror of the catalogue in Parquet, brought up to date first.
        """
        return CohortTable(self.folder / "tables" / "cohort", self.catalogue.database).scan()

    def observations(self) -> pl.DataFrame:
        """Every observation: clinical facts, quality, features (`store.OBSERVATION_SCHEMA`)."""
        return self.observation_table.read()

    def image(self, series_instance_uid: str) -> Image:
        """One series as an image in the unified standard."""
        return stages.load_image(self._task(self.catalogue.one(series_instance_uid), {}), self.blobs, self.volumes)

    def regions(self, series_instance_uid: str) -> list[Region]:
        """The masks that refer to a series, on its grid."""
        series = self.catalogue.one(series_instance_uid)
        task = self._task(series, self._masks([series]))
        return stages.load_regions(task, stages.load_image(task, self.blobs, self.volumes), self.blobs)

    def standardise(
        self,
        *,
        modality: str = "",
        only: Iterable[Series] | None = None,
        on_progress: stages.OnStage = stages.quiet,
    ) -> stages.StageTally:
        """Build every image series (of a modality, or ``only`` these) once, measure its quality, note what is wrong."""
        stage = stages.Standardise(self.blobs, self.volumes)
        return self._run("quality", stage, self._of(modality, only), on_progress)

    def describe(
        self,
        recipe: str,
        *,
        modality: str = "",
        only: Iterable[Series] | None = None,
        on_progress: stages.OnStage = stages.quiet,
    ) -> stages.StageTally:
        """Describe every image series (of a modality, or ``only`` these) to which a recipe applies; once each."""
        if recipe not in RECIPES:
            raise InvalidStudy(f"there is no recipe {recipe!r}", hint=f"use one of {sorted(RECIPES)}")
        stage = stages.Describe(self.blobs, recipe, self.volumes)
        return self._run(recipe, stage, self._of(modality, only), on_progress)

    def _of(self, modality: str, only: Iterable[Series] | None) -> list[Series]:
        if only is None:
            return self.catalogue.series(Query("series", {"Modality": modality, "role": "image"}))
        return [series for series in only if modality in ("", series.modality) and series.role == "image"]

    def _run(
        self, name: str, stage: stages.Stage, wanted: list[Series], on_progress: stages.OnStage
    ) -> stages.StageTally:
        """Run a stage over the images that are new to it, or changed, writing results down a batch at a time."""
        done = self.observation_table.done(stage.method)
        masks = self._masks(wanted) if stage.uses_masks else {}
        images = [self._task(series, masks) for series in wanted]
        tasks = [task for task in images if (task.series.series_instance_uid, task.source) not in done]
        tally = stages.StageTally(name, total=len(images), skipped=len(images) - len(tasks))
        engine: Engine = SerialEngine() if len(tasks) < self.serial_below else ProcessEngine(self._workers())
        batch: list[Any] = []
        try:
            for _, rows in engine.map(stage, tasks):
                tally.done += 1
                tally.failed += any(row.name == stages.FAILED for row in rows)
                batch.extend(rows)
                if len(batch) >= stages.BATCH_ROWS:
                    self.observation_table.append(batch)
                    batch = []
                on_progress(tally)
        finally:
            self.observation_table.append(batch)
        return tally

    def _workers(self) -> int:
        return self.settings.compute_workers or os.cpu_count() or 1

    def _masks(self, images: list[Series]) -> dict[str, list[Series]]:
        """Image series UID -> the masks of its patient that refer to it, or, naming no series, share its frame."""
        by_patient: dict[str, list[Series]] = {}
        for image in images:
            by_patient.setdefault(image.patient_key, []).append(image)
        found: dict[str, list[Series]] = {}
        patients = sorted(by_patient)
        for start in range(0, len(patients), PATIENTS_AT_ONCE):
            some = "\\".join(patients[start : start + PATIENTS_AT_ONCE])
            asked = Query("series", {"role": "mask", "patient_key": some})
            for mask in self.catalogue.series(asked):
                for image in by_patient.get(mask.patient_key, ()):
                    if _is_mask_of(mask, image):
                        found.setdefault(image.series_instance_uid, []).append(mask)
        return found

    def _task(self, series: Series, masks: Mapping[str, list[Series]]) -> stages.Task:
        return stages.Task(
            series,
            tuple(self.catalogue.instances(series.series_instance_uid)),
            tuple(
                (mask, tuple(self.catalogue.instances(mask.series_instance_uid)))
                for mask in masks.get(series.series_instance_uid, ())
            ),
        )


def _is_mask_of(mask: Series, image: Series) -> bool:
    """Whether a mask of the same patient refers to an image or, naming none, shares its frame of reference."""
    referenced = mask.attributes.get("ReferencedSeriesInstanceUID")
    if referenced:
        return str(referenced) == image.series_instance_uid
    frame = mask.attributes.get("FrameOfReferenceUID")
    return frame is not None and frame == image.attributes.get("FrameOfReferenceUID")


def _flat(series: Series) -> dict[str, Any]:
    fixed = {
        "patient_key": series.patient_key,
        "study_instance_uid": series.study_instance_uid,
        "series_instance_uid": series.series_instance_uid,
        "modality": series.modality,
        "role": series.role,
        "site": series.site,
        "format": series.format,
        "instances": series.instances,
    }
    return {**{searching.snake(name): str(value) for name, value in series.attributes.items()}, **fixed}


def _write_key(path: Path) -> None:
    """A new key that only its owner can read; it is never overwritten, or every pseudonym would change."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(secrets.token_hex(KEY_BYTES) + "\n")


def _read_key(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise NotFound("the key of the pseudonyms cannot be read", hint="restore it from your backup") from error
