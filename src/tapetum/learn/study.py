"""The study file: one TOML file that states question, cohort, outcome, features, models and validation.

In: `study.toml`.  Out: a frozen `Study`, or `InvalidStudy` naming table and key.  Start reading at `Study`.
Every table is a dataclass here: its fields are the keys, its defaults the defaults, its ``__post_init__`` the limits.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tapetum.errors import InvalidStudy, NotFound

__all__ = [
    "AGGREGATES",
    "CANDIDATES",
    "CohortRule",
    "DataRule",
    "FeatureRule",
    "ModelRule",
    "OutcomeRule",
    "ReportingRule",
    "Study",
    "StudyFacts",
    "ValidationRule",
    "parse_study",
    "read_study",
]

CANDIDATES = ("logistic", "svm", "forest", "boosting", "ensemble")
"""Model families a study may try; ``ensemble`` is the mean probability of the others."""

AGGREGATES = ("mean", "median", "min", "max", "range", "std")
"""How the features of all series of a study or patient become one number (unit = "study" or "patient")."""

Table = TypeVar("Table")
RULE = re.compile(r"(sensitivity|specificity)\s*>=\s*(0?\.\d+|0|1(\.0*)?)")


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """``[study]``: what it is about, in words for the report, and the seed of everything random.

    ``patient_means`` says what a patient of the figures stands for where it is no person, such as "a skin lesion".
    """

    name: str
    question: str
    intended_use: str = ""
    data_sources: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    patient_means: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.name.strip() != "", "study", "name", "give the study a name")
        _require(0 <= self.seed < 2**32, "study", "seed", "choose a whole number from 0 to 4294967295")


@dataclass(frozen=True, slots=True)
class DataRule:
    """``[data]``: what is taken in before the study, relative to the study file, and the mapping that explains it."""

    paths: tuple[str, ...] = ()
    mapping: str = ""


@dataclass(frozen=True, slots=True)
class CohortRule:
    """``[cohort]``: which units come in.

    ``modality`` and ``where`` (attribute = value) filter the series; without either, a study of unit "patient" takes
    every patient who has observations. ``site`` names an observation that tells the site of people without images.
    ``copies`` says what happens when two patients have the same image or the same measurements: "refuse" the study, or
    "drop" the later one (all of them when their outcomes differ) and count it.
    """

    modality: str = ""
    unit: str = "series"
    aggregate: tuple[str, ...] = ("mean",)
    site: str = ""
    copies: str = "refuse"
    where: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _choice(self.copies, ("refuse", "drop"), "cohort", "copies")
        _choice(self.unit, ("series", "study", "patient"), "cohort", "unit")
        _require(len(self.aggregate) > 0, "cohort", "aggregate", "name at least one of " + ", ".join(AGGREGATES))
        for name in self.aggregate:
            _choice(name, AGGREGATES, "cohort", "aggregate")


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """``[outcome]``: which observation is predicted, and which of its values are an event.

    Exactly one of ``positive`` (words or numbers), ``at_least`` and ``at_most``. Other values are no event; when
    ``negative`` is given, only those are, and the rest (for example "ungradable") is dropped and counted.
    """

    name: str
    observation: str
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        given = [bool(self.positive), self.at_least is not None, self.at_most is not None]
        _require(sum(given) == 1, "outcome", "positive", "give exactly one of positive, at_least and at_most")
        _require(not self.negative or bool(self.positive), "outcome", "negative", "negative goes with positive")
        both = sorted(set(self.positive) & set(self.negative))
        _require(not both, "outcome", "negative", f"{both} cannot be positive and negative")


@dataclass(frozen=True, slots=True)
class FeatureRule:
    """``[features]``: what the models may look at.

    ``recipes`` take every observation whose method begins with "<recipe>/", ``observations`` further ones by name;
    ``exclude`` are name patterns (fnmatch), ``max_missing`` the largest share of units that may lack a feature.
    """

    recipes: tuple[str, ...] = ()
    observations: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_missing: float = 0.5

    def __post_init__(self) -> None:
        named = bool(self.recipes or self.observations)
        _require(named, "features", "recipes", "name at least one recipe or observation")
        _require(0 <= self.max_missing < 1, "features", "max_missing", "choose a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class ModelRule:
    """``[models]``: the families tried, and how many settings of each the inner search tries."""

    candidates: tuple[str, ...] = CANDIDATES
    budget: int = 12

    def __post_init__(self) -> None:
        for name in self.candidates:
            _choice(name, CANDIDATES, "models", "candidates")
        _require(len(set(self.candidates)) == len(self.candidates), "models", "candidates", "name each model once")
        alone = set(self.candidates) - {"ensemble"}
        enough = len(alone) >= (2 if "ensemble" in self.candidates else 1)
        _require(enough, "models", "candidates", "name a model, and two others beside an ensemble")
        _require(1 <= self.budget <= 1000, "models", "budget", "choose from 1 to 1000")


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """``[validation]``: nested cross-validation on the development set, then one look at the test set.

    ``test_sites`` replaces ``test_fraction`` when given. ``hold_out_sites`` makes every outer fold one site and takes
    whole sites into the test set; "auto" does so where the sites allow it (see `tapetum.learn.plan`) and says in the
    report what was done and why. ``threshold`` is "sensitivity >= x", "specificity >= x", "youden" or a probability.
    ``final_fit`` says on whom the packaged model is fitted after the test: "development" or "everyone".
    """

    outer_folds: int = 5
    repeats: int = 1
    inner_folds: int = 3
    test_fraction: float = 0.25
    test_sites: tuple[str, ...] = ()
    hold_out_sites: bool | str = "auto"
    bootstrap: int = 1000
    threshold: float | str = "sensitivity >= 0.90"
    final_fit: str = "development"

    def __post_init__(self) -> None:
        for key, low, high in (("outer_folds", 2, 50), ("repeats", 1, 50), ("inner_folds", 2, 20)):
            _require(low <= getattr(self, key) <= high, "validation", key, f"choose from {low} to {high}")
        _require(100 <= self.bootstrap <= 100_000, "validation", "bootstrap", "choose from 100 to 100000")
        _require(0 <= self.test_fraction < 0.9, "validation", "test_fraction", "choose a share from 0 to below 0.9")
        _choice(self.final_fit, ("development", "everyone"), "validation", "final_fit")
        if isinstance(self.hold_out_sites, str):
            _choice(self.hold_out_sites, ("auto",), "validation", "hold_out_sites")
        if isinstance(self.threshold, str):
            known = self.threshold == "youden" or RULE.fullmatch(self.threshold)
            hint = 'write "sensitivity >= 0.9", "specificity >= 0.9", "youden" or a probability'
            _require(bool(known), "validation", "threshold", hint)
        else:
            _require(0 < self.threshold < 1, "validation", "threshold", "choose a probability between 0 and 1")


@dataclass(frozen=True, slots=True)
class ReportingRule:
    """``[reporting]``: what only people know and a reader must be told, each in a sentence or two."""

    funding: str = ""
    ethics: str = ""
    protocol: str = ""
    registration: str = ""
    conflicts: str = ""
    data_availability: str = ""
    code_availability: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """One study file, checked. Each attribute is one of its tables."""

    study: StudyFacts
    outcome: OutcomeRule
    features: FeatureRule
    data: DataRule = field(default_factory=DataRule)
    cohort: CohortRule = field(default_factory=CohortRule)
    models: ModelRule = field(default_factory=ModelRule)
    validation: ValidationRule = field(default_factory=ValidationRule)
    reporting: ReportingRule = field(default_factory=ReportingRule)

    def __post_init__(self) -> None:
        if self.outcome.observation in self.features.observations:
            raise InvalidStudy(
                f"[features] observations names the outcome {self.outcome.observation!r}",
                hint="a model that sees the outcome predicts nothing; take it out",
            )

    def to_json(self) -> dict[str, Any]:
        """The study as plain dicts and lists, every default written out."""
        tree: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return tree


def read_study(path: Path | str) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path : a TOML file as described in the classes of this module.

    Raises
    ------
    NotFound : no such file.
    InvalidStudy : unreadable (a folder, for one), not TOML, an unknown table or key, a wrong type, an impossible value;
        names table and key.
    """
    try:
        tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound("there is no such study file", hint="check the path", file=Path(path).name) from error
    except OSError as error:
        hint = "it must be a TOML file that you may read"
        raise InvalidStudy(f"the study file cannot be read: {error.strerror}", hint=hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidStudy(f"not a TOML file: {error}", hint="correct the line that is named") from error
    return parse_study(tree)


def parse_study(tree: Mapping[str, Any]) -> Study:
    """The same from tables that are already parsed, for example `Study.to_json`.

    Raises
    ------
    InvalidStudy : as `read_study`.

    >>> parse_study({"study": {"name": "A", "question": "?"}, "outcom": {}})
    Traceback (most recent call last):
    tapetum.errors.InvalidStudy: unknown table [outcom] - did you mean [outcome]?
    """
    tables = {item.name: item for item in fields(Study)}
    hints = get_type_hints(Study)
    for name in tree:
        if name not in tables:
            raise InvalidStudy(f"unknown table [{name}]", hint=_meant(name, list(tables), "[{}]"))
    parts: dict[str, Any] = {}
    for name, item in tables.items():
        if name not in tree and item.default_factory is MISSING:
            raise InvalidStudy(f"the table [{name}] is missing", hint="add it to the study file")
        parts[name] = _table(hints[name], tree.get(name, {}), name)
    return Study(**parts)


def _table(kind: type[Table], tree: Any, table: str) -> Table:
    if not isinstance(tree, Mapping):
        raise InvalidStudy(f"[{table}] is not a table", hint=f"write [{table}] on a line of its own")
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    hints = get_type_hints(kind)
    for key in tree:
        if key not in known:
            raise InvalidStudy(f"unknown key {key!r} in [{table}]", hint=_meant(key, list(known), "{}"))
    for key, item in known.items():
        if key not in tree and item.default is MISSING and item.default_factory is MISSING:
            raise InvalidStudy(f"[{table}] lacks {key!r}", hint="add it to the study file")
    values = {key: _value(value, hints[key], table, key) for key, value in tree.items()}
    return kind(**{key: value for key, value in values.items() if value is not None})


def _value(value: Any, kind: Any, table: str, key: str) -> Any:
    """The TOML value as the field wants it. Numbers in lists of words become words: positive = [2, 3]."""
    if get_origin(kind) in (Union, types.UnionType):
        choices = [choice for choice in get_args(kind) if _fits(value, choice)]
        kind = choices[0] if choices else kind
    if not _fits(value, kind):
        raise InvalidStudy(
            f"[{table}] {key} has the wrong type ({type(value).__name__})", hint=f"write {_in_words(kind)}"
        )
    if kind is float:
        return float(value)
    if get_origin(kind) is tuple:
        return tuple(_word(item) for item in value)
    return {str(k): _word(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _fits(value: Any, kind: Any) -> bool:
    if kind is type(None):
        return value is None
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    if get_origin(kind) is tuple:
        return isinstance(value, (list, tuple)) and all(_is_word(item) for item in value)
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        return isinstance(value, Mapping) and all(_is_word(item) for item in value.values())
    return isinstance(kind, type) and isinstance(value, kind)


def _is_word(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _word(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _in_words(kind: Any) -> str:
    plain = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}
    if kind in plain:
        return plain[kind]
    if get_origin(kind) is tuple:
        return 'a list such as ["a", "b"]'
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_in_words(choice) for choice in get_args(kind) if choice is not type(None))
    return "a table of texts"


def _meant(word: str, known: list[str], form: str) -> str:
    close = difflib.get_close_matches(word, known, 1, 0.6)
    return f"did you mean {form.format(close[0])}?" if close else "known are " + ", ".join(known)


def _require(holds: bool, table: str, key: str, hint: str) -> None:
    if not holds:
        raise InvalidStudy(f"[{table}] {key} is impossible", hint=hint)


def _choice(value: str, known: tuple[str, ...], table: str, key: str) -> None:
    if value not in known:
        raise InvalidStudy(f"[{table}] {key} = {value!r} is not known", hint=_meant(value, list(known), '"{}"'))
