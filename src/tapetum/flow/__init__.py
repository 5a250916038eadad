"""The composition root: `Workspace`, the order of the stages, studies and predictions."""

from tapetum.flow.stages import OnStage, StageTally
from tapetum.flow.studies import StudyRun, run_study
from tapetum.flow.workspace import Workspace

__all__ = ["OnStage", "StageTally", "StudyRun", "Workspace", "run_study"]
