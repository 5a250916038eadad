"""Arrival: folders and archives of DICOM, NIfTI, NRRD and pictures, and tables. Start at `acquire`."""

from tapetum.acquire.ingest import Progress, Tally, acquire
from tapetum.acquire.intake import Policy
from tapetum.acquire.mapping import TableMapping, read_mapping

__all__ = ["Policy", "Progress", "TableMapping", "Tally", "acquire", "read_mapping"]
