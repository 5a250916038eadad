"""The tables of a report: counts at the threshold, predictions with their bars, quality, intake.

Start reading at `confusion`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tapetum.errors import REJECTIONS
from tapetum.learn.characteristics import AGE, SEX
from tapetum.learn.result import Performance, Prediction, StudyResult, Summary
from tapetum.report.plates import main_part, parts
from tapetum.report.wording import NOTHING, count, fraction, percent, plain, quantity

__all__ = [
    "CharacteristicRow",
    "Confusion",
    "IntakeRow",
    "PredictionRow",
    "characteristic_rows",
    "characteristics_table",
    "confusion",
    "intake_rows",
    "prediction_rows",
    "quality_rows",
]

BAR = 120  # CSS pixels from probability 0 to 1
FIRST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Confusion:
    """Units by outcome and by the side of the threshold on which their probability lies; at it counts as above."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One line of the table of predictions, in words, and where its bar begins and ends (CSS pixels)."""

    patient: str
    unit: str
    site: str
    part: str
    probability: str
    interval: str
    outcome: str
    verdict: str
    event: bool
    bar: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class IntakeRow:
    """How many files ended in one way, and what to do about those that were refused."""

    code: str
    files: int
    hint: str


def confusion(result: StudyResult) -> Confusion | None:
    """Counts of the main part at its threshold.

    None when the predictions of that part are not the units of its performance, or do not give its sensitivity and
    specificity: a table that contradicts the figures beside it would be worse than none.
    """
    people = parts(result)
    if not people:
        return None
    performance = people[0].performance
    rows = [row for row in result.predictions if row.part == main_part(result) and math.isfinite(row.probability)]
    cells = Counter((bool(row.outcome), row.probability >= performance.threshold) for row in rows)
    table = Confusion(cells[True, True], cells[False, True], cells[True, False], cells[False, False])
    return table if len(rows) == performance.n and _agrees(table, performance) else None


def prediction_rows(result: StudyResult, *, most: int) -> list[PredictionRow]:
    """At most ``most`` predictions, the test set first, highest probability first; those that abstained last."""
    people = parts(result)
    threshold = people[0].performance.threshold if people else math.nan
    short = shortest_unique([row.patient_key for row in result.predictions])
    short |= shortest_unique([row.unit for row in result.predictions if row.unit != row.patient_key])
    ranked = sorted(
        result.predictions,
        key=lambda row: (row.part != "test", -row.probability if math.isfinite(row.probability) else math.inf),
    )
    return [_prediction(row, threshold, short) for row in ranked[:most]]


def shortest_unique(keys: Sequence[str], *, least: int = 8) -> dict[str, str]:
    """Each key cut to the shortest length at which all of them still differ.

    >>> shortest_unique(["a" * 20, "a" * 9 + "b" * 11])
    {'aaaaaaaaaaaaaaaaaaaa': 'aaaaaaaaaa', 'aaaaaaaaabbbbbbbbbbb': 'aaaaaaaaab'}
    """
    different = set(keys)
    longest = max((len(key) for key in different), default=least)
    length = next(
        (size for size in range(least, longest) if len({key[:size] for key in different}) == len(different)), longest
    )
    return {key: key[:length] for key in keys}


def quality_rows(quality: pl.DataFrame) -> list[tuple[str, str, str, str, str]]:
    """Name, median, 5th to 95th percentile, range and missing values of each column of numbers; counts of words.

    A column of words that differs in every row is a name of that row and is left out.
    """
    rows = []
    for name in quality.columns:
        column = quality[name]
        present = column.drop_nulls()
        if column.dtype.is_numeric():
            present = present.cast(pl.Float64)
            present = present.filter(present.is_finite())
            missing = count(quality.height - len(present))
            if present.is_empty():
                rows.append((name, "none", "", "", missing))
                continue
            at = [present.quantile(q, "linear") for q in (0.5, 0.05, 0.95, 0, 1)]
            middle, low, high, least, most = (quantity(value) for value in at if value is not None)
            rows.append((name, middle, f"{low} to {high}", f"{least} to {most}", missing))
        elif present.len() and (present.n_unique() < quality.height or quality.height == 1):
            words = Counter(str(value) for value in present).most_common()
            said = ", ".join(f"{word} {count(n)}" for word, n in words[:FIRST_WORDS])
            more = f" and {len(words) - FIRST_WORDS} more" if len(words) > FIRST_WORDS else ""
            rows.append((name, "", said + more, "", count(quality.height - len(present))))
    return rows


