"""``tapetum acquire``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapetum.acquire import Progress
from tapetum.cli.talk import Json, WorkspaceOption, bytes_bar, open_workspace, show, stderr
from tapetum.cli.work import noted

__all__ = ["acquire"]


def acquire(
    path: Path,
    /,
    *paths: Path,
    mapping: Path | None = None,
    site: str | None = None,
    allow_burned_in: Annotated[bool | None, Parameter(negative="")] = None,
    link: Annotated[bool, Parameter(negative="")] = False,
    workspace: WorkspaceOption = None,
    json: Json = False,
) -> int:
    """Take in files, folders and archives.

    Parameters
    ----------
    path
        A file, folder, zip or tar archive; nested ones are opened.
    paths
        More of them.
    mapping
        TOML file that says what the columns of tables and the names of pictures mean.
    site
        Name of the institution that the files come from.
    allow_burned_in
        Store screen captures and ultrasound too, whose pixels may show a name.
    link
        Leave DICOM files where they lie and remember their places (with protect.deidentify = false only).
    """
    opened = open_workspace(workspace, acquire_site=site, acquire_allow_burned_in=allow_burned_in)
    with noted(opened) as router, bytes_bar("acquire") as bar:
        task = bar.task_ids[0]

        def on_progress(at: Progress) -> None:
            seen = f"{at.tally.seen:,} files"
            bar.update(task, completed=at.done_bytes, total=at.total_bytes, files=seen)

        tally = opened.acquire(
            [path, *paths], mapping=mapping, link=link, on_progress=on_progress, on_arrival=router.arrived
        )
    show(tally.to_json(), as_json=json)
    if tally.unmatched_rows:
        stderr.print(
            f"{tally.unmatched_rows:,} names of files in tables fit no file here: what those rows say of images is not "
            "stored; acquire table and pictures together"
        )
    if tally.outcomes["rejected"]:
        stderr.print("some files are in the quarantine: see `tapetum quarantine`")
        return 3
    return 0
