"""How figures are written: ``.84``, ``(.75 to .92)``, ``81 %``; never more digits than the data carry.

In: floats and `Estimate`.  Out: short strings.  Start reading at `with_interval`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from tapetum.learn.result import Estimate, Performance

__all__ = [
    "METRICS",
    "THIN",
    "Writer",
    "count",
    "feature",
    "fraction",
    "hospitals",
    "metric",
    "percent",
    "performance_sentence",
    "plain",
    "pretty",
    "quantity",
    "recalibration",
    "small",
    "with_interval",
]

Writer = Callable[[float], str]

THIN = "\u202f"  # narrow no-break space: "95 %" and "1 101" never break over a line
NOTHING = "not estimable"


def fraction(value: float) -> str:
    """A number whose size cannot exceed 1, without its leading zero.

    A value that would round to a bound it does not reach is written as a comparison: .998 is not 1.

    >>> fraction(0.8412), fraction(-0.021), fraction(0.998), fraction(1.0), fraction(0.0)
    ('.84', '−.02', '>.99', '1.00', '.00')
    """
    if 0.995 <= value < 1:
        return ">.99"
    if 0 < value < 0.005:
        return "<.01"
    text = f"{abs(value):.2f}".removeprefix("0")
    return f"−{text}" if value < 0 and text != ".00" else text


def small(value: float) -> str:
    """As `fraction`, with a third digit: for losses and differences.

    >>> small(0.0312), small(-0.004), small(0.00004)
    ('.031', '−.004', '<.001')
    """
    if 0 < value < 0.0005:
        return "<.001"
    text = f"{abs(value):.3f}".removeprefix("0")
    return f"−{text}" if value < 0 and text != ".000" else text


def plain(value: float) -> str:
    """A number that may exceed 1, with two digits and a true minus sign.

    >>> plain(0.92), plain(-0.1)
    ('0.92', '−0.10')
    """
    text = f"{abs(value):.2f}"
    return f"−{text}" if value < 0 and text != "0.00" else text


def percent(value: float) -> str:
    """A proportion in whole per cent; comparisons at the bounds as in `fraction`.

    >>> [percent(x).replace(THIN, " ") for x in (0.814, 0.997, 0.002, 1.0)]
    ['81 %', '>99 %', '<1 %', '100 %']
    """
    if 0.995 <= value < 1:
        text = ">99"
    elif 0 < value < 0.005:
        text = "<1"
    else:
        text = f"{100 * value:.0f}"
    return f"{text}{THIN}%"


def pretty(tree: object) -> str:
    """JSON to read: a list of words or numbers stays on one line.

    >>> print(pretty({"a": [1, 2]}))
    {
      "a": [ 1, 2 ]
    }
    """
    text = json.dumps(tree, indent=2, ensure_ascii=False, default=str)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)


def quantity(value: float) -> str:
    """A number of any size in three digits.

    >>> quantity(0.5), quantity(1234.5), quantity(-9.96e-05), quantity(3.2e7)
    ('0.5', '1230', '−0.0000996', '3.2 × 10^7')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else NOTHING
    power = math.floor(math.log10(abs(value)))
    if -6 <= power < 6:
        rounded = round(value, 2 - power)
        text = f"{rounded:.{max(0, 2 - power)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value / 10**power:.3g} × 10^{power}"
    return text.replace("-", "−")


def feature(name: str, recipes: Sequence[str]) -> str:
    """A feature's name to read: without the recipe where it says nothing, the aggregate behind.

    >>> feature("range(picture/picture_red_mean)", ["picture"])
    'red mean (range)'
    >>> feature("fundus/disc/area", ["fundus", "picture"]), feature("snr_total", [])
    ('fundus / disc / area', 'snr total')
    """
    how, _, inside = name.partition("(")
    aggregated = inside.endswith(")") and how.isalpha()
    *where, last = (inside[:-1] if aggregated else name).split("/")
    if where and where[0] in recipes:
        last = last.removeprefix(f"{where[0]}_")
        where = where[1:] if len(recipes) == 1 else where
    text = " / ".join([*where, last]).replace("_", " ")
    return f"{text} ({how})" if aggregated else text


