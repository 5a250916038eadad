"""The cohort flow diagram as SVG: boxes downwards, what was dropped at the right, a split as two boxes side by side.

The losses of a step are drawn on the arrow that leads into its box: the box counts who is left after them.
Start reading at `flowchart`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

from tapetum.learn.result import FlowStep
from tapetum.report.figures import FAINT, INK, PAPER
from tapetum.report.wording import count

__all__ = ["describe_flow", "flowchart", "is_split"]

WIDTH, BOX, SIDE, GAP, LINE = 760, 330, 300, 34, 19
MOST_SITES = 20  # named in a box
LETTERS = 34  # of a bold 14 px sans serif that fit into a box, however wide the viewer's font is


def is_split(steps: Sequence[FlowStep]) -> bool:
    """Whether the last two steps are the two parts of the one before them, rather than one after the other."""
    if len(steps) < 3:
        return False
    whole, *parts = steps[-3:]
    return not any(part.dropped for part in parts) and sum(part.units for part in parts) == whole.units


def flowchart(steps: Sequence[FlowStep]) -> str:
    """An SVG document, 760 units wide; colours are those of `figures`."""
    split = is_split(steps)
    column = steps[:-2] if split else steps
    left, y = 10, 10
    drawn: list[str] = []
    for place, step in enumerate(column):
        if place:
            y = _arrow_down(drawn, left + BOX // 2, y, step)
        y = _box(drawn, left, y, BOX, _words(step), heading=True)
    if split:
        y = _branches(drawn, left + BOX // 2, y, steps[-2:])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" viewBox="0 0 {WIDTH} {y + 10}"'
    return f'{head} font-family="sans-serif" font-size="14">\n' + "\n".join(drawn) + "\n</svg>\n"


def describe_flow(steps: Sequence[FlowStep]) -> str:
    """The diagram in words, for those who cannot see it."""
    sentences = []
    for step in steps:
        lost = "".join(f"; dropped: {why}, {count(n)}" for why, n in step.dropped.items())
        where = f"; {_sites(step).lower()[:4]}{_sites(step)[4:]}" if step.sites else ""
        sentences.append(f"{step.label}: {', '.join(_numbers(step))}{where}{lost}.")
    return "Cohort flow. " + " ".join(sentences)


def _numbers(step: FlowStep) -> list[str]:
    numbers = [_many(step.patients, "patient"), _many(step.units, "unit")]
    return [*numbers, f"{count(step.events)} with the outcome"] if step.events is not None else numbers


def _sites(step: FlowStep) -> str:
    """Where the people of a set come from; of many sites the first, and how many more there are."""
    named, more = step.sites[:MOST_SITES], len(step.sites) - MOST_SITES
    if not named:
        return ""
    return f"{'Site' if len(step.sites) == 1 else 'Sites'}: {', '.join(named)}" + (f" and {more} more" * (more > 0))


def _many(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _words(step: FlowStep) -> list[str]:
    numbers = _numbers(step)
    return [
        *textwrap.wrap(step.label, LETTERS),
        ", ".join(numbers[:2]),
        *numbers[2:],
        *textwrap.wrap(_sites(step), LETTERS),
    ]


def _arrow_down(drawn: list[str], x: int, y: int, step: FlowStep) -> int:
    """Draw the way into a box, with the losses beside it; returns where the box begins."""
    if not step.dropped:
        _line(drawn, x, y, x, y + GAP)
        _head(drawn, x, y + GAP)
        return y + GAP
    lines = [f"Dropped: {count(sum(step.dropped.values()))}"]
    for why, number in step.dropped.items():
        first, *more = textwrap.wrap(f"{count(number)}  {why}", LETTERS, subsequent_indent="     ")
        lines += [first, *more]
    side, top = WIDTH - SIDE - 10, y + 14
    bottom = _box(drawn, side, top, SIDE, lines, heading=False)
    middle = (top + bottom) // 2
    _line(drawn, x, y, x, bottom + 14)
    _head(drawn, x, bottom + 14)
    _line(drawn, x, middle, side, middle)
    drawn.append(f'<path d="M{side - 8} {middle - 4} L{side} {middle} L{side - 8} {middle + 4} Z" fill="{INK}"/>')
    return bottom + 14


def _branches(drawn: list[str], x: int, y: int, parts: Sequence[FlowStep]) -> int:
    lefts = (10, WIDTH - BOX - 10)
    bar, top = y + GAP // 2, y + GAP + 8
    _line(drawn, x, y, x, bar)
    _line(drawn, lefts[0] + BOX // 2, bar, lefts[1] + BOX // 2, bar)
    ends = []
    for left, part in zip(lefts, parts, strict=True):
        _line(drawn, left + BOX // 2, bar, left + BOX // 2, top)
        _head(drawn, left + BOX // 2, top)
        ends.append(_box(drawn, left, top, BOX, _words(part), heading=True))
    return max(ends)


def _box(drawn: list[str], x: int, y: int, width: int, lines: Sequence[str], *, heading: bool) -> int:
    height = LINE * len(lines) + 18
    dashes = "" if heading else ' stroke-dasharray="4 3"'
    drawn.append(
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{PAPER}" '
        f'stroke="{INK if heading else FAINT}" stroke-width="1"{dashes}/>'
    )
    for place, text in enumerate(lines):
        weight = ' font-weight="600"' if place == 0 and heading else ""
        baseline = y + 9 + LINE * place + 14
        drawn.append(
            f'<text x="{x + 14}" y="{baseline}" fill="{INK}" xml:space="preserve"{weight}>{escape(text)}</text>'
        )
    return y + height


def _line(drawn: list[str], x1: int, y1: int, x2: int, y2: int) -> None:
    drawn.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-width="1"/>')


def _head(drawn: list[str], x: int, y: int) -> None:
    drawn.append(f'<path d="M{x - 4} {y - 8} L{x} {y} L{x + 4} {y - 8} Z" fill="{INK}"/>')
