"""One page in front of several reports: what came in, and what was found. Start reading at `render_index`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tapetum.learn.result import StudyResult
from tapetum.report.card import headline, table
from tapetum.report.montage import MontageTile
from tapetum.report.page import ENVIRONMENT
from tapetum.report.plates import Plate, parts, plates
from tapetum.report.tables import intake_rows

__all__ = ["IndexEntry", "render_index"]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One report: ``href`` relative to the index page, ``about`` says what the data are and where they come from."""

    result: StudyResult
    href: str
    about: str = ""


def render_index(
    reports: Sequence[IndexEntry],
    *,
    intake: Mapping[str, int] | None = None,
    montage: Mapping[str, Sequence[MontageTile]] | None = None,
    title: str = "What was learned from these images",
    about: str = "",
) -> str:
    """Draw one page that links the reports and says what came in.

    Parameters
    ----------
    reports : in the order of the page.
    intake : files by how they ended: ``stored``, ``duplicate``, and each rejection code.
    montage : images that came in, by modality.
    title, about : heading and a first paragraph.

    Returns
    -------
    A whole HTML document like that of `render`.
    """
    entries = [
        {
            "name": str(table(entry.result.study, "study").get("name") or "Study"),
            "question": str(table(entry.result.study, "study").get("question") or ""),
            "headline": headline(entry.result),
            "href": entry.href,
            "about": entry.about,
            "patient_means": str(table(entry.result.study, "study").get("patient_means") or ""),
            "main": next(iter(parts(entry.result)), None),
            "roc": _curve(entry.result, place),
        }
        for place, entry in enumerate(reports)
    ]
    return ENVIRONMENT.get_template("index.html").render(
        title=title, about=about, entries=entries, intake=intake_rows(intake or {}), montage=montage or {}
    )


def _curve(result: StudyResult, place: int) -> Plate | None:
    """The study's ROC curve under a name that no other study of the page has."""
    drawn = plates(result, names=("roc",)).get("roc")
    return replace(drawn, name=f"study-{place}") if drawn else None
