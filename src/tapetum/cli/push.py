"""``tapetum push``."""

from __future__ import annotations

from tapetum.cli.talk import Json, WorkspaceOption, items_bar, open_workspace, show, stderr
from tapetum.dimse.sending import transcoded
from tapetum.flow.exchange import Exchanged
from tapetum.flow.exchange import push as run_push
from tapetum.flow.export import select

__all__ = ["push"]


def push(
    peer: str,
    /,
    *selection: str,
    modality: str = "",
    workspace: WorkspaceOption = None,
    json: Json = False,
) -> int:
    """Send series to another archive; what it has already is not sent again, and it is asked afterwards what it has.

    Parameters
    ----------
    peer
        Its name in [peers] of tapetum.toml.
    selection
        Series Instance UIDs, Study Instance UIDs or patient keys; none means all.
    modality
        Only series of this DICOM modality.
    """
    opened = open_workspace(workspace)
    wanted = select(opened, selection, modality=modality)
    with items_bar("push") as bar:
        (task,) = bar.task_ids

        def on_progress(at: Exchanged) -> None:
            bar.update(task, total=len(wanted), completed=at.series)

        done = run_push(opened, peer, wanted, transcode=transcoded, on_progress=on_progress)
    show(done.to_json(), as_json=json)
    if not done.is_whole:
        stderr.print("not everything is there: run the same command again, and see the log of the peer")
    return 0 if done.is_whole else 1
