"""Arrival: folders and archives of DICOM, NIfTI, NRRD and pictures, and tables. Start at `acquire`."""

from tapetum.acquire.door import Door
from tapetum.acquire.ingest import Progress, Tally, acquire
from tapetum.acquire.intake import Intake, Policy
from tapetum.acquire.mapping import TableMapping, read_mapping

__all__ = ["Door", "Intake", "Policy", "Progress", "TableMapping", "Tally", "acquire", "read_mapping"]
