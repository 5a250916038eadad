"""Our docstrings as reStructuredText: sections become titled definition lists.

STYLE writes ``name : what it is`` on one line; the type stands in the signature. So numpydoc, which would take the
sentence for a type, does not fit, and these few lines do.
"""

from __future__ import annotations

import re
from itertools import pairwise

from sphinx.application import Sphinx

SECTIONS = ("Parameters", "Returns", "Raises", "Yields")


def rewritten(lines: list[str]) -> list[str]:
    """The docstring with each section under a rubric; what is not in a section stays as it is."""
    starts = [i for i, (a, b) in enumerate(pairwise(lines)) if a in SECTIONS and b and set(b) == {"-"}]
    out = lines[: starts[0]] if starts else list(lines)
    for start, end in pairwise([*starts, len(lines)]):
        body = lines[start + 2 : end]
        stop = _end_of_section(body)
        out += ["", f".. rubric:: {lines[start]}", "", *_items(body[:stop]), "", *body[stop:]]
    return out


def _end_of_section(body: list[str]) -> int:
    """Where plain text begins again: after an empty line that is followed by neither an item nor its continuation."""
    for i, line in enumerate(body[:-1]):
        following = body[i + 1]
        if not line and following and not following.startswith(" "):
            return i
    return len(body)


def _items(body: list[str]) -> list[str]:
    out: list[str] = []
    for line in body:
        match = re.match(r"([\w*., ]+?) : (.*)", line)
        if match and not line.startswith(" "):
            names = ", ".join(f"``{name.strip()}``" for name in match[1].split(","))
            out += [names, f"    {match[2]}"]
        else:
            out.append(line)
    return out


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""

    def process(_app: Sphinx, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
        # `Region`s: reStructuredText wants to be told that the name ends here.
        lines[:] = [re.sub(r"(?<!`)(`[^`]+`)(?=\w)", r"\1\\ ", line) for line in rewritten(lines)]

    def skip(_app: Sphinx, _what: str, _name: str, thing: object, _skip: bool, _options: object) -> bool | None:
        # Methods that scikit-learn writes into every estimator are its own to explain.
        return True if str(getattr(thing, "__module__", "")).startswith("sklearn") else None

    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
