"""The TRIPOD+AI items (Collins et al. 2024, BMJ 385:e078378) and where a report answers them.

The short names are ours; the checklist itself has the full wording. An item is answered by a section of the page, with
what the study file says to it, or it is *not reported*.
Start reading at `answers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tapetum.report.card import table

__all__ = ["ITEMS", "Answer", "answers"]

Extent = Literal["full", "part", ""]


@dataclass(frozen=True, slots=True)
class Item:
    """One item: ``section`` of the page that can answer it and to what extent; empty when only people can.

    ``said`` is the table and key of the study file whose words stand beside the answer.
    """

    number: str
    name: str
    section: str = ""
    extent: Extent = ""
    said: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the report says to an item: ``status`` in words, the ``section`` to look at, the study file's ``text``."""

    item: Item
    status: str
    section: str = ""
    text: str = ""


ITEMS = (
    Item("1", "Title", "summary", "part"),
    Item("2", "Abstract", "summary", "part"),
    Item("3a", "Medical setting and reason for the model"),
    Item("3b", "Intended population, purpose and users", "use", "part", ("study", "intended_use")),
    Item("3c", "Known inequalities between groups"),
    Item("4", "Aim", "question", "full", ("study", "question")),
    Item("5a", "Where the data come from", "sources", "part", ("study", "data_sources")),
    Item("5b", "Dates of data collection and follow-up"),
    Item("6a", "Setting, number and place of centres", "sites", "part"),
    Item("6b", "Who was eligible", "cohort", "part"),
    Item("6c", "Treatments received"),
    Item("7", "Preparation and quality of the data", "quality", "part"),
    Item("8a", "Outcome, its time and how it was assessed", "outcome", "part", ("outcome", "name")),
    Item("8b", "Who assessed the outcome"),
    Item("8c", "Blinding of the outcome"),
    Item("9a", "How predictors were chosen", "study-file", "part", ("features", "recipes")),
    Item("9b", "Definition of the predictors", "features", "part"),
    Item("9c", "Who assessed the predictors"),
    Item("10", "Sample size and its reason", "cohort", "part"),
    Item("11", "Missing data", "cohort", "part"),
    Item("12a", "How the data were divided and used", "guards", "part"),
    Item("12b", "How predictors entered the analysis", "study-file", "part"),
    Item("12c", "Kind of model, building, tuning, internal validation", "candidates", "part"),
    Item("12d", "Differences between centres", "sites", "full"),
    Item("12e", "Measures of performance", "performance", "full"),
    Item("12f", "Updating of the model"),
    Item("12g", "How predictions were made for the evaluation", "predictions", "part"),
    Item("13", "Imbalance of the classes"),
    Item("14", "Fairness"),
    Item("15", "Output of the model and its threshold", "threshold", "full"),
    Item("16", "Differences between development and evaluation data", "performance", "part"),
    Item("17", "Ethical approval and consent"),
    Item("18a", "Funding"),
    Item("18b", "Interests of the authors"),
    Item("18c", "Protocol"),
    Item("18d", "Registration"),
    Item("18e", "Access to the data", "lineage", "part"),
    Item("18f", "Access to the code", "lineage", "part"),
    Item("19", "Involvement of patients and public"),
    Item("20a", "Flow of participants", "cohort", "full"),
    Item("20b", "Characteristics of participants"),
    Item("20c", "Predictors in development and evaluation data"),
    Item("21", "Numbers of people and events in each analysis", "performance", "full"),
    Item("22", "The model itself, so that others can use it", "lineage", "part"),
    Item("23a", "Performance with intervals", "performance", "full"),
    Item("23b", "Performance in each centre", "sites", "full"),
    Item("24", "Results of updating"),
    Item("25", "Interpretation"),
    Item("26", "Limitations", "card", "part", ("study", "limitations")),
    Item("27a", "Poor or missing input at the time of use", "card", "part"),
    Item("27b", "Human interaction and expertise needed", "card", "part"),
    Item("27c", "Next steps"),
)
"""The 52 items and sub-items of the checklist of 2024."""

ANCHORS = {"use": "card", "sources": "card", "question": "summary", "outcome": "study-file", "quality": "images"}


def answers(study: Mapping[str, Any], *, sections: Collection[str]) -> list[Answer]:
    """One answer an item.

    ``sections`` names what the page really holds; an item whose section is not among them counts as not reported.
    """
    found = []
    for item in ITEMS:
        value = table(study, item.said[0]).get(item.said[1]) or ""
        text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        here = item.section if item.section in sections else ""
        status = {"full": "here", "part": "in part"}.get(item.extent, "") if here else ""
        found.append(Answer(item, status or "not reported", ANCHORS.get(here, here), text if here else ""))
    return found
