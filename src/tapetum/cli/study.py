"""``tapetum study run`` and ``tapetum study check``."""

from __future__ import annotations

from pathlib import Path

from tapetum.cli.talk import Json, WorkspaceOption, items_bar, open_workspace, show, stderr
from tapetum.flow.studies import check_study, run_study

__all__ = ["check", "run"]


def run(study: Path, *, workspace: WorkspaceOption = None, json: Json = False) -> int:
    """Run a study from its file to its report and model.

    Parameters
    ----------
    study
        The study file: question, cohort, outcome, features, models, validation.
    """
    opened = open_workspace(workspace)
    with items_bar("study") as bar:
        task = bar.task_ids[0]

        def on_progress(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        finished = run_study(opened, study, on_progress=on_progress)
    result = finished.result
    people = result.measured
    metrics = {
        name: f"{estimate.value:.3f} (95 % interval {estimate.low:.3f} to {estimate.high:.3f})"
        for name, estimate in people.metrics.items()
    }
    summary = {
        "chosen": result.chosen,
        "measured_on": "the untouched test set" if result.test else "cross-validation",
        "patients": people.patients,
        "units": people.n,
        "events": people.events,
        **metrics,
        "report": str(finished.report),
        "model": str(finished.model),
    }
    show(result.to_json() if json else summary, as_json=json)
    if finished.rejected:
        stderr.print("some files are in the quarantine: see `tapetum quarantine`")
        return 3
    return 0


def check(study: Path, *, json: Json = False) -> None:
    """Check a study file, its recipes and its mapping without running it, and print what it ends up with.

    Parameters
    ----------
    study
        The study file.
    """
    show(check_study(study).to_json(), as_json=json)
