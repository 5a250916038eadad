"""tapetum: a hospital's imaging archive, used a second time.

    from tapetum import Workspace, predict_paths, run_study

Names are loaded when they are first asked for, so that ``import tapetum`` and ``tapetum --help`` are quick (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapetum.flow.predictions import predict_paths
    from tapetum.flow.studies import run_study
    from tapetum.flow.workspace import Workspace

__all__ = ["Workspace", "__version__", "predict_paths", "run_study"]

__version__ = version("tapetum")

HOME = {
    "Workspace": "tapetum.flow.workspace",
    "run_study": "tapetum.flow.studies",
    "predict_paths": "tapetum.flow.predictions",
}


def __getattr__(name: str) -> object:
    if name not in HOME:
        raise AttributeError(f"module 'tapetum' has no attribute {name!r}")
    return getattr(import_module(HOME[name]), name)
