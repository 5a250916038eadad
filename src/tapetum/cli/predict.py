"""``tapetum predict``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tapetum.cli.talk import Json, show, stderr
from tapetum.errors import REJECTIONS
from tapetum.flow.predictions import Predicted, predict_paths

__all__ = ["predict"]


def predict(model: Path, path: Path, /, *paths: Path, mapping: Path | None = None, json: Json = False) -> int:
    """Predict new images with a packaged model.

    Parameters
    ----------
    model
        The model's folder, as `tapetum study run` printed it.
    path
        Images: a file, folder or archive.
    paths
        More of them.
    mapping
        TOML file that says whose the pictures are, when a table tells it.
    """
    found = predict_paths(model, [path, *paths], mapping=mapping)
    if json:
        show([asdict(row) for row in found], as_json=True)
    else:
        show([_readable(row) for row in found], as_json=False)
        risk = next((row.risk for row in found if row.risk), None)
        if risk:
            stderr.print(f"\n{risk.outcome}: {risk.notice}", markup=False)
    return 3 if any(row.rejected for row in found) else 0


def _readable(row: Predicted) -> dict[str, str]:
    file = row.files[0] if len(row.files) == 1 else f"{row.files[0]} and {len(row.files) - 1} more"
    if row.risk is None:
        return {"file": file, "probability": "", "interval": "", "says": f"{row.rejected}: {REJECTIONS[row.rejected]}"}
    risk = row.risk
    if risk.probability is None:
        reasons = "; ".join(f"{reason.code}: {reason.detail}" for reason in risk.abstentions)
        return {"file": file, "probability": "", "interval": "", "says": f"abstains ({reasons})"}
    return {
        "file": file,
        "probability": f"{risk.probability:.3f}",
        "interval": f"{risk.low:.3f} to {risk.high:.3f}",
        "says": f"{'at or above' if risk.positive else 'below'} the threshold of {risk.threshold:.3f}",
    }
