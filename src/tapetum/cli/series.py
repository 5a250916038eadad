"""``tapetum series``."""

from __future__ import annotations

from tapetum.cli.talk import Json, WorkspaceOption, open_workspace, show

__all__ = ["series"]


def series(*, modality: str = "", workspace: WorkspaceOption = None, json: Json = False) -> None:
    """List the series of the workspace.

    Parameters
    ----------
    modality
        Only series of this DICOM modality.
    """
    rows = open_workspace(workspace).series().to_dicts()
    columns = ["patient_key", "modality", "role", "instances", "site", "study_date", "series_instance_uid"]
    show([row for row in rows if modality in ("", row["modality"])], as_json=json, columns=columns)
