from io import BytesIO

import numpy as np
import pydicom
import pytest

from tapetum.testing import dicom_series, segmentation, structure_set, to_bytes

SERIES = dicom_series(slices=9, spacing_mm=(2.0, 0.8, 0.8), origin_mm=(-12, -12, -8))
MASK = np.zeros((9, 32, 32), bool)
MASK[3:5, 9:20, 9:20] = True


def test_binary_segments_pack_eight_voxels_into_a_byte() -> None:
    read = pydicom.dcmread(BytesIO(to_bytes(segmentation(SERIES, {"Lesion": MASK}))))
    assert len(read.PixelData) == 2 * 32 * 32 / 8
    assert np.array_equal(read.pixel_array, MASK[3:5])


def test_fractional_segments_keep_their_chances() -> None:
    read = pydicom.dcmread(BytesIO(to_bytes(segmentation(SERIES, {"Lesion": MASK * 0.6}, fractional=True))))
    assert read.pixel_array.max() / read.MaximumFractionalValue == pytest.approx(0.6)


def test_empty_frames_are_kept_when_asked() -> None:
    assert segmentation(SERIES, {"Lesion": MASK}, skip_empty=False).NumberOfFrames == 9


def test_contours_lie_on_the_ellipsoid_and_in_their_slices() -> None:
    made = structure_set(SERIES, centre_mm=(0.0, 0.0, 0.0), radii_mm=(6.5, 5.0, 4.0))
    contours = made.ROIContourSequence[0].ContourSequence
    points = np.concatenate([np.array(one.ContourData, float).reshape(-1, 3) for one in contours])
    assert np.allclose(((points / [4.0, 5.0, 6.5]) ** 2).sum(axis=1), 1, atol=1e-3)
    assert sorted(set(points[:, 2])) == [-6, -4, -2, 0, 2, 4, 6]


def test_hole_is_a_second_contour_in_its_slices() -> None:
    plain = structure_set(SERIES, centre_mm=(0.0, 0.0, 0.0), radii_mm=(6.5, 5.0, 4.0))
    hollow = structure_set(SERIES, centre_mm=(0.0, 0.0, 0.0), radii_mm=(6.5, 5.0, 4.0), hole_radii_mm=(2.5, 2.0, 2.0))
    counts = [len(one.ROIContourSequence[0].ContourSequence) for one in (plain, hollow)]
    assert counts == [7, 10]
