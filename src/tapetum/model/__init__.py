"""Frozen domain types and their invariants, in the words of DICOM and FHIR. numpy only, no input or output."""

from tapetum.model.geometry import Geometry
from tapetum.model.image import Image, Region
from tapetum.model.observation import Feature, Observation
from tapetum.model.query import LEVELS, Level, Query, Row
from tapetum.model.records import Arrival, Instance, Rejected, Series
from tapetum.model.terms import Code, Notice, Quantity

__all__ = [
    "LEVELS",
    "Arrival",
    "Code",
    "Feature",
    "Geometry",
    "Image",
    "Instance",
    "Level",
    "Notice",
    "Observation",
    "Quantity",
    "Query",
    "Region",
    "Rejected",
    "Row",
    "Series",
]
