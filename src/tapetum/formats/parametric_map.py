"""Parametric maps: what their numbers mean.

In: an object with Real World Value Mapping.  Out: slope, intercept and the quantity with its UCUM unit.  Definitions:
DICOM PS3.3 C.7.6.16.2.11 (real world value mapping), A.75 (Parametric Map).  Start reading at `mapping_of`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tapetum.formats.frames import group_item
from tapetum.model import Quantity

__all__ = ["PARAMETRIC_MAP", "Mapping", "mapping_of", "real_values"]

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
QUANTITY = "246205007"  # SNOMED CT: quantity

Mapping = tuple[float, float, Quantity]


def mapping_of(dataset: Dataset, frame: int = 0) -> Mapping | None:
    """Slope, intercept and quantity of one frame (from 0) of a parametric map; None for other objects.

    A mapping by look-up table is not taken: it has no slope.
    """
    if str(dataset.get("SOPClassUID")) != PARAMETRIC_MAP:
        return None
    group = group_item(dataset, frame, "RealWorldValueMappingSequence")
    if not group and dataset.get("RealWorldValueMappingSequence"):
        group = dataset.RealWorldValueMappingSequence[0]
    slope, intercept = group.get("RealWorldValueSlope"), group.get("RealWorldValueIntercept")
    if slope is None or intercept is None or slope == 0 or not np.isfinite([slope, intercept]).all():
        return None
    units = group.get("MeasurementUnitsCodeSequence")
    unit = str(units[0].get("CodeValue") or "1") if units else "1"
    return float(slope), float(intercept), Quantity(_name(group), unit)


def real_values(stored: NDArray[Any], mapping: Mapping) -> NDArray[np.float32]:
    """Stored values, integer or float, any shape, as those of the mapping's quantity: a new array."""
    return np.asarray(stored.astype(np.float64) * mapping[0] + mapping[1], np.float32)


def _name(group: Dataset) -> str:
    for item in group.get("QuantityDefinitionSequence") or []:
        names, values = item.get("ConceptNameCodeSequence"), item.get("ConceptCodeSequence")
        if names and values and str(names[0].get("CodeValue")) == QUANTITY:
            return str(values[0].get("CodeMeaning") or values[0].get("CodeValue"))
    return str(group.get("LUTExplanation") or group.get("LUTLabel") or "parametric map")
