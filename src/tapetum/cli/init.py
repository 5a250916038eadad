"""``tapetum init``."""

from __future__ import annotations

from pathlib import Path

from tapetum.cli.talk import Json, show
from tapetum.flow import Workspace

__all__ = ["init"]


def init(folder: Path, *, json: Json = False) -> None:
    """Make a workspace.

    Parameters
    ----------
    folder
        A new or empty folder. A workspace that is there already stays as it is.
    """
    workspace = Workspace.create(folder)
    show(
        {
            "workspace": str(workspace.folder.resolve()),
            "settings": str(workspace.folder.resolve() / "tapetum.toml"),
            "key": "keep a copy of the file `key`: without it no pseudonym can be made again",
        },
        as_json=json,
    )
