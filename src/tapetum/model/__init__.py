"""Frozen domain types and their invariants, in the words of DICOM and FHIR. numpy only, no input or output."""

from tapetum.model.geometry import Geometry
from tapetum.model.image import Image, Region
from tapetum.model.observation import Feature, Observation
from tapetum.model.records import Arrival, Instance, Rejected, Series
from tapetum.model.terms import Code, Notice, Quantity

__all__ = [
    "Arrival",
    "Code",
    "Feature",
    "Geometry",
    "Image",
    "Instance",
    "Notice",
    "Observation",
    "Quantity",
    "Region",
    "Rejected",
    "Series",
]
