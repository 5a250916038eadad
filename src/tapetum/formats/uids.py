"""UIDs that DICOM PS3.6 registered after the edition that pydicom knows. Start reading at `StandardUID`."""

from __future__ import annotations

from pydicom import config
from pydicom.uid import UID

__all__ = ["StandardUID", "uid_of"]

SYNTAX, CLASS = "Transfer Syntax", "SOP Class"
NEWER = {
    "1.2.840.10008.1.2.4.110": (SYNTAX, "JPEG XL Lossless"),
    "1.2.840.10008.1.2.4.111": (SYNTAX, "JPEG XL JPEG Recompression"),
    "1.2.840.10008.1.2.4.112": (SYNTAX, "JPEG XL"),
    "1.2.840.10008.1.2.8.1": (SYNTAX, "Deflated Image Frame Compression"),
    "1.2.840.10008.5.1.4.1.1.66.7": (CLASS, "Label Map Segmentation Storage"),
    "1.2.840.10008.5.1.4.1.1.66.8": (CLASS, "Height Map Segmentation Storage"),
}
"""UID -> type and name. What the type says of an encoding (encapsulated or not), pydicom derives."""


class StandardUID(UID):
    """pydicom's UID, which also knows what was registered lately."""

    @property
    def type(self) -> str:
        """``Transfer Syntax``, ``SOP Class`` and so on; empty for what is not registered."""
        return NEWER[self][0] if self in NEWER else str(super().type)

    @property
    def name(self) -> str:
        """What it is called; the UID itself when it is not registered."""
        return NEWER[self][1] if self in NEWER else str(super().name)


def uid_of(text: str) -> StandardUID:
    """A text as a UID, whether it is a valid one or not."""
    return StandardUID(text, config.IGNORE)
