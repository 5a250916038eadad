"""The risk of one new person, or the reason why there is none.

In: a `Package`, and the series and observations of one unit or its features.  Out: `Risk`.  Start at `predict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tapetum.learn import feature_table
from tapetum.learn.envelope import farthest
from tapetum.predict.package import NOTICE, Package

__all__ = ["Abstention", "Risk", "judge", "predict"]


@dataclass(frozen=True, slots=True)
class Abstention:
    """Why a model says nothing: other-modality, features-missing or out-of-range, and the facts."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Risk:
    """The probability of the outcome with its 95 % interval, or, when ``abstentions`` is not empty, none.

    ``positive`` is whether the probability reaches the model's ``threshold``. ``unusual`` names what is farthest from
    the training data, in robust standard deviations on an asinh scale. ``rests_on`` names model and data by digest.
    A risk always awaits a physician's signature.
    """

    outcome: str
    probability: float | None
    low: float | None
    high: float | None
    threshold: float
    positive: bool | None
    abstentions: tuple[Abstention, ...]
    unusual: Mapping[str, float]
    rests_on: Mapping[str, str]
    awaits_signature: bool = True
    notice: str = NOTICE


def predict(package: Package, members: pl.DataFrame, observations: pl.DataFrame) -> Risk:
    """Judge one unit: an image, a study or a patient, as the model's study says.

    Parameters
    ----------
    members : the unit's series: patient_key, series_instance_uid, modality. A unit without images has one row with
        an empty series and modality.
    observations : the long table; only facts of the unit and its patient are looked at, made as in training.

    Raises
    ------
    ValueError : the series are of several patients.
    """
    if members["patient_key"].n_unique() != 1:
        raise ValueError("the series of one unit are of one patient")
    rule = package.study.cohort
    columns, x = feature_table(
        observations.filter(pl.col("patient_key") == members["patient_key"][0]),
        members.select(pl.lit("unit").alias("unit"), "patient_key", "series_instance_uid"),
        package.study.features,
        aggregate=() if rule.unit == "series" else rule.aggregate,
        columns=package.model.columns,
    )
    features = {column.name: float(value) for column, value in zip(columns, x[0], strict=True)}
    others = [m for m in members["modality"].unique().sort().to_list() if m not in package.model.modalities]
    return judge(package, features, modality=others[0] if others else members["modality"][0])


def judge(package: Package, features: Mapping[str, float], *, modality: str) -> Risk:
    """Judge one unit whose features are known.

    Parameters
    ----------
    features : value by column name (`ModelCard.features`); one that is left out or not finite is missing.
    modality : DICOM Modality (0008,0060) of the image; empty for a unit without images.
    """
    model, card = package.model, package.card
    row = _in_order(package, features)
    abstentions = tuple(reason for reason in (_modality(package, modality), *_unlike(package, row)) if reason)
    risk, low, high = None, None, None
    if not abstentions:
        risk = float(model.probability(row[None])[0])
        ends = model.interval(row[None])
        low, high = min(risk, float(ends[0][0])), max(risk, float(ends[1][0]))
    deviation = model.envelope.deviation(row[None])[0]
    order = np.argsort(-np.abs(deviation), kind="stable")[:5]
    return Risk(
        outcome=card.outcome,
        probability=risk,
        low=low,
        high=high,
        threshold=card.threshold,
        positive=None if risk is None else risk >= card.threshold,
        abstentions=abstentions,
        unusual={model.columns[j].name: float(deviation[j]) for j in order},
        rests_on={
            "model": card.name,
            "model_digest": package.digest,
            "data_digest": str(card.lineage["data_digest"]),
            "tapetum": str(card.lineage["versions"]["tapetum"]),
        },
    )


def _in_order(package: Package, features: Mapping[str, float]) -> NDArray[np.float64]:
    values = np.array([features.get(column.name, np.nan) for column in package.model.columns], np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _modality(package: Package, modality: str) -> Abstention | None:
    known = package.model.modalities
    if modality in known or not (known or modality):
        return None
    return Abstention(
        "other-modality",
        f"the model was trained on {', '.join(known) or 'no images'}, this is {modality or 'no image'}",
    )


def _unlike(package: Package, row: NDArray[np.float64]) -> tuple[Abstention | None, ...]:
    envelope = package.model.envelope
    share = float(np.isnan(row).mean())
    if share > envelope.missing_limit:
        detail = f"{share:.0%} of the features are missing, {envelope.missing_limit:.0%} were in training"
        return (Abstention("features-missing", detail),)
    worst = float(envelope.distances(row[None])[0].max())
    if worst <= 1:
        return ()
    names = farthest(envelope, row, [column.name for column in package.model.columns])
    detail = f"{worst:.1f} times the usual distance from the training data; farthest are {', '.join(names)}"
    return (Abstention("out-of-range", detail),)
