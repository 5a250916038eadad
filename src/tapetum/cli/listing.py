"""Listing and searching a level of the catalogue: what ``patients``, ``studies`` and ``series`` share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapetum.cli.talk import open_workspace, show
from tapetum.model import Level

__all__ = ["Csv", "Limit", "show_level"]

Csv = Annotated[bool, Parameter(name="--csv", negative="", help="Print the result as CSV, with all its columns.")]
Limit = Annotated[int | None, Parameter(help="So many at most.")]
COLUMNS: dict[Level, list[str]] = {
    "patient": ["patient_key", "patient_name", "patient_sex", "studies"],
    "study": ["patient_key", "study_date", "modalities", "study_description", "series", "study_instance_uid"],
    "series": ["patient_key", "modality", "role", "instances", "site", "study_date", "series_instance_uid"],
}


def show_level(
    level: Level, workspace: Path | None, limit: int | None, *, json: bool, csv: bool, quality: str = "", **words: str
) -> None:
    """Search a level and print what is found as a table, as JSON or as CSV."""
    found = open_workspace(workspace).search(level, limit=limit, offset=0, quality=quality, **words)
    if csv:
        sys.stdout.write(found.write_csv())
    else:
        show(found.to_dicts(), as_json=json, columns=COLUMNS[level])
