"""Run a study: cohort, guards, nested cross-validation, one look at the test set, the fitted model.

In: a `Study` and the tables of a workspace.  Out: what was found, and the model.  Start reading at `run_study`.

The order is the honesty: the test set is put aside first; families, settings, recalibration and threshold are chosen on
the development set; then the test set is predicted once, and nothing is chosen after that.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import polars as pl
import sklearn
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from scipy.special import expit

from tapetum.errors import ValidationFailed
from tapetum.learn.calibrate import Recalibration, cross_recalibrate, to_logit
from tapetum.learn.characteristics import characteristics
from tapetum.learn.cohort import Cohort, assemble
from tapetum.learn.envelope import fit_envelope
from tapetum.learn.fitted import WITHIN_95, FittedModel, bagged_spread, bags, fit_members, mean_probability
from tapetum.learn.importance import permutation_importance
from tapetum.learn.leakage import guard_cohort, without_copies
from tapetum.learn.metrics import choose_threshold, performance
from tapetum.learn.nested import Learning, OutOfFold, nested, search_all
from tapetum.learn.plan import has_figures, plan_splits
from tapetum.learn.result import Candidate, Check, FlowStep, Importance, Performance, Prediction, StudyResult
from tapetum.learn.split import Split
from tapetum.learn.study import Study

__all__ = ["run_study"]

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What every stage of one run needs: the question, the people, and who is where."""

    study: Study
    cohort: Cohort
    test: Split
    outer: list[list[Split]]
    data: Learning
    tell: Progress


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """What the development set decided: a family, its out-of-fold predictions, recalibration and threshold."""

    family: str
    out_of_fold: OutOfFold
    probability: Floats
    recalibration: Recalibration
    threshold: float
    rule: str
    candidates: list[Candidate]


