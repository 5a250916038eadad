"""From a validated model to the risk of one person: the model package and its use.

In: a `FittedModel` with its result.  Out: a package on disk, and `Risk`.  Start reading at `predict`.
"""

from tapetum.predict.infer import Abstention, Risk, judge, predict
from tapetum.predict.package import NOTICE, ModelCard, Package, load, save

__all__ = ["NOTICE", "Abstention", "ModelCard", "Package", "Risk", "judge", "load", "predict", "save"]
