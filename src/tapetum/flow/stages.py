"""The stages over one series: pure functions that go to worker processes. Start at `Describe`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tapetum import standardise
from tapetum.describe import RECIPES
from tapetum.errors import TapetumError
from tapetum.model import Code, Feature, Image, Instance, Observation, Region, Series
from tapetum.ports import BlobStore
from tapetum.protect import silence_parsers

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


@dataclass(frozen=True, slots=True)
class Task:
    """One image series with its instances, and the mask series that refer to it with theirs."""

    series: Series
    instances: tuple[Instance, ...]
    masks: tuple[tuple[Series, tuple[Instance, ...]], ...]


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

    def __call__(self, task: Task) -> list[Observation]:
        """The rows of one series; never empty, so that it is known to be done."""
        ...


@dataclass(frozen=True, slots=True)
class Standardise:
    """Build the image, measure its quality, note what is wrong."""

    blobs: BlobStore

    @property
    def method(self) -> str:
        """The quality metrics' version."""
        return "quality/1"

    def __call__(self, task: Task) -> list[Observation]:
        """Quality features, and one ``notice`` a finding, with its code as region."""
        try:
            image = load_image(task, self.blobs)
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

    @property
    def method(self) -> str:
        """Recipe and version."""
        return f"{self.recipe}/{RECIPES[self.recipe].version}"

    def __call__(self, task: Task) -> list[Observation]:
        """The features, or one row that says why there are none."""
        recipe = RECIPES[self.recipe]
        try:
            image = load_image(task, self.blobs)
            if not recipe.applies(image):
                return [_text(task, "not_applicable", f"{image.axes} {image.modality}", self.method)]
            regions: list[Region | None] = [*load_regions(task, image, self.blobs)] or [None]
            rows = [
                _row(task, feature, self.method, region.label if region else "")
                for region in regions
                for feature in recipe.describe(image, region)
            ]
            return rows + [
                _text(
                    task, NOTICE, "; ".join(f"{n.code}: {n.message}" for n in region.notices), self.method, region.label
                )
                for region in regions
                if region is not None and region.notices
            ]
        except TapetumError as error:
            return [_text(task, FAILED, error.code, self.method)]


def load_image(task: Task, blobs: BlobStore) -> Image:
    """The series of a task in the unified standard."""
    silence_parsers()  # a worker process has no workspace that did it
    return standardise.to_image(task.series, task.instances, blobs.open)


def load_regions(task: Task, image: Image, blobs: BlobStore) -> list[Region]:
    """The masks of a task on the image's grid."""
    return [
        region
        for series, instances in task.masks
        for region in standardise.to_regions(series, instances, blobs.open, image)
    ]


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
        source=task.instances[0].blob if len(task.instances) == 1 else task.series.series_instance_uid,
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
    )
