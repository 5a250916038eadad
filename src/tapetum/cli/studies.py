"""``tapetum studies``."""

from __future__ import annotations

from tapetum.cli.listing import Csv, Limit, show_level
from tapetum.cli.talk import Json, WorkspaceOption

__all__ = ["studies"]


def studies(
    *,
    modality: str = "",
    patient: str = "",
    name: str = "",
    date: str = "",
    text: str = "",
    limit: Limit = None,
    workspace: WorkspaceOption = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """List or search the studies of the workspace, newest first.

    Parameters
    ----------
    modality
        Only studies with a series of this DICOM modality.
    patient
        Key of the patient; * and ? are wildcards.
    name
        Beginnings of parts of the name, where names are kept.
    date
        Of the study: 2020, 2020-2022, 2020-03-31, or 2020-03-31/2020-04-15.
    text
        Words in the descriptions.
    """
    show_level(
        "study",
        workspace,
        limit,
        json=json,
        csv=csv,
        modality=modality,
        patient=patient,
        name=name,
        date=date,
        text=text,
    )
