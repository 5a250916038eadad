"""``tapetum verify``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tapetum.cli.talk import Json, WorkspaceOption, bytes_bar, open_workspace, show, stderr
from tapetum.flow.keeping import Checked
from tapetum.flow.keeping import verify as check

__all__ = ["verify"]


def verify(
    *,
    restart: Annotated[bool, Parameter(negative="")] = False,
    workspace: WorkspaceOption = None,
    json: Json = False,
) -> int:
    """Read every stored object and compare it with its digest.

    Parameters
    ----------
    restart
        Begin anew, where a run that was stopped would go on.
    """
    opened = open_workspace(workspace)
    with bytes_bar("verify") as bar:
        task = bar.task_ids[0]

        def on_progress(at: Checked) -> None:
            bar.update(task, completed=at.bytes, total=at.total_bytes)

        checked = check(opened, restart=restart, on_progress=on_progress)
    found = checked.to_json()
    if json:
        show(found, as_json=True)
    else:
        show({name: value for name, value in found.items() if name != "wrong"}, as_json=False)
        if checked.wrong:
            show(checked.wrong, as_json=False)
    if checked.wrong:
        stderr.print("restore what is missing or changed from your backup; describe orphans with `tapetum repair`")
        return 1
    return 0