def recalibration(coefficients: Sequence[float]) -> str:
    """Intercept and slope of a recalibration in words.

    >>> recalibration([0.0, 1.0])
    'none: it did not help on people that it had not seen'
    >>> recalibration([-0.2, 0.9])
    'log odds = −0.20 + 0.90 × log odds of the model'
    """
    intercept, slope = coefficients
    if (intercept, slope) == (0.0, 1.0):
        return "none: it did not help on people that it had not seen"
    return f"log odds = {plain(intercept)} + {plain(slope)} × log odds of the model"


def count(value: int) -> str:
    """A count, thousands apart.

    >>> count(160861).replace(THIN, " ")
    '160 861'
    """
    return f"{value:,}".replace(",", THIN)


def with_interval(estimate: Estimate | None, writer: Writer = fraction) -> str:
    """``.84 (.75 to .92)``; a figure that does not exist is called *not estimable*, never left out.

    >>> with_interval(Estimate(0.8412, 0.75, 0.92))
    '.84 (.75 to .92)'
    >>> with_interval(Estimate(0.85, 0.72, 0.98), percent).replace(THIN, " ")
    '85 % (72 to 98 %)'
    >>> with_interval(Estimate(float("nan"), 0.0, 1.0))
    'not estimable'
    """
    if estimate is None or not math.isfinite(estimate.value):
        return NOTHING
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"{writer(estimate.value)} (no interval)"
    low = writer(estimate.low).removesuffix(f"{THIN}%")
    return f"{writer(estimate.value)} ({low} to {writer(estimate.high)})"


METRICS: Mapping[str, tuple[str, Writer]] = {
    "roc_auc": ("ROC-AUC", fraction),
    "pr_auc": ("PR-AUC", fraction),
    "brier": ("Brier score", small),
    "calibration_slope": ("Calibration slope", plain),
    "calibration_intercept": ("Calibration intercept", plain),
    "sensitivity": ("Sensitivity", percent),
    "specificity": ("Specificity", percent),
    "ppv": ("Positive predictive value", percent),
    "npv": ("Negative predictive value", percent),
}
"""The metrics of a `Performance`, in the order of the report: what they are called, how they are written."""


def metric(performance: Performance, name: str) -> str:
    """One metric with its interval, written as its kind is written."""
    return with_interval(performance.metrics.get(name), METRICS[name][1])


def hospitals(sites: Sequence[str]) -> str:
    """Sites in a sentence, the first five by name.

    >>> hospitals(["East"]), hospitals(["East", "West"])
    ('a hospital (East)', '2 hospitals (East, West)')
    """
    if len(sites) == 1:
        return f"a hospital ({sites[0]})"
    named = ", ".join(sites[:5]) + (f" and {len(sites) - 5} more" if len(sites) > 5 else "")
    return f"{len(sites)} hospitals ({named})"


def performance_sentence(performance: Performance, *, unseen: bool, sites: Sequence[str] = ()) -> str:
    """The main result in one plain sentence.

    ``unseen`` says whether the people were kept out of development altogether (the test set) or predicted in turn
    (cross-validation); ``sites`` names their hospitals when those were kept out altogether, too.
    """
    people = f"{count(performance.patients)} patient{'' if performance.patients == 1 else 's'}"
    people += f" of {hospitals(sites)}" if sites else ""
    where = (
        f"On {people} that the model had never seen"
        if unseen
        else f"In nested cross-validation on {people}, each predicted by models that had not seen them"
    )
    auc = performance.metrics.get("roc_auc")
    if auc is None or not math.isfinite(auc.value):
        return f"{where}, ROC-AUC could not be estimated."
    if not (math.isfinite(auc.low) and math.isfinite(auc.high)):
        return f"{where}, ROC-AUC was {fraction(auc.value)} (no interval)."
    interval = f"95{THIN}% interval {fraction(auc.low)} to {fraction(auc.high)}"
    return f"{where}, ROC-AUC was {fraction(auc.value)} ({interval})."
