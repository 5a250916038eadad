"""``tapetum describe``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from tapetum.cli.talk import Json, WorkspaceOption, items_bar, open_workspace, show
from tapetum.flow.stages import OnStage, StageTally

__all__ = ["describe", "run_stage"]


def describe(recipe: str, *, modality: str = "", workspace: WorkspaceOption = None, json: Json = False) -> None:
    """Describe every series by the features of a recipe; once each.

    Parameters
    ----------
    recipe
        radiomics, fundus or picture.
    modality
        Only series of this DICOM modality.
    """
    opened = open_workspace(workspace)
    run_stage(recipe, lambda on_stage: opened.describe(recipe, modality=modality, on_progress=on_stage), as_json=json)


def run_stage(label: str, stage: Callable[[OnStage], StageTally], *, as_json: bool) -> None:
    """Run a stage under a progress bar and print how it ended."""
    with items_bar(label) as bar:
        task = bar.task_ids[0]

        def on_stage(tally: StageTally) -> None:
            bar.update(task, completed=tally.done, total=tally.total - tally.skipped)

        tally = stage(on_stage)
    show(asdict(tally), as_json=as_json)
