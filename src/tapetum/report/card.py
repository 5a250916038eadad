"""The model card: what the model is for, what it was made from, how good it is, and where it ends.

The study file's table ``[study]`` says what only people know (``intended_use``, ``data_sources``, ``limitations``);
the rest follows from the result.  Start reading at `card`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapetum.learn.result import Performance, StudyResult
from tapetum.report.plates import chosen_performance, parts
from tapetum.report.wording import count, hospitals, metric, performance_sentence, plain

__all__ = ["DECLARATIONS", "card", "design", "headline", "limitations", "table", "updating"]

FEW = 100
"""Events, and units without, below which a validation is uncertain (Collins, Ogundimu and Altman 2016)."""

FEW_SITES = 5
"""Sites below which nothing can be said about how much sites differ."""

SILENT = "The study file does not say."


def card(result: StudyResult) -> list[tuple[str, list[str]]]:
    """Heading and sentences of each entry of the model card, in the order of reading."""
    told = table(result.study, "study")
    people = parts(result)
    scores = [
        f"{part.label}: "
        + ", ".join(f"{label} {metric(part.performance, name)}" for name, label in SCORES.items())
        + "."
        for part in people
    ]
    said = table(result.study, "reporting")
    declared = [f"{label}: {said[key]}" for key, label in DECLARATIONS.items() if said.get(key)]
    return [
        ("Intended use", _told(told, "intended_use") or [SILENT]),
        ("Data", _told(told, "data_sources") + _data(result)),
        ("Performance", scores or ["No performance was estimated."]),
        ("Limitations", _told(told, "limitations") + limitations(result)),
        ("Out of scope", [OUT_OF_SCOPE]),
        ("Updating", [updating(result)]),
        *([("Declarations", declared)] if declared else []),
    ]


DECLARATIONS = {
    "funding": "Funding",
    "ethics": "Ethics",
    "protocol": "Protocol",
    "registration": "Registration",
    "conflicts": "Interests of the authors",
    "data_availability": "Access to the data",
    "code_availability": "Access to the code",
}
"""Keys of the study file's table ``[reporting]`` and what they are called."""

SCORES = {"roc_auc": "ROC-AUC", "sensitivity": "sensitivity", "specificity": "specificity"}

OUT_OF_SCOPE = (
    "Decisions about patients without a clinician; images of another modality or of a kind that the development set "
    "did not hold, for which the model abstains."
)


def design(result: StudyResult) -> str:
    """Which kind of study this is, in the words of TRIPOD+AI."""
    if result.test is None:
        return "Development of a prediction model, with internal validation only"
    how = f"a test set of {hospitals(result.unseen_sites)}" if result.unseen_sites else "a test set of other patients"
    return f"Development and evaluation of a prediction model, on {how}"


def updating(result: StudyResult) -> str:
    """Whether the model was changed after it had been evaluated."""
    if table(result.study, "validation").get("final_fit") == "everyone":
        return "After the test the packaged model was fitted again on everyone; the figures are of before."
    return "None: the packaged model is the one that was evaluated."


def limitations(result: StudyResult) -> list[str]:
    """What the numbers themselves say against the model, one sentence each."""
    found = []
    if result.test is None:
        found.append("There is no test set: every figure comes from cross-validation on the development set.")
    people = parts(result)
    if not people:
        return [*found, "No performance was estimated for the chosen model."]
    main = people[0].performance
    fewest = min(main.events, main.n - main.events)
    if fewest < FEW:
        found.append(
            f"The figures rest on {count(main.events)} units with the outcome and {count(main.n - main.events)} "
            f"without; fewer than {FEW} of either make them uncertain."
        )
    return found + _site_limits(result) + _calibration_limits(main)


def table(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of the study file, empty when it is absent or something else."""
    found = tree.get(name)
    return found if isinstance(found, Mapping) else {}


def _site_limits(result: StudyResult) -> list[str]:
    developed, tested = result.sites_of("cv"), result.sites_of("test")
    sites = sorted({*developed, *tested})
    if len(sites) < 2:
        return ["The data come from one site, or no site is named: how it does elsewhere is not known."]
    found = []
    apart = table(result.study, "validation").get("hold_out_sites") is True
    if not apart and not result.unseen_sites:
        found.append(
            f"The {len(sites)} sites were not held out: every figure is of sites that the model was made at, "
            "so how it does at another one is not known."
        )
    if result.unseen_sites and len(tested) < FEW_SITES:
        found.append(
            f"The test set is of {hospitals(tested)} only: how much hospitals differ cannot be told from so few, "
            "and the next one may lie outside the intervals."
        )
    if apart and len(developed) <= FEW_SITES:
        left = len(developed) - 1
        found.append(
            f"The development set has {len(developed)} sites: in cross-validation each model was made at "
            f"{'one' if left == 1 else left} and tried at another, so the cross-validated figures are of models that "
            "had seen fewer sites than the final one."
        )
    return found


def _calibration_limits(performance: Performance) -> list[str]:
    slope = performance.metrics.get("calibration_slope")
    if slope is None or not (slope.high < 1 or slope.low > 1):
        return []
    way = "too extreme" if slope.high < 1 else "too cautious"
    return [f"Its probabilities are {way} (calibration slope {plain(slope.value)}, and the interval leaves out 1)."]


def _data(result: StudyResult) -> list[str]:
    sentences = []
    development = chosen_performance(result)
    for label, part, performance in (("Development", "cv", development), ("Test", "test", result.test)):
        if performance is not None:
            sites = result.sites_of(part)
            sentences.append(
                f"{label}: {count(performance.n)} units of {count(performance.patients)} patients, "
                f"{count(performance.events)} with the outcome"
                + (f"; {'site' if len(sites) == 1 else 'sites'} {', '.join(sites)}." if sites else ".")
            )
    return sentences or ["The result does not say."]


def _told(told: Mapping[str, Any], key: str) -> list[str]:
    value = told.get(key) or []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def headline(result: StudyResult) -> str:
    """The main result in one sentence."""
    people = parts(result)
    if not people:
        return "No performance was estimated for the chosen model."
    tested = result.test is not None
    return performance_sentence(people[0].performance, unseen=tested, sites=result.unseen_sites if tested else ())
