"""``tapetum pull``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tapetum.cli.talk import Json, WorkspaceOption, items_bar, open_workspace, show, stderr
from tapetum.cli.work import noted
from tapetum.dimse.sending import transcoded
from tapetum.flow.exchange import Exchanged
from tapetum.flow.exchange import pull as run_pull

__all__ = ["pull"]

Text = Annotated[str, Parameter(allow_leading_hyphen=True)]


def pull(
    peer: str,
    /,
    *,
    modality: str = "",
    date: Text = "",
    patient: str = "",
    accession: str = "",
    description: str = "",
    study: str = "",
    series: str = "",
    by_move: Annotated[bool, Parameter(negative="")] = False,
    workspace: WorkspaceOption = None,
    json: Json = False,
) -> int:
    """Take in what another archive has; what is stored already is not fetched again.

    Parameters
    ----------
    peer
        Its name in [peers] of tapetum.toml.
    modality
        DICOM modality of the series, such as CT.
    date
        Of the study: 20200131, or a range such as 2020-2022 or 20200101-20200331.
    patient
        Patient ID as the peer writes it; * and ? are wildcards.
    accession
        Accession Number.
    description
        Study Description; * and ? are wildcards.
    study
        Study Instance UID.
    series
        Series Instance UID.
    by_move
        Have the peer send to our title and port (C-MOVE) instead of getting in the same association (C-GET).
    """
    words = {
        "Modality": modality.upper(),
        "StudyDate": _days(date),
        "PatientID": patient,
        "AccessionNumber": accession,
        "StudyDescription": description,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
    }
    opened = open_workspace(workspace)
    with noted(opened) as router, items_bar("pull") as bar:
        (task,) = bar.task_ids

        def on_progress(at: Exchanged) -> None:
            bar.update(task, completed=at.series)

        match = {word: value for word, value in words.items() if value}
        done = run_pull(
            opened,
            peer,
            match,
            transcode=transcoded,
            by_move=by_move,
            on_progress=on_progress,
            on_stored=router.on_stored,
        )
    show(done.to_json(), as_json=json)
    if done.codes:
        stderr.print("some objects are in the quarantine: see `tapetum quarantine`")
    return 3 if done.codes else 0


def _days(text: str) -> str:
    """Years and months of a range as the days that DICOM writes (PS3.4 C.2.2.2.5)."""
    first, dash, last = text.partition("-")
    if not dash and len(text) in (4, 6):
        first = last = text
        dash = "-"
    begin = first + {4: "0101", 6: "01"}.get(len(first), "")
    return begin + dash + last + {4: "1231", 6: "31"}.get(len(last), "")
