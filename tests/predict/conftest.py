"""One validated model of virtual patients, made once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from tapetum.learn import FittedModel, StudyResult, parse_study, run_study

FEATURES = 8


@dataclass(frozen=True)
class Made:
    """A model with its result and the tables that it was made from."""

    result: StudyResult
    model: FittedModel
    series: pl.DataFrame
    observations: pl.DataFrame


@pytest.fixture(scope="session")
def made() -> Made:
    """Two fundus photographs and the age of each of 90 patients; the first feature and the age make the outcome."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(180, FEATURES))
    age = np.repeat(rng.normal(60, 8, 90), 2)
    sick = x[:, 0] + (age - 60) / 8 + 0.7 * rng.normal(size=180) > 0
    series = pl.DataFrame(
        {
            "patient_key": [f"p{i // 2:03}" for i in range(180)],
            "series_instance_uid": [f"2.25.{i}" for i in range(180)],
            "study_instance_uid": [f"2.26.{i // 2}" for i in range(180)],
            "modality": ["OP"] * 180,
            "site": [""] * 180,
            "format": ["picture"] * 180,
            "pixel_digest": [f"digest {i}" for i in range(180)],
        }
    )
    rows = []
    for i, (patient, uid) in enumerate(series.select("patient_key", "series_instance_uid").iter_rows()):
        rows += [(patient, uid, f"f{j}", x[i, j], None, "fundus/1") for j in range(FEATURES)]
        rows.append((patient, uid, "grade", None, "2" if sick[i] else "0", "table/1"))
        if i % 2 == 0:
            rows.append((patient, "", "age", age[i], None, "table/1"))
            rows.append((patient, "", "sex", None, "FM"[i // 2 % 2], "table/1"))
    schema = ["patient_key", "series_instance_uid", "name", "value", "text", "method"]
    observations = pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None).with_columns(
        unit=pl.lit("1"), **{name: pl.lit("") for name in ("region", "code", "scheme", "effective_at", "source")}
    )
    study = parse_study(
        {
            "study": {"name": "Virtual", "question": "Sick?", "seed": 2, "limitations": ["Nobody is real."]},
            "cohort": {"modality": "OP"},
            "outcome": {"name": "sick", "observation": "grade", "positive": ["2"], "negative": ["0"]},
            "features": {"recipes": ["fundus"], "observations": ["age", "sex"]},
            "models": {"candidates": ["logistic", "svm", "boosting", "ensemble"], "budget": 1},
            "validation": {"outer_folds": 3, "inner_folds": 2, "bootstrap": 100, "threshold": "youden"},
        }
    )
    result, model = run_study(study, series, observations, jobs=1)
    return Made(result, model, series, observations)
