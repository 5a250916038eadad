"""What a study found, as a page that a clinician can read, print, sign and check.

`render` and `write` make the report of one study; `render_index` links several; `choose` names the images to show.
"""

from tapetum.report.index import IndexEntry, render_index
from tapetum.report.montage import MontageTile, choose
from tapetum.report.page import render, write

__all__ = ["IndexEntry", "MontageTile", "choose", "render", "render_index", "write"]
