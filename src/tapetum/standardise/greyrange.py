"""Grey range: stored values -> numbers that mean something, with their unit.

In: stored values and the header they came with.  Out: float32 in Hounsfield units (CT), SUVbw or Bq/mL (PET), grey
values in which bright is dense (X-ray), arbitrary units (MR and the rest); uint8 for colour.
Definitions: DICOM PS3.3 C.11.1 (Modality LUT), C.7.6.3.1.2 (photometric interpretation), C.8.9.1 (PET).
Start reading at `grey_values`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut
from pydicom.valuerep import DA, TM

from tapetum.formats.frames import frame_value
from tapetum.model import Notice, Quantity

__all__ = [
    "PROJECTIONS",
    "check_hounsfield",
    "grey_values",
    "normalise",
    "quantity_of",
    "rescale",
    "rescale_of",
    "suv_factor",
    "to_rgb",
]

PROJECTIONS = frozenset({"CR", "DX", "MG", "RF", "RG", "XA", "PX", "IO"})
"""Modalities (0008,0060) whose images are X-ray projections."""
HOUNSFIELD = Quantity("CT number", "[hnsf'U]")
ARBITRARY = "[arb'U]"
TRANSFORM = "PixelValueTransformationSequence"
HU_FAT, HU_NO_TISSUE = -50.0, -200.0


def rescale(stored: NDArray[Any], *, slope: float, intercept: float) -> NDArray[np.float32]:
    """Apply Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).

    Parameters
    ----------
    stored : any shape, integer or float. Not modified.
    slope, intercept : as in the header.

    Returns
    -------
    float32 of the same shape, a new array.

    Raises
    ------
    ValueError : the slope is zero, or either is not finite.

    Source: DICOM PS3.3 C.11.1.1.2.

    >>> rescale(np.array([0, 1024]), slope=1.0, intercept=-1024.0).tolist()
    [-1024.0, 0.0]
    """
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ValueError("a rescale slope is finite and not zero")
    return np.asarray(stored.astype(np.float64) * slope + intercept, np.float32)


def rescale_of(dataset: Dataset, frame: int = 0) -> tuple[float, float] | None:
    """Slope and intercept of one frame (from 0); (1, 0) where there are none; None where they are impossible."""
    slope = frame_value(dataset, frame, TRANSFORM, "RescaleSlope")
    intercept = frame_value(dataset, frame, TRANSFORM, "RescaleIntercept")
    pair = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    return pair if pair[0] != 0 and np.isfinite(pair).all() else None


def grey_values(stored: NDArray[Any], dataset: Dataset, frame: int = 0) -> NDArray[np.float32]:
    """Turn the stored grey values of one frame into those of `quantity_of`.

    The Modality LUT or rescale is applied where the header has one that is possible, else the values stay as stored.
    PET in Bq/mL is multiplied by `suv_factor` where the header allows. An X-ray image whose smallest value is to be
    shown white (MONOCHROME1) is turned over within its bits, so that bright is dense.

    Parameters
    ----------
    stored : (y, x) as `tapetum.formats.pixels.decode` gives them. Not modified.
    dataset : the header of the same object.
    frame : which frame, from 0.
    """
    modality = str(dataset.get("Modality", ""))
    turned = modality in PROJECTIONS and dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    if dataset.get("ModalityLUTSequence"):
        looked_up = np.asarray(apply_modality_lut(stored, dataset), np.float32)
        highest = (1 << int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])) - 1
        return np.float32(highest) - looked_up if turned else looked_up
    if turned:
        low, high = _stored_range(dataset)
        stored = low + high - stored.astype(np.int64)
    slope, intercept = rescale_of(dataset, frame) or (1.0, 0.0)
    if modality == "PT":
        slope, intercept = (value * (suv_factor(dataset) or 1.0) for value in (slope, intercept))
    return rescale(stored, slope=slope, intercept=intercept)


def quantity_of(dataset: Dataset) -> Quantity:
    """What the values of `grey_values` are, and their UCUM unit."""
    modality = str(dataset.get("Modality", ""))
    if modality == "CT":
        kind = str(frame_value(dataset, 0, TRANSFORM, "RescaleType") or "HU")
        return HOUNSFIELD if kind in {"HU", "US"} else Quantity(f"CT derived value ({kind})", "1")
    if modality == "PT":
        return _pet_quantity(dataset)
    if modality in PROJECTIONS:
        table = dataset.get("ModalityLUTSequence")
        low, high = (0, (1 << int(table[0].LUTDescriptor[2])) - 1) if table else _stored_range(dataset)
        return Quantity(f"X-ray grey value from {low} to {high}, bright is dense", ARBITRARY)
    return Quantity("MR signal" if modality == "MR" else "grey value", ARBITRARY)


def suv_factor(dataset: Dataset) -> float | None:
    """What turns Bq/mL into the standardised uptake value by body weight (g/mL); None where the header does not allow.

    weight / (injected activity, decayed to the time that the pixels are corrected to). That time is the start of the
    series (START) or the injection itself (ADMIN). Attenuation and decay must have been corrected.

    Source: QIBA FDG-PET/CT profile, "SUV calculation" (vendor-neutral pseudo-code, happy path only).
    """
    corrected = set(dataset.get("CorrectedImage") or [])
    tracer = (dataset.get("RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    weight_kg, dose_bq = dataset.get("PatientWeight"), tracer.get("RadionuclideTotalDose")
    if dataset.get("Units") != "BQML" or not {"ATTN", "DECY"} <= corrected or not weight_kg or not dose_bq:
        return None
    if dataset.get("DecayCorrection") == "ADMIN":
        return float(weight_kg) * 1000.0 / float(dose_bq)
    half_life_s, waited = tracer.get("RadionuclideHalfLife"), _since_injection(dataset, tracer)
    if dataset.get("DecayCorrection") != "START" or not half_life_s or waited is None:
        return None
    decayed_bq: float = float(dose_bq) * 2.0 ** (-waited.total_seconds() / float(half_life_s))
    return float(weight_kg) * 1000.0 / decayed_bq


def check_hounsfield(array: NDArray[np.float32]) -> Notice | None:
    """A notice when values cannot be Hounsfield units.

    Air is -1000 and water 0 by definition (PS3.3 C.11.1.1.2), fat about -100. A series whose lowest 1 in 1,000 is above
    -50 shows neither air nor lung nor fat: an intercept was forgotten. One whose highest 1 in 1,000 is below -200
    shows no tissue at all: an intercept was applied twice.

    Parameters
    ----------
    array : values of the whole series, any shape.
    """
    low, high = np.percentile(array[..., ::2, ::2], [0.1, 99.9])
    if low <= HU_FAT and high >= HU_NO_TISSUE:
        return None
    return Notice("wrong-rescale", f"values from {low:.0f} to {high:.0f} cannot be Hounsfield units of a person")


def normalise(array: NDArray[Any], *, low_percent: float = 1.0, high_percent: float = 99.0) -> NDArray[np.float32]:
    """Map two percentiles to 0 and 1 and clip beyond: makes MR and other arbitrary grey values comparable.

    Parameters
    ----------
    array : any shape. Not modified.
    low_percent, high_percent : 0 to 100.

    Returns
    -------
    float32 of the same shape; all zero where both percentiles are the same.
    """
    low, high = np.percentile(array, [low_percent, high_percent])
    if high <= low:
        return np.zeros(array.shape, np.float32)
    return np.asarray(np.clip((array.astype(np.float64) - low) / (high - low), 0.0, 1.0), np.float32)


def to_rgb(stored: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Colour of any depth as 8 bits: the highest eight of ``bits`` stay."""
    return stored.astype(np.uint8) if bits <= 8 else (stored >> (bits - 8)).astype(np.uint8)


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    bits = int(dataset.get("BitsStored", 16))
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dataset.get("PixelRepresentation") else (0, (1 << bits) - 1)


