"""``tapetum series``."""

from __future__ import annotations

from tapetum.cli.listing import Csv, Limit, show_level
from tapetum.cli.talk import Json, WorkspaceOption

__all__ = ["series"]


def series(
    *,
    modality: str = "",
    patient: str = "",
    name: str = "",
    date: str = "",
    body_part: str = "",
    scanner: str = "",
    site: str = "",
    text: str = "",
    quality: str = "",
    limit: Limit = None,
    workspace: WorkspaceOption = None,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """List or search the series of the workspace, newest studies first.

    Parameters
    ----------
    modality
        Only series of this DICOM modality.
    patient
        Key of the patient; * and ? are wildcards.
    name
        Beginnings of parts of the name, where names are kept.
    date
        Of the study: 2020, 2020-2022, 2020-03-31, or 2020-03-31/2020-04-15.
    body_part
        Body Part Examined, such as CHEST.
    scanner
        Words in manufacturer and model.
    site
        The institution, as the workspace names it.
    text
        Words in the descriptions.
    quality
        A condition on a measured quality, such as noise<20.
    """
    words = {"modality": modality, "patient": patient, "name": name, "date": date, "body_part": body_part}
    words |= {"scanner": scanner, "site": site, "text": text}
    show_level("series", workspace, limit, json=json, csv=csv, quality=quality, **words)
