"""A packaged model meets new images: `predict_paths`.

The images go through the same stages as those that the model learned from, in a workspace that is thrown away.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tapetum import acquire, predict
from tapetum.errors import ValidationFailed
from tapetum.flow.workspace import Workspace
from tapetum.learn import unit_column
from tapetum.predict import Package, Risk

__all__ = ["Predicted", "predict_paths"]


@dataclass(frozen=True, slots=True)
class Predicted:
    """One unit (an image, a study or a patient): the files it came from and its risk, or the code of its rejection."""

    files: tuple[str, ...]
    risk: Risk | None
    rejected: str = ""


def predict_paths(
    model: str | Path, paths: Iterable[str | Path], *, mapping: str | Path | None = None
) -> list[Predicted]:
    """Predict every unit below the paths.

    Parameters
    ----------
    model : folder of a packaged model (``studies/<name>/model`` of a workspace).
    paths : files, folders, archives. Without a mapping each picture is a person of its own; for a model of several
        images a unit, all pictures are one person's.
    mapping : as for `Workspace.acquire`, when a table says whose the pictures are.

    Returns
    -------
    One row a unit, in the order of its first file, then one a file that cannot be used. Nothing of the images is kept.

    Raises
    ------
    NotFound : no such path or model.  ValidationFailed : there is not one image below the paths.
    """
    package = predict.load(Path(model))
    with tempfile.TemporaryDirectory(prefix="tapetum-") as folder:
        # The images leave with the folder, so the guard against burned-in names has nothing to keep out.
        workspace = Workspace.create(Path(folder) / "new", acquire_allow_burned_in=True)
        known = acquire.read_mapping(Path(mapping)) if mapping else _everyone_alone(package)
        files: dict[str, list[str]] = defaultdict(list)
        workspace.acquire(paths, mapping=known, on_arrival=lambda place, series: files[series].append(place))
        found = _units(workspace, package, files)
        rejected = [Predicted((row["file"],), None, row["code"]) for row in workspace.quarantine()]
    if not found and not rejected:
        raise ValidationFailed(
            "there is no image below these paths",
            hint="name files or folders with images; a model of tables alone is asked through `tapetum.predict.judge`",
        )
    return found + rejected


def _everyone_alone(package: Package) -> acquire.TableMapping:
    image = {"modality": package.card.modalities[0] if package.card.modalities else "OT"}
    if package.study.cohort.unit == "series":
        return acquire.TableMapping(image=image, pattern=re.compile(r"(?P<patient>.+)"))
    return acquire.TableMapping(image={**image, "patient": "this person"})


def _units(workspace: Workspace, package: Package, files: Mapping[str, list[str]]) -> list[Predicted]:
    """Describe what came in and ask the model, a unit at a time."""
    for recipe in package.study.features.recipes:
        workspace.describe(recipe)
    series = workspace.series()
    if not len(series):
        return []
    images = series.filter(pl.col("role") == "image")
    observations = workspace.observations()
    order = {uid: position for position, uid in enumerate(files)}
    found = []
    for unit, members in images.group_by(unit_column(package.study), maintain_order=True):
        uids = sorted(members["series_instance_uid"].to_list(), key=lambda uid: order.get(uid, len(order)))
        risk = predict.predict(package, members.with_columns(unit=pl.lit(unit[0])), observations)
        places = tuple(place for uid in uids for place in files.get(uid, ()))
        found.append((order.get(uids[0], len(order)), Predicted(places, risk)))
    return [row for _, row in sorted(found, key=lambda item: item[0])]
