"""Virtual patients whose truth is known: the tables that a workspace would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.learn import Study, parse_study

Tables = tuple[pl.DataFrame, pl.DataFrame]


def _table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {
        "patient_key": pl.String,
        "series_instance_uid": pl.String,
        "region": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "text": pl.String,
        "code": pl.String,
        "scheme": pl.String,
        "unit": pl.String,
        "effective_at": pl.String,
        "method": pl.String,
        "source": pl.String,
    }
    plain = dict.fromkeys(schema, "") | {"value": None, "text": None, "unit": "1", "method": "table/1"}
    return pl.DataFrame([plain | row for row in rows], schema=schema)


@pytest.fixture(scope="session")
def facts() -> Callable[[list[dict[str, Any]]], pl.DataFrame]:
    """The long table from a few words: what is not given is empty."""
    return _table


@pytest.fixture(scope="session")
def virtual() -> Callable[..., Tables]:
    """Patients with two images each; the outcome follows logit = strength x (f0 + 0.6 f1) - 0.3."""

    def make(patients: int = 90, features: int = 6, *, strength: float = 1.5, sites: int = 1, seed: int = 7) -> Tables:
        rng = np.random.default_rng(seed)
        n = 2 * patients
        x = rng.normal(size=(n, features))
        p = 1 / (1 + np.exp(-(strength * (x[:, 0] + 0.6 * x[:, 1]) - 0.3)))
        grade = (rng.random(n) < p).astype(int)
        series = pl.DataFrame(
            {
                "patient_key": [f"p{i // 2:03}" for i in range(n)],
                "series_instance_uid": [f"2.25.{i}" for i in range(n)],
                "study_instance_uid": [f"2.26.{i // 2}" for i in range(n)],
                "modality": ["OP"] * n,
                "site": ["ABCDEFG"[i // 2 % sites] for i in range(n)],
                "format": ["picture"] * n,
                "pixel_digest": [f"digest {i}" for i in range(n)],
                "laterality": ["RL"[i % 2] for i in range(n)],
            }
        )
        rows = []
        for i, (patient, uid) in enumerate(series.select("patient_key", "series_instance_uid").iter_rows()):
            whose = {"patient_key": patient, "series_instance_uid": uid}
            rows += [whose | {"name": f"f{j}", "value": x[i, j], "method": "fundus/1"} for j in range(features)]
            rows.append(whose | {"name": "grade", "value": float(grade[i])})
        return series, _table(rows)

    return make


@pytest.fixture(scope="session")
def study() -> Callable[..., Study]:
    """A small study of the virtual patients; a keyword replaces keys of a table."""

    def make(**tables: dict[str, Any]) -> Study:
        tree: dict[str, dict[str, Any]] = {
            "study": {"name": "Virtual", "question": "Is the grade 1?", "seed": 5},
            "cohort": {"modality": "OP"},
            "outcome": {"name": "grade 1", "observation": "grade", "at_least": 1},
            "features": {"recipes": ["fundus"]},
            "models": {"candidates": ["logistic"], "budget": 2},
            "validation": {"outer_folds": 3, "inner_folds": 2, "bootstrap": 200},
        }
        return parse_study({name: tree.get(name, {}) | tables.get(name, {}) for name in {*tree, *tables}})

    return make
