"""The figures of a report. Each function draws on the axes it is given and returns them.

Colours are those of Okabe and Ito (2008), told apart by line style and marker as well, so that a figure can be read
in black and white. Every colour is one of `INK`, `FAINT`, `PAPER` and `COLOURS`: `drawing.inline` replaces them by
CSS variables, which is how a figure follows a dark screen.  Start reading at `roc`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from tapetum.learn.result import Estimate, Performance, Prediction
from tapetum.report.wording import Writer, fraction, with_interval

__all__ = [
    "COLOURS",
    "FAINT",
    "INK",
    "PAPER",
    "Part",
    "Row",
    "calibration",
    "decision",
    "forest",
    "histogram",
    "precision_recall",
    "roc",
]

INK, FAINT, PAPER = "#1c2024", "#8a9096", "#fefefe"
COLOURS = ("#0072b2", "#d55e00")
DASHES = ("-", (0, (5, 2)))
MARKERS = ("o", "s")


@dataclass(frozen=True, slots=True)
class Part:
    """One set of people under the name it has in the legend; the first of several is drawn as the main one."""

    label: str
    performance: Performance


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a forest plot.

    ``main`` fills its marker. An estimate that is NaN is written, not drawn; without one, the label is the heading of
    the group below it. ``place`` is the group's colour and marker.
    """

    label: str
    estimate: Estimate | None
    main: bool = False
    place: int = 0


def roc(parts: Sequence[Part], *, ax: Axes) -> Axes:
    """Sensitivity against 1 - specificity; a ring marks the stated threshold of the main part."""
    ax.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=(0, (1, 2)))
    for place, part in enumerate(parts):
        auc = with_interval(part.performance.metrics.get("roc_auc"))
        _curve(ax, part.performance.roc, place, f"{part.label}, {auc}")
    metrics = parts[0].performance.metrics
    if "specificity" in metrics and "sensitivity" in metrics:
        ax.plot(
            [1 - metrics["specificity"].value],
            [metrics["sensitivity"].value],
            marker="o",
            ms=8,
            mfc=PAPER,
            mec=INK,
            mew=1.4,
            ls="none",
            label=f"threshold {fraction(parts[0].performance.threshold)}",
            clip_on=False,
        )
    _unit_square(ax)
    ax.set(xlabel="1 − specificity", ylabel="Sensitivity")
    _legend(ax, "lower right")
    return ax


def precision_recall(parts: Sequence[Part], *, ax: Axes) -> Axes:
    """Positive predictive value against sensitivity; the dotted line is the share of events, a coin's precision."""
    main = parts[0].performance
    share = main.events / main.n if main.n else math.nan
    ax.axhline(share, color=FAINT, lw=0.8, ls=(0, (1, 2)))
    for place, part in enumerate(parts):
        auc = with_interval(part.performance.metrics.get("pr_auc"))
        _curve(ax, part.performance.pr, place, f"{part.label}, {auc}")
    _unit_square(ax)
    ax.set(xlabel="Sensitivity (recall)", ylabel="Positive predictive value (precision)")
    _legend(ax, "lower left")
    return ax


def calibration(parts: Sequence[Part], *, ax: Axes) -> Axes:
    """Observed against predicted probability by group, with intervals; on the dotted line both agree."""
    ax.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=(0, (1, 2)))
    for place, part in enumerate(parts):
        rows = np.array([row[:4] for row in part.performance.calibration], float).reshape(-1, 4)
        predicted, observed, low, high = rows.T
        spread = np.clip(np.stack([observed - low, high - observed]), 0, None)
        ax.errorbar(
            predicted,
            observed,
            spread,
            color=COLOURS[place],
            ls=DASHES[place],
            lw=1.6 if place == 0 else 1.1,
            elinewidth=0.9,
            marker=MARKERS[place],
            ms=5,
            mfc=COLOURS[place] if place == 0 else PAPER,
            label=part.label,
            clip_on=False,
        )
    _unit_square(ax)
    ax.set(ylabel="Observed fraction")
    _legend(ax, "upper left")
    return ax


def histogram(predictions: Sequence[Prediction], *, threshold: float, ax: Axes) -> Axes:
    """How predictions are spread: events upwards and filled, the others downwards and hatched."""
    edges = np.linspace(0, 1, 21)
    known = [row for row in predictions if math.isfinite(row.probability)]
    counts = [np.histogram([row.probability for row in known if row.outcome == wanted], edges)[0] for wanted in (1, 0)]
    middle, width = (edges[:-1] + edges[1:]) / 2, 0.042
    ax.bar(middle, counts[0], width, color=COLOURS[0], label="with the outcome")
    ax.bar(middle, -counts[1], width, facecolor=PAPER, edgecolor=COLOURS[1], hatch="////", lw=0.7, label="without")
    ax.axhline(0, color=INK, lw=0.8)
    ax.axvline(threshold, color=INK, lw=0.9, ls=(0, (4, 2)))
    reach = max(1, int(counts[0].max()), int(counts[1].max()))
    ax.set(xlim=(0, 1), ylim=(-1.1 * reach, 1.1 * reach), xlabel="Predicted probability", ylabel="Number")
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", ".2", ".4", ".6", ".8", "1"])
    ax.set_yticks([-reach, 0, reach], [str(reach), "0", str(reach)])
    return ax


