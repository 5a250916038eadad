"""Siemens mosaics of known volumes. Start reading at `siemens_mosaic`."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset

from tapetum.testing.objects import decimal, new_object, set_pixels, uid

__all__ = ["csa_header", "siemens_mosaic"]

Triple = tuple[float, float, float]


def siemens_mosaic(
    volume: NDArray[np.uint16],
    *,
    number: int = 1,
    seconds: float = 0.0,
    spacing_mm: Triple = (3.0, 2.0, 2.0),
    origin_mm: Triple = (-20.0, -30.0, -10.0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    upside_down: bool = False,
    b_value: float | None = None,
    gradient: Triple | None = None,
    repetition_ms: float = 2000.0,
) -> FileDataset:
    """One volume as one mosaic, with the CSA header and the private attributes that Siemens writes.

    Parameters
    ----------
    volume : (z, y, x) stored values; z as acquired.
    number : Instance Number and Acquisition Number.
    seconds : of the acquisition, after ten o'clock.
    spacing_mm : along z, y, x.
    origin_mm : LPS of the first pixel of the first slice.
    orientation : Image Orientation (Patient).
    upside_down : slices were acquired against the normal (row x column).
    b_value, gradient : diffusion weighting in s/mm2 and its LPS direction.
    repetition_ms : Repetition Time.
    """
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal = np.cross(row, column) * (-1 if upside_down else 1)
    tiles, (rows, columns) = len(volume), volume.shape[1:]
    across = ceil(sqrt(tiles))
    picture = np.zeros((across * rows, across * columns), np.uint16)
    for tile, one in enumerate(volume):
        down, right = divmod(tile, across)
        picture[down * rows : (down + 1) * rows, right * columns : (right + 1) * columns] = one
    corner = np.array(origin_mm) - (across - 1) / 2 * (column * rows * spacing_mm[1] + row * columns * spacing_mm[2])
    image = new_object("MR", "PAT-M", "Doe^Jane", modality="MR", study="1", series="mosaic", instance=str(number))
    image.Manufacturer, image.ManufacturerModelName = "SIEMENS", "TrioTim"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "DIFFUSION" if b_value is not None else "FMRI", "NONE", "MOSAIC"]
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "EP", "SK", "FS"
    image.MRAcquisitionType, image.SequenceName = "2D", "ep_b0" if b_value is not None else "epfid2d1_64"
    image.ProtocolName = image.SeriesDescription = "diffusion" if b_value is not None else "bold"
    image.RepetitionTime, image.EchoTime, image.MagneticFieldStrength = decimal(repetition_ms), "30", "3"
    image.AcquisitionDate, image.AcquisitionTime = "20200607", _clock(seconds)
    image.ContentTime = image.AcquisitionTime
    image.InstanceNumber = image.AcquisitionNumber = str(number)
    image.FrameOfReferenceUID = uid("PAT-M", "mosaic", "frame")
    image.ImagePositionPatient = [decimal(value) for value in corner]
    image.ImageOrientationPatient = [decimal(value) for value in orientation]
    image.PixelSpacing = [decimal(spacing_mm[1]), decimal(spacing_mm[2])]
    image.SliceThickness = image.SpacingBetweenSlices = decimal(spacing_mm[0])
    image.InPlanePhaseEncodingDirection = "COL"
    image.AcquisitionMatrix = [columns, 0, 0, rows]
    set_pixels(image, picture, bits_stored=12)
    _say_privately(image, tiles, normal, b_value, gradient)
    return image


def csa_header(entries: Mapping[str, Sequence[float]]) -> bytes:
    """A CSA header of the layout SV10 with numbers by name."""
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(entries), 77)
    for name, values in entries.items():
        texts = [f"{value:.8f}".encode() + b"\0" for value in values]
        out += struct.pack("<64si4siii", name.encode(), len(values), b"FD\0\0", 4, len(texts), 77)
        for text in texts:
            out += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return out


def _say_privately(
    image: FileDataset, tiles: int, normal: NDArray[np.float64], b_value: float | None, gradient: Triple | None
) -> None:
    block = image.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", tiles)
    entries: dict[str, Sequence[float]] = {"NumberOfImagesInMosaic": [tiles], "SliceNormalVector": normal.tolist()}
    if b_value is not None:
        block.add_new(0x0C, "IS", str(round(b_value)))
        entries["B_value"] = [b_value]
    if gradient is not None:
        block.add_new(0x0E, "FD", list(gradient))
        entries["DiffusionGradientDirection"] = list(gradient)
    csa = image.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    csa.add_new(0x08, "CS", "IMAGE NUM 4")
    csa.add_new(0x10, "OB", csa_header(entries))


def _clock(seconds: float) -> str:
    whole = 10 * 3600 + seconds
    return f"{int(whole // 3600):02d}{int(whole % 3600 // 60):02d}{whole % 60:09.6f}"
