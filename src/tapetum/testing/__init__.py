"""Virtual patients and contract tests, shipped for people who extend tapetum. Start reading at `phantoms`."""

from tapetum.testing.drawings import segmentation, structure_set
from tapetum.testing.mosaics import siemens_mosaic
from tapetum.testing.objects import to_bytes
from tapetum.testing.phantoms import dicom_series, enhanced, radiograph, virtual_volume

__all__ = [
    "dicom_series",
    "enhanced",
    "radiograph",
    "segmentation",
    "siemens_mosaic",
    "structure_set",
    "to_bytes",
    "virtual_volume",
]
