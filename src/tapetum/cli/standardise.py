"""``tapetum standardise``."""

from __future__ import annotations

from tapetum.cli.describe import run_stage
from tapetum.cli.talk import Json, WorkspaceOption, open_workspace

__all__ = ["standardise"]


def standardise(*, workspace: WorkspaceOption = None, json: Json = False) -> None:
    """Build every series in the unified standard, measure its quality and note what is wrong."""
    opened = open_workspace(workspace)
    run_stage("standardise", lambda on_stage: opened.standardise(on_progress=on_stage), as_json=json)
