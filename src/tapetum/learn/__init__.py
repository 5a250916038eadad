"""From tables to a validated model: the study file, cohort, guards, splits, families, validation, result.

In: series and observations of a workspace.  Out: `StudyResult` and `FittedModel`.  Start reading at `run_study`.
"""

from tapetum.learn.cohort import Cohort, assemble, unit_column
from tapetum.learn.features import FeatureColumn, feature_table
from tapetum.learn.fitted import FittedModel
from tapetum.learn.result import Prediction, StudyResult
from tapetum.learn.study import Study, parse_study, read_study
from tapetum.learn.validate import run_study

__all__ = [
    "Cohort",
    "FeatureColumn",
    "FittedModel",
    "Prediction",
    "Study",
    "StudyResult",
    "assemble",
    "feature_table",
    "parse_study",
    "read_study",
    "run_study",
    "unit_column",
]
