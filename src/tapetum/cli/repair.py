"""``tapetum repair``."""

from __future__ import annotations

from tapetum.cli.talk import Json, WorkspaceOption, folder_of, items_bar, show, stderr
from tapetum.flow.keeping import Repaired
from tapetum.flow.keeping import repair as mend

__all__ = ["repair"]


def repair(*, workspace: WorkspaceOption = None, json: Json = False) -> int:
    """Make the catalogue again from the stored objects and their journal."""
    with items_bar("repair") as bar:
        task = bar.task_ids[0]

        def on_progress(at: Repaired) -> None:
            bar.update(task, completed=at.noted + at.described)

        repaired = mend(folder_of(workspace), on_progress=on_progress)
    show(repaired.to_json(), as_json=json)
    if repaired.unplaced:
        stderr.print("some objects do not say whose they are: acquire their files again")
        return 3
    return 0
