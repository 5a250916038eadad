"""A study from its file to its report and its model. Start at `run_study`."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tapetum import acquire, learn, predict, report, standardise
from tapetum.describe import RECIPES
from tapetum.errors import InvalidStudy, TapetumError
from tapetum.flow import stages
from tapetum.flow.workspace import Workspace
from tapetum.learn import Prediction, Study, StudyResult
from tapetum.model import Query
from tapetum.report import MontageTile

__all__ = ["OnStudy", "StudyRun", "check_study", "run_study"]

OnStudy = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class StudyRun:
    """What a study left behind: its result, the page about it and the packaged model.

    ``rejected`` counts the files of ``[data]`` that went to the quarantine.
    """

    result: StudyResult
    report: Path
    model: Path
    folder: Path
    rejected: int = 0


def run_study(
    workspace: Workspace,
    path: str | Path,
    *,
    on_progress: OnStudy = lambda _stage, _done, _total: None,
) -> StudyRun:
    """Run a study file on a workspace: take in what it names, describe what it needs, learn, validate, report.

    Parameters
    ----------
    path : the study file (`learn.study`). Its ``[data]`` paths are taken in first; paths are relative to the file.
    on_progress : is told the stage's name, how much of it is done and how much there is.

    Returns
    -------
    The result; ``studies/<name>/`` of the workspace then holds report, figures, numbers, result and model.
    """
    study = check_study(path)
    rejected = _take_in(workspace, study, Path(path).parent, on_progress)
    modality = study.cohort.modality
    for recipe in study.features.recipes:
        workspace.describe(recipe, modality=modality, on_progress=_stage(on_progress, f"describe {recipe}"))
    if study.features.recipes:
        workspace.standardise(modality=modality, on_progress=_stage(on_progress, "quality"))
    series = workspace.series()
    images = series.filter(pl.col("role") == "image")
    result, model = learn.run_study(study, images, workspace.observations(), progress=on_progress)
    folder = _folder(workspace, study.study.name)
    packaged = predict.save(model, result, folder / "model")
    page = report.write(
        result,
        folder,
        model=predict.load(packaged).digest,
        montage=_montage(workspace, result, images),
        quality=_quality(workspace, images),
        intake=_intake(workspace),
    )
    (folder / "result.json").write_text(json.dumps(result.to_json(), indent=1, ensure_ascii=False), encoding="utf-8")
    return StudyRun(result, page, packaged, folder, rejected)


def check_study(path: str | Path) -> Study:
    """Read a study file, and check what it names outside of itself: its recipes and its mapping.

    Raises
    ------
    NotFound : no such study file.
    InvalidStudy : the file is wrong (`learn.read_study`), a recipe does not exist, or the mapping cannot be used.
    """
    study = learn.read_study(path)
    for recipe in study.features.recipes:
        if recipe not in RECIPES:
            close = difflib.get_close_matches(recipe, RECIPES, 1)
            hint = f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(sorted(RECIPES))
            raise InvalidStudy(f"[features] recipes names {recipe!r}, which does not exist", hint=hint)
    if study.data.mapping:
        acquire.read_mapping(Path(path).parent / study.data.mapping)
    return study


def _take_in(workspace: Workspace, study: Study, base: Path, on_progress: OnStudy) -> int:
    """Take in what the study names; returns how many files were rejected."""
    if not study.data.paths:
        return 0
    tally = workspace.acquire(
        [base / path for path in study.data.paths],
        mapping=base / study.data.mapping if study.data.mapping else None,
        on_progress=lambda at: on_progress("acquire", at.done_bytes, at.total_bytes),
    )
    return tally.outcomes["rejected"]


def _stage(on_progress: OnStudy, name: str) -> stages.OnStage:
    return lambda tally: on_progress(name, tally.done, tally.total - tally.skipped)


def _slug(name: str) -> str:
    """A folder name in the letters of the study's own language."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-")[:80] or "study"


def _folder(workspace: Workspace, name: str) -> Path:
    """Where a study of this name lives; two names that would share a folder are told apart by a digest."""
    place = workspace.folder / "studies" / _slug(name)
    try:
        other = json.loads((place / "result.json").read_text(encoding="utf-8"))["study"]["study"]["name"]
    except FileNotFoundError:
        return place
    return place if other == name else place.with_name(f"{place.name}-{hashlib.sha256(name.encode()).hexdigest()[:8]}")


def _intake(workspace: Workspace) -> dict[str, int]:
    """Files by how they ended, over the life of the workspace."""
    stored = workspace.catalogue.count(Query("instance"))
    return {"stored": stored, **Counter(row.code for row in workspace.catalogue.rejected())}


def _quality(workspace: Workspace, images: pl.DataFrame) -> pl.DataFrame | None:
    """One row an image, one column a quality metric."""
    rows = workspace.observations().filter(
        pl.col("method").str.starts_with("quality/")
        & pl.col("value").is_not_null()
        & pl.col("series_instance_uid").is_in(images["series_instance_uid"].implode())
    )
    if not len(rows):
        return None
    known = rows.filter(pl.col("value").is_not_nan())
    return known.pivot("name", index="series_instance_uid", values="value").drop("series_instance_uid")


def _montage(workspace: Workspace, result: StudyResult, images: pl.DataFrame) -> list[MontageTile]:
    """The images worth a look: the surest right and wrong ones, and those at the threshold."""
    tested = [row for row in result.predictions if row.part == "test"] or result.predictions
    if not tested or not len(images):
        return []
    tiles = []
    for group, row in report.choose(tested, threshold=result.measured.threshold):
        several = _series_of(row, images)[:2]
        for number, uid in enumerate(several, start=1):
            try:
                pixels = standardise.preview(workspace.image(uid))
            except TapetumError:
                continue  # it is counted among the failed; a montage shows what can be shown
            caption = row.patient_key[:10] + (f" ({number} of {len(several)})" if len(several) > 1 else "")
            tiles.append(MontageTile(pixels, caption, row.outcome, row.probability, group))
    return tiles


def _series_of(row: Prediction, images: pl.DataFrame) -> list[str]:
    """The image series of a unit: the unit is a series, a study or a patient."""
    for column in ("series_instance_uid", "study_instance_uid", "patient_key"):
        found = images.filter(pl.col(column) == row.unit)["series_instance_uid"].to_list()
        if found:
            return found
    return []
