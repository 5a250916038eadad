"""Virtual patients: DICOM objects made of nothing, whose every voxel and outline is known.

In: what the patient, the grid and the lesion shall be.  Out: pydicom datasets with the identifiers that a hospital
writes into them.  UIDs follow from the arguments, so the same call makes the same bytes.  Start at `dicom_series`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset

from tapetum.model.geometry import Triple
from tapetum.testing.objects import decimal, new_object, set_pixels, uid

__all__ = ["dicom_series", "enhanced", "radiograph", "shared_grid", "virtual_volume"]

AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
AIR, TISSUE, LESION = 0, 1064, 1164  # stored values; with the intercept of CT: -1024, 40 and 140 HU


def virtual_volume(
    shape: tuple[int, int, int], *, lesion_radius: float = 0.25, noise: float = 0.0, seed: int = 0
) -> NDArray[np.int16]:
    """Draw a body in air with a lesion in its middle.

    Parameters
    ----------
    shape : voxels along z, y, x.
    lesion_radius : of the sphere in the middle, as a part of each axis' half length.
    noise : standard deviation of Gaussian noise, in stored units.
    seed : of the noise.

    Returns
    -------
    (z, y, x) int16 stored values: air 0, body 1064, lesion 1164.
    """
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    volume = np.full(shape, AIR, np.float64)
    volume[(y / 0.8) ** 2 + (x / 0.9) ** 2 <= 1] = TISSUE
    volume[z**2 + y**2 + x**2 <= lesion_radius**2] = LESION
    if noise:
        volume += np.random.default_rng(seed).normal(0.0, noise, shape)
    return np.clip(np.rint(volume), 0, 4095).astype(np.int16)


def dicom_series(
    *,
    patient_id: str = "PAT-1",
    patient_name: str = "Doe^Jane",
    modality: str = "CT",
    slices: int = 8,
    rows: int = 32,
    columns: int = 32,
    spacing_mm: Triple = (2.5, 0.8, 0.8),
    origin_mm: Triple = (-12.0, -12.0, -10.0),
    direction: tuple[Triple, Triple, Triple] = AXIAL,
    volume: NDArray[Any] | None = None,
    slope: float = 1.0,
    intercept: float | None = None,
    study: str = "1",
    series: str = "1",
    noise: float = 0.0,
    seed: int = 0,
) -> list[FileDataset]:
    """Make one series of single-frame images.

    Parameters
    ----------
    patient_id, patient_name : direct identifiers, written as a hospital would.
    modality : CT, MR or PT.
    slices, rows, columns : voxels along z, y, x; taken from ``volume`` when that is given.
    spacing_mm : along z, y, x.
    origin_mm : LPS x, y, z of the centre of the first voxel.
    direction : LPS unit vectors along which the z, y and x index grow, as in `tapetum.model.Geometry`.
    volume : (z, y, x) stored values that fit int16; by default `virtual_volume`.
    slope, intercept : the rescale; the intercept is -1024 for CT and 0 otherwise.
    study, series : names from which the UIDs are made; equal names give equal UIDs.
    noise, seed : handed to `virtual_volume`.

    Returns
    -------
    Datasets in the order of z.
    """
    if volume is None:
        volume = virtual_volume((slices, rows, columns), noise=noise, seed=seed)
    intercept = (-1024.0 if modality == "CT" else 0.0) if intercept is None else intercept
    made = []
    for index, plane in enumerate(volume):
        dataset = new_object(
            modality,
            patient_id,
            patient_name,
            modality=modality,
            study=study,
            series=series,
            instance=str(index),
        )
        position = np.array(origin_mm) + index * spacing_mm[0] * np.array(direction[0])
        dataset.InstanceNumber = str(index + 1)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.FrameOfReferenceUID = uid(patient_id, study, "frame")
        dataset.PositionReferenceIndicator = ""
        dataset.ImagePositionPatient = [decimal(value) for value in position]
        dataset.ImageOrientationPatient = [decimal(value) for value in (*direction[2], *direction[1])]
        dataset.PixelSpacing = [decimal(spacing_mm[1]), decimal(spacing_mm[2])]
        dataset.SliceThickness = decimal(spacing_mm[0])
        if modality != "MR":
            dataset.RescaleSlope, dataset.RescaleIntercept = decimal(slope), decimal(intercept)
        if modality == "CT":
            dataset.RescaleType, dataset.KVP = "HU", "120"
        set_pixels(dataset, plane.astype("<i2"))
        made.append(dataset)
    return made


def enhanced(series: Sequence[FileDataset]) -> FileDataset:
    """Put the single-frame images of one series into one enhanced multi-frame object (CT or MR), frames in reverse.

    The order is reversed because a reader must not trust it.
    """
    first = series[0]
    name, modality = str(first.PatientName), first.Modality
    dataset = new_object(
        ENHANCED[modality],
        first.PatientID,
        name,
        modality=modality,
        study="x",
        series=first.SeriesInstanceUID,
        instance="0",
    )
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "ImageType"):
        setattr(dataset, keyword, first[keyword].value)
    dataset.SharedFunctionalGroupsSequence = [shared_grid(first)]
    groups = []
    for image in reversed(series):
        frame, position, transform = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = image.ImagePositionPatient
        transform.RescaleSlope = image.get("RescaleSlope", "1")
        transform.RescaleIntercept = image.get("RescaleIntercept", "0")
        transform.RescaleType = "HU" if first.Modality == "CT" else "US"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [transform]
        groups.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = str(len(series))
    planes = [np.frombuffer(image.PixelData, "<i2").reshape(image.Rows, image.Columns) for image in reversed(series)]
    set_pixels(dataset, np.stack(planes))
    return dataset


def radiograph(
    *,
    patient_id: str = "PAT-1",
    patient_name: str = "Doe^Jane",
    array: NDArray[np.uint16] | None = None,
    photometric: str = "MONOCHROME2",
    series: str = "xray",
) -> FileDataset:
    """Make one digital radiograph (DX) with 12 bits stored: a bright disc on a dark ground unless ``array`` is given.

    ``array`` is (y, x). With ``photometric`` MONOCHROME1 the smallest value is shown white.
    """
    if array is None:
        y, x = np.mgrid[-1:1:48j, -1:1:40j]
        array = np.where(y**2 + x**2 < 0.5, 3000, 200).astype(np.uint16)
    dataset = new_object("DX", patient_id, patient_name, modality="DX", study="1", series=series, instance="0")
    dataset.InstanceNumber = "1"
    dataset.ImagerPixelSpacing = ["0.2", "0.2"]
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    set_pixels(dataset, array.astype("<u2"), bits_stored=12, photometric=photometric)
    return dataset


def shared_grid(first: FileDataset) -> Dataset:
    """The functional groups that all frames drawn on a series share: pixel measures and orientation."""
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    return shared
