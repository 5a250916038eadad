"""``tapetum patients``."""

from __future__ import annotations

from tapetum.cli.listing import Csv, Limit, show_level
from tapetum.cli.talk import Json, WorkspaceOption

__all__ = ["patients"]


def patients(
    *,
    patient: str = "",
    name: str = "",
    limit: Limit = None,
    workspace: WorkspaceOption = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """List or search the patients of the workspace.

    Parameters
    ----------
    patient
        Key of the patient; * and ? are wildcards.
    name
        Beginnings of parts of the name, where names are kept.
    """
    show_level("patient", workspace, limit, json=json, csv=csv, patient=patient, name=name)
