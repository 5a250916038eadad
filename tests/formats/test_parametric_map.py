from io import BytesIO
from typing import Any

import highdicom
import highdicom.pm
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from tapetum.formats.parametric_map import mapping_of, real_values
from tapetum.model import Image, Instance, Series
from tapetum.standardise import to_image
from tapetum.testing import dicom_series, to_bytes

SOURCES = dicom_series(modality="MR", slices=3, rows=6, columns=5)


def parametric_map(values: np.ndarray, *, slope: float = 1.0, intercept: float = 0.0) -> Any:
    """A map written by highdicom."""
    for one in SOURCES:
        one.PatientName = "Doe^Jane"
    stored = (
        (float(values.min()), float(values.max()))
        if values.dtype.kind == "f"
        else (int(values.min()), int(values.max()))
    )
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="adc",
        lut_explanation="apparent diffusion coefficient",
        unit=codes.UCUM.SquareMillimeterPerSecond,
        value_range=stored,
        slope=slope,
        intercept=intercept,
    )
    return highdicom.pm.ParametricMap(
        source_images=SOURCES,
        pixel_array=values,
        series_instance_uid=highdicom.UID(),
        series_number=9,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[highdicom.VOILUTTransformation(window_center=0.0, window_width=1.0)],
    )


def build(files: list[Any]) -> Image:
    blobs = {one.SOPInstanceUID: to_bytes(one) for one in files}
    instances = [Instance(uid, "1", "1", "p", uid, uid, "dicom", 1) for uid in blobs]
    series = Series("1", "1", "p", "MR", "image", "", "dicom", len(blobs))
    return to_image(series, instances, lambda key: BytesIO(blobs[key]))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_float_map_of_highdicom_keeps_values_place_and_unit(kind: type) -> None:
    values = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(kind)
    image = build([parametric_map(values)])
    expected = build(SOURCES)
    assert image.geometry.same_grid(expected.geometry)
    assert np.array_equal(image.array, values.astype(np.float32))
    assert image.quantity.unit == "mm2/s"
    assert image.quantity.name == "apparent diffusion coefficient"


def test_stored_whole_numbers_become_the_quantity_by_slope_and_intercept() -> None:
    values = np.random.default_rng(0).integers(0, 4000, (3, 6, 5)).astype(np.uint16)
    image = build([parametric_map(values, slope=1e-6, intercept=0.5)])
    assert np.allclose(image.array, values * 1e-6 + 0.5)


def test_other_objects_have_no_mapping() -> None:
    assert mapping_of(SOURCES[0]) is None


def test_mapping_of_slope_zero_is_none() -> None:
    header, mapping = Dataset(), Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.0, 1.0
    header.RealWorldValueMappingSequence = [mapping]
    assert mapping_of(header) is None
    mapping.RealWorldValueSlope = 2.0
    assert mapping_of(header)[:2] == (2, 1)
    assert real_values(np.array([3]), mapping_of(header)).tolist() == [7]
