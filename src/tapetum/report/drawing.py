"""From a matplotlib figure to text and bytes that are the same each time.

`svg` and `png` are files of their own; `inline` is the same SVG inside a page, where it takes the page's type face and
follows the page's colours on a dark screen.  Start reading at `svg`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tapetum.report.figures import COLOURS, FAINT, INK, PAPER

__all__ = ["VARIABLES", "inline", "png", "style", "svg"]

SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.constrained_layout.use": True,
    "figure.facecolor": PAPER,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "hatch.linewidth": 0.7,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "tapetum",
    "text.color": INK,
    "text.parse_math": False,  # a feature or site may have a dollar sign in its name
    "xtick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.color": INK,
    "ytick.labelsize": 9.5,
}

VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", PAPER: "var(--paper)"} | {
    colour: f"var(--series-{place})" for place, colour in enumerate(COLOURS, start=1)
}
"""The colours of a figure and the CSS variables that stand for them in a page."""


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this: our type sizes, thin frames, text as text, no date and no chance in the ids."""
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # The SVG names its letters, and the viewer's fonts have them; only the width is measured with DejaVu.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def svg(figure: Figure) -> str:
    """The figure as an SVG document. Call inside `style`."""
    target = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(target, format="svg", metadata=nothing)
    return target.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as a PNG of 200 dots per inch. Call inside `style`."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=200, metadata={"Software": None})
    return target.getvalue()


def inline(document: str, *, name: str, alt: str) -> str:
    """An SVG document as an element of a page.

    Every id gets ``name`` in front, so that two figures of one page never share one; ``alt`` is read aloud.
    """
    body = document[document.index("<svg") :]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{name}-\1"', body)
    body = body.replace("url(#", f"url(#{name}-")
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, variable)
    opening, rest = body.split(">", 1)
    opening = re.sub(r'\s(width|height|version)="[^"]*"', "", opening)
    return f'{opening} role="img" aria-label="{escape(alt)}">{rest}'
