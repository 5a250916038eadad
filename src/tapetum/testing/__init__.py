"""Virtual patients and contract tests, shipped for people who extend tapetum. Start reading at `phantoms`."""

from tapetum.testing.phantoms import (
    dicom_series,
    enhanced,
    radiograph,
    segmentation,
    structure_set,
    to_bytes,
    virtual_volume,
)

__all__ = [
    "dicom_series",
    "enhanced",
    "radiograph",
    "segmentation",
    "structure_set",
    "to_bytes",
    "virtual_volume",
]
