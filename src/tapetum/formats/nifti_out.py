"""An `Image` -> NIfTI-1, with what FSL and BIDS keep beside it.

In: a volume with a place in the patient.  Out: ``.nii.gz`` in RAS, stored as dcm2niix does: x as the columns of the
slices, y from their lowest row up, z along the normal.  Definitions: nifti1.h; the b-vectors of FSL count along the
voxel axes (https://fsl.fmrib.ox.ac.uk/fsl/docs/#/diffusion/dtifit).  Start reading at `write`.
"""

from __future__ import annotations

import gzip
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InvalidGeometry
from tapetum.model import Geometry, Image

__all__ = ["affine_of", "b_tables", "repetition_s", "write"]

SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
EVEN = 0.01  # of the repetition: time points further apart have no single repetition
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MOST = 32767  # voxels along an axis: NIfTI-1 counts them in 16 bits


def write(image: Image, out: BinaryIO) -> None:
    """Write a compressed NIfTI-1 file; equal images give equal bytes.

    Whole numbers that fit 16 bits are stored as such, the rest as float32; slope 1 and intercept 0 either way. sform
    and qform say the same. The fourth pixdim is the repetition in seconds when the time points are even.

    Parameters
    ----------
    image : axes zyx or tzyx, with a geometry.
    out : a binary file.

    Raises
    ------
    InvalidGeometry : an image without a place in the patient, or of more voxels along an axis than NIfTI-1 can count.
    """
    geometry = _place(image)
    if max(image.array.shape) > MOST:
        raise InvalidGeometry("too many voxels along an axis for NIfTI-1", hint="export it as zarr", most=MOST)
    kind = image.exact_dtype if image.array.dtype != np.float64 else np.dtype(np.float32)
    affine = affine_of(geometry)
    repetition = repetition_s(image)
    header: Any = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(kind)
    header.set_data_shape(image.array.shape[::-1])
    header.set_sform(affine, SCANNER)
    header.set_qform(affine, SCANNER)
    zooms = geometry.spacing_mm[::-1]
    header.set_zooms((*zooms, repetition or 1.0) if image.axes == "tzyx" else zooms)
    header.set_xyzt_units("mm", "sec" if repetition else None)
    header.set_slope_inter(1.0, 0.0)
    header["descrip"] = f"{image.quantity.name} [{image.quantity.unit}]".encode("ascii", "replace")[:79]
    header["magic"] = b"n+1"
    header["vox_offset"] = len(header.binaryblock) + 4
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=4, mtime=0, filename="") as packed:
        packed.write(header.binaryblock + b"\0\0\0\0")
        for part in image.array:
            packed.write(np.ascontiguousarray(part[..., ::-1, :].astype(kind.newbyteorder("<"))).data)


def affine_of(geometry: Geometry) -> NDArray[np.float64]:
    """(4, 4) from the file's voxel index (x, y, z) to RAS millimetres; y runs against the geometry's."""
    corner = geometry.to_patient([0, geometry.shape[1] - 1, 0])
    z, y, x = np.array(geometry.direction) * np.array(geometry.spacing_mm)[:, None]
    affine = np.eye(4)
    affine[:3] = np.stack([x, -y, z, corner], axis=1)
    return np.asarray(LPS_TO_RAS @ affine, np.float64)


def repetition_s(image: Image) -> float:
    """Seconds from one time point to the next; 0 when there is one, when they are uneven, or unknown."""
    steps = np.diff(image.times_s)
    if not len(steps) or np.ptp(steps) > EVEN * np.median(steps):
        return 0.0
    return round(float(np.median(steps)), 6)


def b_tables(image: Image) -> tuple[str, str]:
    """The texts of FSL's ``.bval`` (s/mm2) and ``.bvec``; the second is empty where directions are unknown.

    Raises
    ------
    InvalidGeometry : an image without a place in the patient.
    ValueError : an image without b-values.
    """
    geometry = _place(image)
    if not image.b_values:
        raise ValueError("an image without b-values has no table of them")
    values = " ".join(f"{value:g}" for value in image.b_values) + "\n"
    if not image.b_vectors:
        return values, ""
    z, y, x = np.array(geometry.direction)
    axes = np.stack([x, -y, z])
    if np.linalg.det(LPS_TO_RAS[:3, :3] @ axes.T) > 0:
        axes[0] *= -1  # FSL turns x over where the voxel axes are right-handed
    rows = axes @ np.array(image.b_vectors).T
    return values, "".join(" ".join(f"{value + 0.0:.6g}" for value in row) + "\n" for row in rows)


def _place(image: Image) -> Geometry:
    if image.geometry is None or image.axes not in ("zyx", "tzyx"):
        raise InvalidGeometry("an image without a place in the patient", hint="export it as dicom", axes=image.axes)
    return image.geometry