def decision(part: Part, *, ax: Axes) -> Axes:
    """Net benefit over the threshold, beside treating everybody and nobody (Vickers and Elkin 2006)."""
    threshold, model, everybody = np.array([row[:3] for row in part.performance.decision], float).reshape(-1, 3).T
    ax.axhline(0, color=INK, lw=0.9, ls=(0, (1, 2)), label="treat nobody")
    ax.plot(threshold, everybody, color=FAINT, lw=1.3, ls=(0, (5, 2)), label="treat everybody")
    ax.plot(threshold, model, color=COLOURS[0], lw=1.8, label="use the model")
    ax.axvline(part.performance.threshold, color=INK, lw=0.9, ls=(0, (4, 2)))
    top = max(0.05, float(np.nanmax([*model, *everybody, 0.0])))
    # At high thresholds a false positive weighs ninety-nine times: the axis ends where the model harms more than it
    # ever helps, and reaches down to all of the rest.
    harmful = threshold[model < -top]
    last = float(harmful[0]) if len(harmful) and harmful[0] > part.performance.threshold else 1.0
    lowest = float(np.min(model[threshold < last], initial=0.0))
    ax.set(xlim=(0, last), ylim=(min(-0.25 * top, 1.1 * lowest), 1.1 * top))
    ax.set(xlabel="Threshold probability", ylabel="Net benefit")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}" if value in (0, 1) else fraction(value))
    ax.yaxis.set_major_formatter(lambda value, _: fraction(value) if value else "0")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, handlelength=1.8, columnspacing=1.0)
    return ax


def forest(
    rows: Sequence[Row],
    *,
    reference: float,
    xlabel: str,
    ax: Axes,
    writer: Writer = fraction,
    ceiling: float = math.inf,
) -> Axes:
    """One line for each row, first on top: the estimate, its 95 % interval, and both in words at the right."""
    drawn = [(at, row, row.estimate) for at, row in enumerate(rows) if row.estimate is not None]
    for at, row, estimate in drawn:
        words = with_interval(estimate, writer)
        ax.text(1.02, at, words, transform=ax.get_yaxis_transform(), va="center", color=INK)
        if math.isfinite(estimate.value):
            _mark(ax, at, row, estimate)
    ax.axvline(reference, color=FAINT, lw=0.9, ls=(0, (1, 2)), zorder=0)
    said = [value for _, _, e in drawn for value in (e.value, e.low, e.high)]
    known = [value for value in said if math.isfinite(value)] or [reference]
    low, high = min([*known, reference]), max([*known, reference])
    margin = 0.06 * (high - low or 1)
    ax.set(xlim=(low - margin, min(high + margin, ceiling)), ylim=(len(rows) - 0.4, -0.6), xlabel=xlabel)
    ax.set_yticks(range(len(rows)), [row.label for row in rows])
    for row, label in zip(rows, ax.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if row.estimate is None else "normal")
    ax.xaxis.set_major_formatter(lambda value, _: writer(value) if abs(value) > 1e-12 else "0")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return ax


def _mark(ax: Axes, at: int, row: Row, estimate: Estimate) -> None:
    """One estimate with its interval; the marker of a main row is filled, that of the second group round."""
    colour = COLOURS[row.place]
    ax.plot([estimate.low, estimate.high], [at, at], color=colour, lw=1.5, solid_capstyle="butt")
    ax.plot(
        [estimate.value],
        [at],
        marker="D" if row.main else "so"[row.place],
        ms=7 if row.main else 5.5,
        mfc=colour if row.main else PAPER,
        mec=colour,
        mew=1.3,
    )


def _curve(ax: Axes, rows: Sequence[Sequence[float]], place: int, label: str) -> None:
    x, y = np.array([row[:2] for row in rows], float).reshape(-1, 2).T
    ax.plot(x, y, color=COLOURS[place], ls=DASHES[place], lw=1.9 if place == 0 else 1.3, label=label, clip_on=False)


def _unit_square(ax: Axes) -> None:
    ax.set(xlim=(0, 1), ylim=(0, 1.0), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", ".2", ".4", ".6", ".8", "1"])


def _legend(ax: Axes, place: Literal["upper left", "upper right", "lower left", "lower right"]) -> None:
    ax.legend(loc=place, frameon=True, framealpha=0.85, facecolor=PAPER, edgecolor="none", handlelength=2.6)
