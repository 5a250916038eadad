"""Structured reports that arrive: their measurements become observations. Start at `measurements`."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import BinaryIO

import pydicom

from tapetum.errors import RejectedInput
from tapetum.formats import sr
from tapetum.formats.damage import parsing
from tapetum.model import Instance, Observation

__all__ = ["METHOD", "is_report", "measurements"]

METHOD = "sr"
"""Without a version: reports are read, not computed, so a second one about a series does not replace the first."""


def is_report(instance: Instance) -> bool:
    """Whether a stored object is a Structured Report."""
    return str(instance.attributes.get("SOPClassUID", "")).startswith(sr.CLASSES)


def measurements(file: BinaryIO, instance: Instance) -> list[Observation]:
    """The numbers of a stored report, as facts about its patient; words of it are none.

    Parameters
    ----------
    file : the stored object. A report that cannot be understood has no measurements: it is kept all the same.
    instance : its row; its digest is the source of the observations.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            with parsing("a report"):
                dataset = pydicom.dcmread(file, force=True)
            found = sr.read(dataset)
    except RejectedInput:
        return []
    key, digest = instance.patient_key, instance.source_digest
    return [replace(one, patient_key=key, method=METHOD, source=digest) for one in found if one.value is not None]
