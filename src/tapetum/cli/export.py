"""``tapetum export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapetum.cli.talk import Json, WorkspaceOption, items_bar, open_workspace, show, stderr
from tapetum.flow.export import Form, select
from tapetum.flow.export import export as run_export

__all__ = ["export"]


def export(
    *selection: str,
    to: Path,
    form: Annotated[Form, Parameter(name="--format")] = "nifti",
    bids: Annotated[bool, Parameter(negative="")] = False,
    modality: str = "",
    workspace: WorkspaceOption = None,
    json: Json = False,
) -> int:
    """Write series as files that other programs read.

    Parameters
    ----------
    selection
        Series Instance UIDs, Study Instance UIDs or patient keys; none means all.
    to
        The folder to write into.
    form
        nifti, with a JSON and b-tables beside each volume; dicom, the stored objects as they are; zarr, OME-Zarr.
    bids
        Brain scans by their BIDS names; what has none is listed with the reason.
    modality
        Only series of this DICOM modality.
    """
    opened = open_workspace(workspace)
    wanted = select(opened, selection, modality=modality)
    done = []
    with items_bar("export") as bar:
        (task,) = bar.task_ids
        for one in run_export(opened, wanted, form=form, to=to, bids=bids):
            done.append(one)
            bar.update(task, total=len(wanted), completed=len(done))
    refused = [one for one in done if one.code]
    written = sum(len(one.files) for one in done)
    if json:
        show(
            {"series": len(done), "files": written, "refused": len(refused), "items": [asdict(one) for one in done]},
            as_json=True,
        )
    else:
        show({"series": len(done) - len(refused), "files": written, "refused": len(refused)}, as_json=False)
        for one in refused:
            stderr.print(f"{one.series_instance_uid}: {one.code}: {one.reason}", markup=False)
    return 3 if refused else 0
