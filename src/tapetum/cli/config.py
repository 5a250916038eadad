"""``tapetum config``."""

from __future__ import annotations

from tapetum.cli.talk import Json, WorkspaceOption, open_workspace, show

__all__ = ["config"]


def config(*, workspace: WorkspaceOption = None, json: Json = False) -> None:
    """Print every setting with its value and where the value comes from."""
    rows = [
        {"setting": name, "value": value, "origin": origin, "meaning": explanation}
        for name, value, origin, explanation in open_workspace(workspace).settings.rows()
    ]
    show(rows, as_json=json)
