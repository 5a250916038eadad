"""What stands at the top of a BIDS folder: its description and its participants; and which runs are there already.

Definition: BIDS 1.10 (https://bids-specification.readthedocs.io/).  Start reading at `describe`.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from tapetum.formats.bids import BIDS_VERSION, BidsName

__all__ = ["add_participant", "describe", "free_run"]

README = "Brain scans of a tapetum workspace, named by tapetum's rule (see GeneratedBy in dataset_description.json).\n"
COLUMNS = ("participant_id", "age", "sex")
SEXES = {"M": "M", "F": "F", "O": "O"}


def describe(folder: Path, *, version: str) -> None:
    """Write dataset_description.json and README where they are not there yet."""
    description = folder / "dataset_description.json"
    if not description.exists():
        facts = {
            "Name": folder.resolve().name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": "tapetum", "Version": version}],
        }
        description.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if not (folder / "README").exists():
        (folder / "README").write_text(README, encoding="utf-8")


def add_participant(folder: Path, subject: str, *, sex: str, age: str) -> None:
    """Add a row to participants.tsv; a participant who is there already stays as he is.

    Parameters
    ----------
    folder : of the whole.
    subject : the label behind ``sub-``.
    sex : DICOM Patient's Sex.
    age : DICOM Patient's Age (``063Y``); days, weeks and months become parts of a year.
    """
    path = folder / "participants.tsv"
    rows: dict[str, dict[str, str]] = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = {row["participant_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    name = f"sub-{subject}"
    if name in rows:
        return
    rows[name] = {"participant_id": name, "age": _years(age), "sex": SEXES.get(sex, "n/a")}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", restval="n/a", extrasaction="ignore")
        table.writeheader()
        table.writerows(rows[key] for key in sorted(rows))


def free_run(folder: Path, name: BidsName, series_instance_uid: str) -> int:
    """The run under which a series lies already, or the first that is free."""
    run = 1
    while (found := folder / f"{name.path(run)}.json").exists():
        if json.loads(found.read_text(encoding="utf-8")).get("SeriesInstanceUID") == series_instance_uid:
            return run
        run += 1
    return run


def _years(age: str) -> str:
    match = re.fullmatch(r"(\d{3})([DWMY])", age.strip())
    if not match:
        return "n/a"
    return f"{int(match[1]) / {'Y': 1, 'M': 12, 'W': 52.18, 'D': 365.25}[match[2]]:.3g}"