@dataclass(frozen=True, slots=True)
class CharacteristicRow:
    """One characteristic in words: of each set, and how far the sets are apart."""

    name: str
    development: str
    test: str
    difference: str


def characteristic_rows(result: StudyResult, *, most: int) -> list[CharacteristicRow]:
    """Age and sex first, then the features by importance; at most ``most``."""
    rank = {item.name: place for place, item in enumerate(sorted(result.importance, key=lambda i: -i.loss.value))}
    people = {*AGE, *SEX}
    ranked = sorted(result.characteristics, key=lambda row: (row.name not in people, rank.get(row.name, len(rank))))
    return [
        CharacteristicRow(
            row.name,
            _summary(row.development),
            _summary(row.test) if row.test else "",
            plain(row.difference) if math.isfinite(row.difference) else "",
        )
        for row in ranked[:most]
    ]


def characteristics_table(result: StudyResult) -> pl.DataFrame:
    """Every characteristic of both sets as numbers: one row a set, and for words one row a word."""
    columns = {"characteristic": pl.String, "set": pl.String, "n": pl.Int64, "missing": pl.Int64, "median": pl.Float64}
    columns |= {"first_quartile": pl.Float64, "third_quartile": pl.Float64, "word": pl.String, "count": pl.Int64}
    rows: list[tuple[object, ...]] = []
    for item in result.characteristics:
        for name, summary in (("development", item.development), ("test", item.test)):
            if summary is not None:
                told = (item.name, name, summary.n, summary.missing, summary.median, summary.low, summary.high)
                rows += [(*told, word, times) for word, times in summary.counts.items()] or [(*told, None, None)]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _summary(summary: Summary) -> str:
    missing = f"; {count(summary.missing)} missing" if summary.missing else ""
    if summary.counts:
        known = summary.n - summary.missing
        return ", ".join(f"{word} {count(n)} ({percent(n / known)})" for word, n in summary.counts.items()) + missing
    if not math.isfinite(summary.median):
        return "none known"
    return f"{quantity(summary.median)} ({quantity(summary.low)} to {quantity(summary.high)})" + missing


def intake_rows(intake: Mapping[str, int]) -> list[IntakeRow]:
    """Stored, duplicate, then the codes of the quarantine from the most frequent on, each with its hint."""
    first = {"stored": "kept, de-identified", "duplicate": "the same bytes had arrived before; nothing was added"}
    rows = [IntakeRow(name, intake[name], hint) for name, hint in first.items() if name in intake]
    refused = sorted(((code, n) for code, n in intake.items() if code not in first), key=lambda item: -item[1])
    return rows + [IntakeRow(code, files, REJECTIONS.get(code, "")) for code, files in refused]


def _agrees(table: Confusion, performance: Performance) -> bool:
    pairs = (
        ("sensitivity", table.true_positive, table.true_positive + table.false_negative),
        ("specificity", table.true_negative, table.true_negative + table.false_positive),
    )
    return all(
        abs(performance.metrics[name].value - part / whole) < 0.005
        for name, part, whole in pairs
        if whole and name in performance.metrics
    )


def _prediction(row: Prediction, threshold: float, short: Mapping[str, str]) -> PredictionRow:
    told = math.isfinite(row.probability)
    banded = told and math.isfinite(row.low) and math.isfinite(row.high)
    right = (row.probability >= threshold) == bool(row.outcome)
    return PredictionRow(
        patient=short[row.patient_key],
        unit="" if row.unit == row.patient_key else short[row.unit],
        site=row.site,
        part={"cv": "cross-validation", "test": "test"}.get(row.part, row.part),
        probability=fraction(row.probability) if told else NOTHING,
        interval=f"{fraction(row.low)} to {fraction(row.high)}" if banded else "none",
        outcome="yes" if row.outcome else "no",
        verdict="abstained" if not told else ("agrees" if right else "differs") if math.isfinite(threshold) else "",
        event=bool(row.outcome),
        bar=(BAR * row.low, BAR * row.probability, BAR * row.high) if banded else None,
    )
