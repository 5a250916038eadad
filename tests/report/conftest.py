"""A simulated study result, deterministic and plausible: 200 photographs of 200 patients, none of them real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, precision_recall_curve, roc_auc_score, roc_curve

from tapetum.learn.result import (
    Candidate,
    Characteristic,
    Check,
    Estimate,
    FlowStep,
    Importance,
    Performance,
    Prediction,
    StudyResult,
    Summary,
)
from tapetum.report import MontageTile, choose

SITES = ("Northgate", "Riverside", "St Anna", "Harbour")
FEATURES = ("red_lesion_area", "vessel_density", "age_years", "hba1c", "green_entropy", "bright_lesion_count")
THRESHOLD = 0.42
Floats = NDArray[np.float64]


def example_result(*, seed: int = 7, sites: bool = True, test: bool = True) -> StudyResult:
    """150 development patients and 50 of a hospital of their own; ``sites`` and ``test`` leave those parts out."""
    rng = np.random.default_rng(seed)
    outcome = (rng.random(200) < 0.36).astype(np.int64)
    logit = rng.normal(-1.1 + 2.2 * outcome, 1.3)
    probability = 1 / (1 + np.exp(-logit))
    development = np.arange(200) < 150 if test else np.ones(200, bool)
    site = np.where(development, rng.integers(0, len(SITES) - 1, 200), len(SITES) - 1)
    predictions = [
        Prediction(
            patient_key=f"{int(key):016x}",
            unit=f"series-{number:04d}",
            part="cv" if development[number] else "test",
            probability=float(probability[number]),
            low=float(max(0.0, probability[number] - 0.04 - 0.3 * probability[number] * (1 - probability[number]))),
            high=float(min(1.0, probability[number] + 0.04 + 0.3 * probability[number] * (1 - probability[number]))),
            outcome=int(outcome[number]),
            site=SITES[site[number]] if sites else "",
        )
        for number, key in enumerate(rng.integers(2**50, 2**60, 200))
    ]
    shown = performance(probability[development], outcome[development])
    by_site = {
        name: performance(probability[development & (site == i)], outcome[development & (site == i)])
        for i, name in enumerate(SITES[:-1])
    }
    tested = performance(probability[~development], outcome[~development]) if test else None
    candidates = [
        Candidate("forest", shown, by_site if sites else {}),
        Candidate("logistic", worse(shown, 0.03)),
        Candidate("svm", worse(shown, 0.05)),
        Candidate("boosting", worse(shown, 0.014)),
    ]
    return StudyResult(
        study=STUDY,
        flow=flow(outcome, development, sites=sites),
        checks=[
            Check("patients", "no patient stands on both sides of a split"),
            Check("identical images", "no image stands under two names (200 compared by digest)"),
            Check("outcome among the features", "no feature separates the classes by itself (6 asked)"),
        ],
        candidates=candidates,
        chosen="forest",
        threshold_rule="highest threshold with a sensitivity of at least 80 % in cross-validation",
        test=tested,
        importance=[
            Importance(name, f"99TAPETUM:{name}", Estimate(loss, loss - 0.012 - loss / 5, loss + 0.014 + loss / 5))
            for name, loss in zip(FEATURES, (0.084, 0.051, 0.033, 0.021, 0.006, -0.002), strict=True)
        ],
        predictions=predictions,
        lineage={
            "data_digest": "3f9a" * 16,
            "settings": {"acquire": {"max_pixels": 100000000}, "study": {"bootstrap": 1000}},
            "versions": {"tapetum": "0.1.0", "scikit-learn": "1.7.2", "numpy": "2.3.1", "python": "3.11.14"},
            "seed": seed,
            "started_at": "2026-11-22T09:30:00+00:00",
            "seconds": 83.4,
        },
        test_by_site={SITES[-1]: tested} if tested and sites else {},
        characteristics=[
            Characteristic(
                "age_years", Summary(150, 2, 61.5, 54.0, 70.0), Summary(50, 0, 64, 58, 71) if test else None, 0.2
            ),
            Characteristic("sex", Summary(150, 0, counts={"F": 81, "M": 69})),
            Characteristic("vessel_density", Summary(150, 0, 9.96e-05, 8e-05, 1.2e-04)),
        ],
    )


STUDY = {
    "study": {
        "name": "Referable diabetic retinopathy",
        "question": "Does a fundus photograph show referable diabetic retinopathy (ICDR grade 2 or more)?",
        "intended_use": "Research on retinal screening of adults with diabetes.",
        "data_sources": ["Simulated; no photograph was taken of anyone."],
        "limitations": ["None of the patients exists."],
        "seed": 7,
    },
    "outcome": {"name": "ICDR grade 2 or more", "observation": "icdr", "at_least": 2},
    "features": {"recipes": ["fundus"], "observations": ["age_years", "hba1c"]},
    "models": {"candidates": ["forest", "logistic", "svm", "boosting"], "budget": 12},
    "validation": {"test_fraction": 0.25, "outer_folds": 5, "hold_out_sites": True},
}


def performance(probability: Floats, outcome: NDArray[np.int64]) -> Performance:
    """Point values from scikit-learn; the intervals are plausible, not bootstrapped."""
    called = probability >= THRESHOLD
    tp, fp = int((called & (outcome == 1)).sum()), int((called & (outcome == 0)).sum())
    fn, tn = int((~called & (outcome == 1)).sum()), int((~called & (outcome == 0)).sum())
    n = len(outcome)
    half = 0.9 / np.sqrt(n)

    def near(value: float, scale: float = 1.0) -> Estimate:
        return Estimate(float(value), max(0.0, float(value) - half * scale), min(1.0, float(value) + half * scale))

    false_positive, true_positive, _ = roc_curve(outcome, probability)
    precision, recall, _ = precision_recall_curve(outcome, probability)
    return Performance(
        n=n,
        patients=n,
        events=int(outcome.sum()),
        threshold=THRESHOLD,
        metrics={
            "roc_auc": near(roc_auc_score(outcome, probability), 0.6),
            "pr_auc": near(precision.mean()),
            "brier": near(brier_score_loss(outcome, probability), 0.3),
            "calibration_slope": Estimate(0.93, 0.93 - 3 * half, 0.93 + 3 * half),
            "calibration_intercept": Estimate(-0.08, -0.08 - 3 * half, -0.08 + 3 * half),
            "sensitivity": near(tp / (tp + fn)),
            "specificity": near(tn / (tn + fp)),
            "ppv": near(tp / (tp + fp)),
            "npv": near(tn / (tn + fn)),
        },
        roc=[[float(x), float(y)] for x, y in zip(false_positive, true_positive, strict=True)],
        pr=[[float(x), float(y)] for x, y in zip(recall, precision, strict=True)],
        calibration=calibration(probability, outcome),
        decision=decision(probability, outcome),
    )


def calibration(probability: Floats, outcome: NDArray[np.int64]) -> list[list[float]]:
    """Five groups of equal size."""
    rows = []
    for part in np.array_split(np.argsort(probability), 5):
        observed, n = float(outcome[part].mean()), len(part)
        half = 1.96 * np.sqrt(max(observed * (1 - observed), 0.05) / n)
        rows.append(
            [float(probability[part].mean()), observed, max(0.0, observed - half), min(1.0, observed + half), n]
        )
    return rows


def decision(probability: Floats, outcome: NDArray[np.int64]) -> list[list[float]]:
    """Net benefit after Vickers and Elkin 2006."""
    rows = []
    for threshold in np.arange(0.02, 0.9, 0.02):
        odds, called, n = threshold / (1 - threshold), probability >= threshold, len(outcome)
        model = (called & (outcome == 1)).sum() / n - (called & (outcome == 0)).sum() / n * odds
        rows.append([float(threshold), float(model), float(outcome.mean() - (1 - outcome.mean()) * odds)])
    return rows


def flow(outcome: NDArray[np.int64], development: NDArray[np.bool_], *, sites: bool) -> list[FlowStep]:
    """From 231 photographs to the two sets; the counts of a box are those after its own losses."""
    steps = [
        FlowStep("Fundus photographs taken in", 214, 231),
        FlowStep("Readable", 209, 224, dropped={"quality below the limit": 5, "not a fundus photograph": 2}),
        FlowStep(
            "With a known outcome, one per patient",
            200,
            200,
            int(outcome.sum()),
            {"no grade by the readers": 9, "second photograph of the same patient": 15},
        ),
    ]
    for label, members, names in (
        ("Development set", development, SITES[:-1]),
        ("Test set", ~development, SITES[-1:]),
    ):
        if members.any():
            n, events = int(members.sum()), int(outcome[members].sum())
            steps.append(FlowStep(label, n, n, events, sites=list(names) if sites else []))
    return steps


def worse(performance: Performance, by: float) -> Performance:
    """The same performance with a lower ROC-AUC and PR-AUC."""
    metrics = dict(performance.metrics)
    for name in ("roc_auc", "pr_auc"):
        old = metrics[name]
        metrics[name] = Estimate(old.value - by, old.low - by * 1.3, old.high - by)
    return replace(performance, metrics=metrics)


def example_tiles(result: StudyResult) -> list[MontageTile]:
    """Orange discs with a bright spot in place of the photographs that `choose` asks for."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1:1:160j, -1:1:160j]
    tiles = []
    for group, row in choose([row for row in result.predictions if row.part == "test"], threshold=THRESHOLD):
        light = np.clip(1.05 - (x - rng.normal(0, 0.15)) ** 2 - y**2, 0, 1) * (x**2 + y**2 < 0.95)
        disc = np.exp(-((x - 0.45) ** 2 + (y - rng.normal(0, 0.1)) ** 2) / 0.02)
        pixels = np.stack([200 * light + 50 * disc, 95 * light + 110 * disc, 40 * light + 60 * disc], axis=-1)
        coloured = np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)
        tiles.append(MontageTile(coloured, row.patient_key[:8], row.outcome, row.probability, group))
    return tiles


@pytest.fixture(scope="session")
def simulated() -> Callable[..., StudyResult]:
    """Makes a simulated result: `example_result`."""
    return example_result


@pytest.fixture(scope="session")
def tiles_of() -> Callable[[StudyResult], list[MontageTile]]:
    """Makes the pictures of a montage: `example_tiles`."""
    return example_tiles
