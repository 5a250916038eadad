from io import BytesIO

import numpy as np
import pydicom
import pytest

from tapetum.testing import (
    dicom_series,
    enhanced,
    radiograph,
    segmentation,
    structure_set,
    to_bytes,
    virtual_volume,
)


def test_same_arguments_make_the_same_bytes() -> None:
    assert to_bytes(dicom_series(seed=1, noise=3.0)[2]) == to_bytes(dicom_series(seed=1, noise=3.0)[2])


def test_patients_series_and_slices_have_uids_of_their_own() -> None:
    first, other = dicom_series(), dicom_series(patient_id="PAT-2")
    assert len({one.SOPInstanceUID for one in [*first, *other]}) == 16
    assert first[0].SeriesInstanceUID != dicom_series(series="2")[0].SeriesInstanceUID
    assert first[0].FrameOfReferenceUID == dicom_series(series="2")[0].FrameOfReferenceUID


def test_body_and_lesion_have_the_stored_values_that_were_promised() -> None:
    assert np.unique(virtual_volume((8, 32, 32))).tolist() == [0, 1064, 1164]


def test_every_kind_of_object_reads_back_with_its_identifiers() -> None:
    series = dicom_series(patient_name="Roe^Richard")
    mask = np.zeros((8, 32, 32), bool)
    mask[3:5, 9:20, 9:20] = True
    objects = [
        series[0],
        enhanced(series),
        radiograph(patient_name="Roe^Richard"),
        segmentation(series, {"Lesion": mask}),
        segmentation(series, {"Lesion": mask * 0.7}, fractional=True),
        structure_set(series, centre_mm=(0.0, 0.0, 0.0), radii_mm=(6.0, 5.0, 4.0)),
    ]
    for made in objects:
        read = pydicom.dcmread(BytesIO(to_bytes(made)))
        assert str(read.PatientName) == "Roe^Richard"
        assert read.Modality == made.Modality


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_each_modality_has_its_storage_class(modality: str) -> None:
    assert modality in dicom_series(modality=modality)[0].SOPClassUID.name.replace("Positron Emission Tomography", "PT")
