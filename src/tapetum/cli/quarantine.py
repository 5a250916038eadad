"""``tapetum quarantine``."""

from __future__ import annotations

from tapetum.cli.talk import Json, WorkspaceOption, open_workspace, show

__all__ = ["quarantine"]


def quarantine(*, code: str = "", workspace: WorkspaceOption = None, json: Json = False) -> None:
    """List what could not be taken in, why, and what to do.

    Parameters
    ----------
    code
        Only rows with this code.
    """
    rows = [row for row in open_workspace(workspace).quarantine() if code in ("", row["code"])]
    show(rows, as_json=json, columns=["code", "file", "message"])
