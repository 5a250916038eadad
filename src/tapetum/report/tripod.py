"""The TRIPOD+AI items (Collins et al. 2024, BMJ 385:e078378) and where a report answers them.

The short names are ours; the checklist itself has the full wording. An item is answered by a section of the page, with
what the study file says to it, or it is *not reported*.
Start reading at `answers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tapetum.learn.result import StudyResult
from tapetum.report.card import DECLARATIONS, design, table, updating

__all__ = ["ITEMS", "Answer", "answers", "stated"]

Extent = Literal["full", "part", ""]


@dataclass(frozen=True, slots=True)
class Item:
    """One item: ``section`` of the page that can answer it and to what extent; empty when only people can.

    ``said`` is the table and key of the study file whose words stand beside the answer; with the section ``full_with``
    an answer in part is a full one.
    """

    number: str
    name: str
    section: str = ""
    extent: Extent = ""
    said: tuple[str, str] = ("", "")
    full_with: str = ""


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
    Item("4", "Aim", "question", "part", ("study", "question")),
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
    Item("12d", "Differences between centres", "sites", "part"),
    Item("12e", "Measures of performance", "performance", "part"),
    Item("12f", "Updating of the model", "card", "full"),
    Item("12g", "How predictions were made for the evaluation", "predictions", "part"),
    Item("13", "Imbalance of the classes", "candidates", "full"),
    Item("14", "Fairness"),
    Item("15", "Output of the model and its threshold", "threshold", "part"),
    Item("16", "Differences between development and evaluation data", "comparison", "part"),
    Item("17", "Ethical approval and consent", "ethics", "full", ("reporting", "ethics")),
    Item("18a", "Funding", "funding", "full", ("reporting", "funding")),
    Item("18b", "Interests of the authors", "conflicts", "full", ("reporting", "conflicts")),
    Item("18c", "Protocol", "protocol", "full", ("reporting", "protocol")),
    Item("18d", "Registration", "registration", "full", ("reporting", "registration")),
    Item("18e", "Access to the data", "data_availability", "full", ("reporting", "data_availability")),
    Item("18f", "Access to the code", "lineage", "part", ("reporting", "code_availability"), "code_availability"),
    Item("19", "Involvement of patients and public"),
    Item("20a", "Flow of participants", "cohort", "full"),
    Item("20b", "Characteristics of participants", "characteristics", "part"),
    Item("20c", "Predictors in development and evaluation data", "comparison", "part"),
    Item("21", "Numbers of people and events in each analysis", "performance", "full"),
    Item("22", "The model itself, so that others can use it", "model", "full"),
    Item("23a", "Performance with intervals", "performance", "part"),
    Item("23b", "Performance in each centre", "sites", "part", full_with="test-sites"),
    Item("24", "Results of updating", "card", "full"),
    Item("25", "Interpretation"),
    Item("26", "Limitations", "card", "part", ("study", "limitations")),
    Item("27a", "Poor or missing input at the time of use", "card", "part"),
    Item("27b", "Human interaction and expertise needed", "card", "part"),
    Item("27c", "Next steps"),
)
"""The 52 items and sub-items of the checklist of 2024."""

ANCHORS = {
    "use": "card",
    "sources": "card",
    "question": "summary",
    "outcome": "study-file",
    "quality": "images",
    "characteristics": "cohort",
    "comparison": "cohort",
    "model": "lineage",
} | dict.fromkeys(DECLARATIONS, "card")


def stated(result: StudyResult, *, model: str) -> dict[str, str]:
    """By item: what the result itself says to it, in a sentence. ``model`` is the digest of the packaged model."""
    told = {"4": f"{design(result)}.", "12f": updating(result)}
    if result.candidates:
        told["13"] = "Classes were neither weighted nor resampled; probabilities were recalibrated where that helped."
    if updating(result).startswith("None"):
        told["24"] = "There was none."
    if model:
        told["22"] = f"Folder model/ beside this page, digest {model[:12]}."
    return told


def answers(
    study: Mapping[str, Any], *, sections: Collection[str], stated: Mapping[str, str] | None = None
) -> list[Answer]:
    """One answer an item.

    ``sections`` names what the page really holds; an item whose section is not among them counts as not reported, and
    so do the items in `NEED_WORDS` about which nothing is ``stated``.
    """
    stated = stated or {}
    declared = {key for key, value in table(study, "reporting").items() if value}
    there = {*sections, *declared}
    found = []
    for item in ITEMS:
        value = table(study, item.said[0]).get(item.said[1]) or ""
        own = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        text = " ".join(words for words in (stated.get(item.number, ""), own) if words)
        here = item.section if item.section in there else ""
        if item.number in NEED_WORDS and item.number not in stated:
            here = ""
        full = item.extent == "full" or item.full_with in there
        status = ("here" if full else "in part") if here else "not reported"
        found.append(Answer(item, status, ANCHORS.get(here, here), text if here else ""))
    return found


NEED_WORDS = ("12f", "13", "24")
"""Items whose section is always there, and that a sentence in it answers."""
