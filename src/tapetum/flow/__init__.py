"""The composition root: workspaces (`workspace`), studies (`studies`), predictions (`predictions`).

The latter two bring in scikit-learn and matplotlib, so they are imported where they are used.
"""

from tapetum.flow.workspace import Workspace

__all__ = ["Workspace"]
