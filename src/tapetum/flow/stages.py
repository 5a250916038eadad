"""The stages over one series: pure functions that go to worker processes. Start at `Describe`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from tapetum import standardise
from tapetum.describe import RECIPES
from tapetum.errors import TapetumError
from tapetum.model import Code, Feature, Image, Instance, Observation, Region, Series
from tapetum.ports import BlobStore
from tapetum.protect import silence_parsers
from tapetum.store import Volumes

__all__ = [
    "BATCH_ROWS",
    "FAILED",
    "Describe",
    "OnStage",
    "Stage",
    "StageTally",
    "Standardise",
    "Task",
    "load_image",
    "load_regions",
    "quiet",
]

BATCH_ROWS = 20_000
FAILED = "failed"
NOTICE = "notice"


@dataclass(frozen=True)
class Task:
    """One image series with its instances, and the mask series that refer to it with theirs."""

    series: Series
    instances: tuple[Instance, ...]
    masks: tuple[tuple[Series, tuple[Instance, ...]], ...]

    @cached_property  # every row of the series carries it
    def source(self) -> str:
        """Digest of everything the task is made of: another slice or mask makes it another task."""
        everything = [*self.instances, *(instance for _, many in self.masks for instance in many)]
        return hashlib.sha256("".join(sorted(item.blob for item in everything)).encode()).hexdigest()


@dataclass(slots=True)
class StageTally:
    """How far a stage is: ``skipped`` were done before, ``failed`` are among ``done`` and say why in the table."""

    name: str
    total: int = 0
    skipped: int = 0
    done: int = 0
    failed: int = 0


OnStage = Callable[[StageTally], object]


def quiet(_tally: StageTally) -> None:
    """Show no progress."""


class Stage(Protocol):
    """A picklable function over one task; ``method`` marks its rows."""

    @property
    def method(self) -> str:
        """Name and version, such as ``fundus/1``."""
        ...

    @property
    def uses_masks(self) -> bool:
        """Whether a new mask makes the rows of a series out of date."""
        ...

    def __call__(self, task: Task) -> list[Observation]:
        """The rows of one series; never empty, so that it is known to be done."""
        ...


@dataclass(frozen=True, slots=True)
class Standardise:
    """Build the image, measure its quality, note what is wrong."""

    blobs: BlobStore
    volumes: Volumes | None = None
    uses_masks: bool = False

    @property
    def method(self) -> str:
        """The quality metrics' version."""
        return "quality/1"

    def __call__(self, task: Task) -> list[Observation]:
        """Quality features, and one ``notice`` a finding, with its code as region."""
        try:
            image = load_image(task, self.blobs, self.volumes)
            rows = [_row(task, feature, self.method) for feature in standardise.quality(image)]
            rows += [_text(task, NOTICE, n.message, self.method, region=n.code) for n in image.notices]
        except TapetumError as error:
            return [_text(task, FAILED, error.code, self.method)]
        return rows


@dataclass(frozen=True, slots=True)
class Describe:
    """Features of a series by one recipe: of its masks when it has any, else of the whole image."""

    blobs: BlobStore
    recipe: str
    volumes: Volumes | None = None
    uses_masks: bool = True

    @property
    def method(self) -> str:
        """Recipe and version."""
        return f"{self.recipe}/{RECIPES[self.recipe].version}"

    def __call__(self, task: Task) -> list[Observation]:
        """The features, or one row that says why there are none."""
        recipe = RECIPES[self.recipe]
        try:
            image = load_image(task, self.blobs, self.volumes)
            if not recipe.applies(image):
                return [_text(task, "not_applicable", f"{image.axes} {image.modality}", self.method)]
            regions, rows = self._regions(task, image)
            for region in regions if task.masks else [None]:
                label = region.label if region else ""
                rows += [_row(task, feature, self.method, label) for feature in recipe.describe(image, region)]
                if region is not None and region.notices:
                    told = "; ".join(f"{notice.code}: {notice.message}" for notice in region.notices)
                    rows.append(_text(task, NOTICE, told, self.method, label))
        except TapetumError as error:
            return [_text(task, FAILED, error.code, self.method)]
        return rows

    def _regions(self, task: Task, image: Image) -> tuple[list[Region], list[Observation]]:
        """The masks that can be read, and a row for each mask series that cannot; one does not spoil the others."""
        regions: list[Region] = []
        failed: list[Observation] = []
        for mask in task.masks:
            try:
                regions += load_regions(replace(task, masks=(mask,)), image, self.blobs)
            except TapetumError as error:
                failed.append(_text(task, FAILED, error.code, self.method, mask[0].series_instance_uid))
        return _told_apart(regions), failed


def load_image(task: Task, blobs: BlobStore, volumes: Volumes | None = None) -> Image:
    """The series of a task in the unified standard; a volume is built once and kept in ``volumes``."""
    silence_parsers()  # a worker process has no workspace that did it
    if volumes is None:
        return standardise.to_image(task.series, task.instances, blobs.open)
    series = task.series
    method = f"{standardise.METHOD} {series.format} {series.modality} {series.series_instance_uid}"
    key = Volumes.key(method, [instance.blob for instance in task.instances])
    image = volumes.get(key)
    if image is None:
        image = standardise.to_image(series, task.instances, blobs.open)
        volumes.put(key, image)
    return image


def load_regions(task: Task, image: Image, blobs: BlobStore) -> list[Region]:
    """The masks of a task on the image's grid, those of one name still under one name."""
    return [
        region
        for series, instances in task.masks
        for region in standardise.to_regions(series, instances, blobs.open, image)
    ]


def _told_apart(regions: list[Region]) -> list[Region]:
    """Regions of one name (two readers, two times) become name, name~2, ..., so that none hides another."""
    seen: Counter[str] = Counter()
    apart = []
    for region in regions:
        seen[region.label] += 1
        number = seen[region.label]
        apart.append(replace(region, label=f"{region.label}~{number}") if number > 1 else region)
    return apart


def _row(task: Task, feature: Feature, method: str, region: str = "") -> Observation:
    return Observation(
        task.series.patient_key,
        feature.name,
        value=feature.value,
        code=feature.code,
        unit=feature.unit,
        series_instance_uid=task.series.series_instance_uid,
        region=region,
        method=method,
        source=task.source,
    )


def _text(task: Task, name: str, text: str, method: str, region: str = "") -> Observation:
    return Observation(
        task.series.patient_key,
        name,
        text=text,
        code=Code(name.upper().replace("_", "-"), "99TAPETUM"),
        series_instance_uid=task.series.series_instance_uid,
        region=region,
        method=method,
        source=task.source,
    )