def _pet_quantity(dataset: Dataset) -> Quantity:
    units = dataset.get("Units")
    if suv_factor(dataset) is not None or (units == "GML" and dataset.get("SUVType", "BW") == "BW"):
        return Quantity("standardised uptake value by body weight", "g/mL")
    if units == "BQML":
        return Quantity("activity concentration", "Bq/mL")
    return Quantity("PET signal", ARBITRARY)


def _since_injection(dataset: Dataset, tracer: Dataset) -> timedelta | None:
    """Time from injection to the start of the series, or of the acquisition when that is earlier (as QIBA has it)."""
    starts = [_moment(dataset, kind) for kind in ("Series", "Acquisition")]
    known = [start for start in starts if start is not None]
    if not known:
        return None
    start = min(known)
    whole = str(tracer.get("RadiopharmaceuticalStartDateTime") or "")[:14]
    clock = tracer.get("RadiopharmaceuticalStartTime")
    if clock:
        injected = datetime.combine(start.date(), TM(clock))
        injected -= timedelta(days=1) if injected > start else timedelta()  # scanned after midnight
    elif len(whole) == 14:
        injected = datetime.strptime(whole, "%Y%m%d%H%M%S")
    else:
        return None
    return start - injected if injected <= start else None


def _moment(dataset: Dataset, kind: str) -> datetime | None:
    date, time = dataset.get(f"{kind}Date"), dataset.get(f"{kind}Time")
    return datetime.combine(DA(date), TM(time)) if date and time else None