def run_study(
    study: Study,
    series: pl.DataFrame,
    observations: pl.DataFrame,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> tuple[StudyResult, FittedModel]:
    """Run a study from its tables to its result and model.

    Parameters
    ----------
    series : one row per image series: patient_key, series_instance_uid, modality, site, pixel_digest, attributes.
    observations : the long table of facts (see `tapetum.model.Observation`); ``value`` is null when ``text`` is given.
    progress : called with a stage's name, how much of it is done, and how much there is.
    jobs : processes; None uses every core. The result is the same, bit for bit, for any number.

    Raises
    ------
    InvalidStudy : the study names something that is not there.
    LeakageFound : training and test data know each other, or a feature is the outcome.
    ValidationFailed : too few people of one outcome.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    tell = progress or (lambda *_: None)
    jobs = jobs or cpu_count()
    tell("cohort", 0, 1)
    cohort = assemble(study, series, observations)
    if study.cohort.copies == "drop":
        cohort = without_copies(cohort)
    checks = [*cohort.checks, *guard_cohort(study, cohort, observations)]
    tell("cohort", 1, 1)
    plan = plan_splits(study, cohort)
    study, test = plan.study, plan.test
    checks += plan.checks
    run = _Run(study, cohort, test, plan.outer, _development(study, cohort, test.train, jobs), tell)
    chosen = _choose(run, nested(study.models.candidates, run.data, run.outer, tell))
    model, predictions = _final(run, chosen)
    tested, tested_by_site = _test(run, model)
    importance = _importance(run, chosen)
    if tested is not None:
        told = f"{tested.patients} patients were predicted once, after model, recalibration and threshold were fixed"
        checks.append(Check("test-set", told))
    if study.validation.final_fit == "everyone":
        model = _fitted_again(model, cohort, study.study.seed, jobs)
    result = StudyResult(
        study=study.to_json(),
        flow=[*cohort.flow, *_parts(cohort, test)],
        checks=checks,
        candidates=chosen.candidates,
        chosen=chosen.family,
        threshold_rule=chosen.rule,
        test=tested,
        importance=importance,
        predictions=predictions,
        lineage={
            "data_digest": cohort.digest,
            "seed": study.study.seed,
            "settings": model.settings,
            "recalibration": [chosen.recalibration.intercept, chosen.recalibration.slope],
            "features": len(cohort.columns),
            "sites": sorted({str(site) for site in cohort.site if site}),
            "modalities": list(cohort.modalities),
            "versions": _versions(),
            "started_at": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
        },
        test_by_site=tested_by_site,
        characteristics=characteristics(cohort, observations, test),
    )
    return result, model


def _development(study: Study, cohort: Cohort, rows: NDArray[np.int64], jobs: int) -> Learning:
    apart = study.validation.hold_out_sites
    return Learning(
        x=cohort.x[rows],
        outcome=cohort.outcome[rows],
        patient=cohort.person[rows],
        groups=(cohort.site if apart else cohort.person)[rows],
        budget=study.models.budget,
        inner_folds=study.validation.inner_folds,
        seed=study.study.seed,
        jobs=jobs,
    )


def _choose(run: _Run, oof: Mapping[str, OutOfFold]) -> _Chosen:
    """The family with the best pooled out-of-fold ROC-AUC, its recalibration and threshold."""
    best: _Chosen | None = None
    highest = -1.0
    candidates: list[Candidate] = []
    for number, (family, one) in enumerate(oof.items()):
        repeats = len(one.probability)
        rows = run.test.train
        outcome = run.cohort.outcome[rows]
        # A patient is in one fold of the first repeat: crossing over those keeps all repeats of a patient together.
        p, recalibration = cross_recalibrate(
            one.probability.ravel(), np.tile(outcome, repeats), np.tile(one.fold[0], repeats)
        )
        # Each unit counts once: three repeats are not three times the people.
        p = p.reshape(one.probability.shape).mean(axis=0)
        cut, words = choose_threshold(outcome, p, run.study.validation.threshold)
        measured = _measured(run, rows, p, threshold=cut)
        candidates.append(Candidate(family, measured, _by_site(run, rows, p, threshold=cut)))
        if measured.metrics["roc_auc"].value > highest:
            highest = measured.metrics["roc_auc"].value
            best = _Chosen(family, one, p, recalibration, cut, words, candidates)
        run.tell("figures", number + 1, len(oof))
    if best is None:
        raise ValidationFailed("no model could be measured", hint="look at the cohort flow")
    return best


def _measured(run: _Run, rows: NDArray[np.int64], probability: Floats, *, threshold: float) -> Performance:
    return performance(
        run.cohort.outcome[rows],
        probability,
        run.cohort.person[rows],
        threshold=threshold,
        resamples=run.study.validation.bootstrap,
        seed=run.study.study.seed,
    )


def _by_site(run: _Run, rows: NDArray[np.int64], probability: Floats, *, threshold: float) -> dict[str, Performance]:
    site = run.cohort.site[rows]
    several = len(np.unique(run.cohort.site[run.cohort.site != ""])) > 1
    found = {}
    for name in [str(name) for name in np.unique(site) if name and several]:
        here = site == name
        if has_figures(run.cohort.outcome[rows][here], run.cohort.person[rows][here]):
            found[name] = _measured(run, rows[here], probability[here], threshold=threshold)
    return found


def _final(run: _Run, chosen: _Chosen) -> tuple[FittedModel, list[Prediction]]:
    """Fit the chosen family on the whole development set, and predict everybody with an interval."""
    data, cohort, test = run.data, run.cohort, run.test
    families = [chosen.family]
    if chosen.family == "ensemble":
        families = [family for family in run.study.models.candidates if family != "ensemble"]
    run.tell("final model", 0, 2)
    settings = search_all(families, data)
    members = fit_members(settings, data.x, data.outcome, data.patient, seed=data.seed)
    run.tell("final model", 1, 2)
    refits, left_out = bags(settings, data.x, data.outcome, data.patient, seed=data.seed, jobs=data.jobs)
    run.tell("final model", 2, 2)
    model = FittedModel(
        study=run.study,
        family=chosen.family,
        settings=settings,
        columns=cohort.columns,
        modalities=cohort.modalities,
        members=members,
        bags=tuple(refits),
        recalibration=chosen.recalibration,
        threshold=chosen.threshold,
        envelope=fit_envelope(data.x, data.patient, seed=data.seed),
    )
    drawn = np.stack([chosen.recalibration(mean_probability(bag, data.x)) for bag in refits])
    # Only refits that did not see the patient may say how sure a prediction for that patient is.
    spread = bagged_spread(np.where(left_out, drawn, np.nan))
    centre = to_logit(chosen.probability)
    low, high = expit(centre - WITHIN_95 * spread), expit(centre + WITHIN_95 * spread)
    predictions = _predictions(cohort, test.train, "cv", (chosen.probability, low, high))
    if len(test.held_out):
        x = cohort.x[test.held_out]
        predictions += _predictions(cohort, test.held_out, "test", (model.probability(x), *model.interval(x)))
    return model, predictions


def _predictions(
    cohort: Cohort, rows: NDArray[np.int64], part: str, of: tuple[Floats, Floats, Floats]
) -> list[Prediction]:
    return [
        Prediction(
            patient_key=str(cohort.patient[row]),
            unit=str(cohort.unit[row]),
            part=part,
            probability=float(p),
            low=float(min(p, low)),
            high=float(max(p, high)),
            outcome=int(cohort.outcome[row]),
            site=str(cohort.site[row]),
        )
        for row, p, low, high in zip(rows, *of, strict=True)
    ]


def _test(run: _Run, model: FittedModel) -> tuple[Performance | None, dict[str, Performance]]:
    """The one look at the test set: all of it, and each of its sites."""
    rows = run.test.held_out
    if not len(rows):
        return None, {}
    probability = model.probability(run.cohort.x[rows])
    by_site = _by_site(run, rows, probability, threshold=model.threshold)
    return _measured(run, rows, probability, threshold=model.threshold), by_site


def _importance(run: _Run, chosen: _Chosen) -> list[Importance]:
    """Of the models of the first repeat's outer folds, fitted again with the settings that each fold had chosen."""
    run.tell("importance", 0, 1)
    data, outer = run.data, run.outer[0]
    each = [
        dict(settings) if chosen.family == "ensemble" else {chosen.family: settings}
        for settings in chosen.out_of_fold.settings[: len(outer)]
    ]
    members = Parallel(n_jobs=data.jobs, max_nbytes=None)(
        delayed(fit_members)(settings, data.x[s.train], data.outcome[s.train], data.patient[s.train], seed=data.seed)
        for s, settings in zip(outer, each, strict=True)
    )
    fits = list(zip(outer, members, strict=True))
    found = permutation_importance(fits, data.x, data.outcome, run.cohort.columns, seed=data.seed)
    run.tell("importance", 1, 1)
    return found


def _fitted_again(model: FittedModel, cohort: Cohort, seed: int, jobs: int) -> FittedModel:
    """The same family, settings, recalibration and threshold, fitted on everyone."""
    refits, _ = bags(model.settings, cohort.x, cohort.outcome, cohort.person, seed=seed, jobs=jobs)
    return replace(
        model,
        members=fit_members(model.settings, cohort.x, cohort.outcome, cohort.person, seed=seed),
        bags=tuple(refits),
        envelope=fit_envelope(cohort.x, cohort.person, seed=seed),
    )


def _parts(cohort: Cohort, test: Split) -> list[FlowStep]:
    return [
        FlowStep(
            label,
            patients=len(np.unique(cohort.person[rows])),
            units=len(rows),
            events=int(cohort.outcome[rows].sum()),
            sites=sorted({str(name) for name in cohort.site[rows] if name}),
        )
        for label, rows in (("Development set", test.train), ("Test set", test.held_out))
        if len(rows)
    ]


def _versions() -> dict[str, str]:
    return {
        "tapetum": version("tapetum"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
