"""A model as a folder: plain arrays, its card, and a digest over both.

    card.json       who it is for, what it was trained on, how good it was, what it needs  (`ModelCard`)
    model.skops     the estimators as arrays; no pickle, only the types of `TRUSTED`
    manifest.json   sha256 of the two files above; the package's digest is the sha256 of this file

In: a `FittedModel` and its `StudyResult`.  Out: a folder, and `Package` from it.  Start reading at `save` and `load`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import skops.io

from tapetum.errors import NotFound, UntrustedModel
from tapetum.learn import FeatureColumn, FittedModel, Study, StudyResult, parse_study
from tapetum.learn.calibrate import Recalibration
from tapetum.learn.envelope import Envelope

__all__ = ["NOTICE", "TRUSTED", "ModelCard", "Package", "load", "save"]

NOTICE = "For research. Not a certified medical device; a physician decides."

TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "tapetum.learn.estimators.KnownColumns",
    "tapetum.learn.estimators.Screen",
    "tapetum.learn.estimators.TameTails",
    "tapetum.learn.trees.Trees",
)
"""Types a package may hold beside those that skops trusts by itself. Anything else is refused before it is built."""

FILES = ("card.json", "model.skops")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What one must know before using a model.

    ``features`` are the columns in the order the model wants them, each with its recipe, code and unit; ``population``
    says who it learnt from (patients, units, events, sites, modalities); ``performance`` has the metrics with their
    intervals as [value, low, high], on the test set when there was one; ``lineage`` leads back to the data.
    """

    name: str
    question: str
    intended_use: str
    outcome: str
    family: str
    features: tuple[Mapping[str, str], ...]
    modalities: tuple[str, ...]
    population: Mapping[str, Any]
    performance: Mapping[str, Any]
    threshold: float
    threshold_rule: str
    data_sources: tuple[str, ...]
    limitations: tuple[str, ...]
    lineage: Mapping[str, Any]
    study: Mapping[str, Any]
    settings: Mapping[str, Any]
    recalibration: tuple[float, float]
    format: int = 1
    notice: str = field(default=NOTICE)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> ModelCard:
        """The inverse of ``dataclasses.asdict`` after JSON."""
        words = ("features", "modalities", "data_sources", "limitations", "recalibration")
        return cls(**{**tree, **{name: tuple(tree[name]) for name in words}})


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A model that was loaded and whose files are those that were saved; ``digest`` names it everywhere."""

    card: ModelCard
    model: FittedModel
    digest: str

    @property
    def study(self) -> Study:
        """The study that the model answers."""
        return self.model.study


def save(model: FittedModel, result: StudyResult, folder: Path | str) -> Path:
    """Write the package into a folder, which is made when it is not there; files of an older package are replaced.

    Returns
    -------
    The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    envelope = {item.name: getattr(model.envelope, item.name) for item in dataclasses.fields(Envelope)}
    arrays = {"members": list(model.members), "bags": [list(bag) for bag in model.bags], "envelope": envelope}
    content = {
        "card.json": json.dumps(asdict(_card(model, result)), indent=1, ensure_ascii=False).encode(),
        "model.skops": skops.io.dumps(arrays, compression=zipfile.ZIP_DEFLATED, compresslevel=6),
    }
    manifest = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    for name, data in content.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    return folder


def load(folder: Path | str, *, digest: str = "") -> Package:
    """Open a package after comparing every file with the manifest.

    Parameters
    ----------
    digest : the digest that the package must have (from a report or a registry); empty accepts any whole package.

    Raises
    ------
    NotFound : a file of the package is missing.
    UntrustedModel : a file was changed, the digest is another one, or the file holds a type that is not trusted.
    """
    folder = Path(folder)
    content = {name: _read(folder / name) for name in (*FILES, "manifest.json")}
    found = hashlib.sha256(content["manifest.json"]).hexdigest()
    if digest and digest != found:
        raise UntrustedModel("this is another model than the one asked for", hint="look up its digest", digest=found)
    try:
        manifest = json.loads(content["manifest.json"])
    except ValueError:
        manifest = None
    wanted = {name: hashlib.sha256(content[name]).hexdigest() for name in FILES}
    if manifest != wanted:
        raise UntrustedModel("a file of the package was changed", hint="get the package again from its source")
    card = ModelCard.from_json(json.loads(content["card.json"]))
    return Package(card, _model(card, _arrays(content["model.skops"])), found)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound("the folder holds no whole model package", hint="check the path", file=path.name) from error


def _arrays(data: bytes) -> Any:
    foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    if foreign:
        raise UntrustedModel("the package holds a type that is no part of a model", hint="do not use it", type=foreign)
    return skops.io.loads(data, trusted=list(TRUSTED))


def _model(card: ModelCard, arrays: Mapping[str, Any]) -> FittedModel:
    return FittedModel(
        study=parse_study(_without_nulls(card.study)),
        family=card.family,
        settings=card.settings,
        columns=tuple(FeatureColumn(**column) for column in card.features),
        modalities=card.modalities,
        members=tuple(arrays["members"]),
        bags=tuple(tuple(bag) for bag in arrays["bags"]),
        recalibration=Recalibration(*card.recalibration),
        threshold=card.threshold,
        envelope=Envelope(**arrays["envelope"]),
    )


def _without_nulls(study: Mapping[str, Any]) -> dict[str, Any]:
    return {table: {key: v for key, v in keys.items() if v is not None} for table, keys in study.items()}


def _card(model: FittedModel, result: StudyResult) -> ModelCard:
    study = model.study
    measured = result.measured
    trained = [step for step in result.flow if step.label in ("Development set", "Test set")]
    if study.validation.final_fit == "development":
        trained = [step for step in trained if step.label == "Development set"]
    return ModelCard(
        name=study.study.name,
        question=study.study.question,
        intended_use=study.study.intended_use,
        outcome=study.outcome.name,
        family=model.family,
        features=tuple(asdict(column) for column in model.columns),
        modalities=model.modalities,
        population={
            "patients": sum(step.patients for step in trained),
            "units": sum(step.units for step in trained),
            "events": sum(step.events or 0 for step in trained),
            "unit": study.cohort.unit,
            "sites": result.lineage["sites"],
        },
        performance={
            "on": "test set" if result.test else "cross-validation",
            "patients": measured.patients,
            "events": measured.events,
            **{name: [e.value, e.low, e.high] for name, e in measured.metrics.items()},
        },
        threshold=model.threshold,
        threshold_rule=result.threshold_rule,
        data_sources=study.study.data_sources,
        limitations=study.study.limitations,
        lineage=result.lineage,
        study=study.to_json(),
        settings=dict(model.settings),
        recalibration=(model.recalibration.intercept, model.recalibration.slope),
    )
