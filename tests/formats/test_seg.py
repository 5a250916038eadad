from io import BytesIO
from itertools import product

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats import seg
from tapetum.model import Code, Geometry
from tapetum.testing import dicom_series, segmentation, to_bytes

SERIES = dicom_series(slices=6, rows=10, columns=12)
GRID = Geometry((6, 10, 12), (2.5, 0.8, 0.8), (-12, -12, -10), frame_of_reference_uid=SERIES[0].FrameOfReferenceUID)
LESION = np.zeros(GRID.shape, bool)
LESION[2:4, 3:6, 4:9] = True
BODY = np.zeros(GRID.shape, bool)
BODY[:, 1:9, 1:11] = True


def test_every_segment_comes_back_where_it_was_drawn() -> None:
    lesion, body = seg.read(segmentation(SERIES, {"Lesion": LESION, "Body": BODY}), GRID)
    assert (lesion.label, body.label) == ("Lesion", "Body")
    assert np.array_equal(lesion.array, LESION)
    assert np.array_equal(body.array, BODY)
    assert lesion.code == Code("52988006", "SCT")


def test_frames_in_any_order_go_to_their_slices() -> None:
    drawn = segmentation(SERIES[::-1], {"Lesion": LESION[::-1]}, skip_empty=False)
    assert np.array_equal(seg.read(drawn, GRID)[0].array, LESION)


def test_half_of_a_fractional_voxel_belongs() -> None:
    chances = np.zeros(GRID.shape)
    chances[0, 0, :3] = 0.3, 0.51, 1.0
    (region,) = seg.read(segmentation(SERIES, {"Lesion": chances}, fractional=True), GRID)
    assert region.array[0, 0, :4].tolist() == [False, True, True, False]


def test_label_map_gives_each_label_its_mask() -> None:
    drawn = segmentation(SERIES, {"one": LESION * (1 / 255)}, fractional=True, skip_empty=False)
    drawn.SegmentationType = "LABELMAP"
    assert np.array_equal(seg.read(drawn, GRID)[0].array, LESION)


def test_other_frame_of_reference_is_refused_with_a_hint() -> None:
    drawn = segmentation(SERIES, {"Lesion": LESION})
    drawn.FrameOfReferenceUID = "1.2.3"
    with pytest.raises(InvalidGeometry) as caught:
        seg.read(drawn, GRID, sources=[SERIES[0].SOPInstanceUID])
    assert caught.value.hint


def test_unknown_frame_of_reference_is_refused_unless_the_image_is_named() -> None:
    drawn = segmentation(SERIES, {"Lesion": LESION})
    del drawn.FrameOfReferenceUID
    with pytest.raises(InvalidGeometry):
        seg.read(drawn, GRID, sources=[SERIES[0].SOPInstanceUID])
    source = Dataset()
    source.ReferencedSOPInstanceUID = SERIES[0].SOPInstanceUID
    drawn.SourceImageSequence = [source]
    assert seg.read(drawn, GRID, sources=[SERIES[0].SOPInstanceUID])[0].array.any()


@pytest.mark.parametrize(
    "grid",
    [
        Geometry((6, 10, 12), (2.5, 0.8, 0.8), (-12, -12, -11), frame_of_reference_uid=GRID.frame_of_reference_uid),
        Geometry((6, 10, 12), (2.5, 0.8, 0.8), (-12, -11.8, -10), frame_of_reference_uid=GRID.frame_of_reference_uid),
        Geometry((6, 10, 12), (2.5, 0.8, 0.9), (-12, -12, -10), frame_of_reference_uid=GRID.frame_of_reference_uid),
        Geometry((6, 10, 13), (2.5, 0.8, 0.8), (-12, -12, -10), frame_of_reference_uid=GRID.frame_of_reference_uid),
        Geometry((2, 10, 12), (2.5, 0.8, 0.8), (-12, -12, -10), frame_of_reference_uid=GRID.frame_of_reference_uid),
    ],
    ids=["between slices", "shifted", "other pixel size", "other size", "beyond the last slice"],
)
def test_frame_that_lies_on_no_slice_is_refused(grid: Geometry) -> None:
    with pytest.raises(InvalidGeometry):
        seg.read(segmentation(SERIES, {"Lesion": LESION}), grid)


def test_frame_without_a_segment_is_refused() -> None:
    drawn = segmentation(SERIES, {"Lesion": LESION, "Body": BODY})
    del drawn.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence
    with pytest.raises(RejectedInput) as caught:
        seg.read(drawn, GRID)
    assert caught.value.code == "missing-attribute"


def test_frame_without_a_place_is_refused() -> None:
    drawn = segmentation(SERIES, {"Lesion": LESION})
    del drawn.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    with pytest.raises(RejectedInput) as caught:
        seg.read(drawn, GRID)
    assert caught.value.code == "missing-attribute"


def by_highdicom(kind: str, labels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **more: object) -> Dataset:
    """A segmentation of the labels 1 and 2 that highdicom wrote."""
    described = [
        highdicom.seg.SegmentDescription(
            number, f"organ {number}", codes.SCT.Organ, codes.SCT.Liver, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number in (1, 2)
    ]
    made = highdicom.seg.Segmentation(
        LARGE,
        labels,
        kind,
        described,
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
        **more,
    )
    return pydicom.dcmread(BytesIO(to_bytes(made)))


LARGE = dicom_series(slices=4, rows=40, columns=36)
LARGE_GRID = Geometry(
    (4, 40, 36), (2.5, 0.8, 0.8), (-12, -12, -10), frame_of_reference_uid=LARGE[0].FrameOfReferenceUID
)
LABELS = np.random.default_rng(0).integers(0, 3, LARGE_GRID.shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        ("BINARY", ExplicitVRLittleEndian),
        *product(["FRACTIONAL", "LABELMAP"], [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless]),
    ],
)
def test_what_highdicom_wrote_is_read_back_voxel_by_voxel(kind: str, syntax: str) -> None:
    found = seg.read(by_highdicom(kind, LABELS, syntax), LARGE_GRID)
    assert [one.label for one in found] == ["organ 1", "organ 2"]
    assert np.array_equal(found[0].array, LABELS == 1)
    assert np.array_equal(found[1].array, LABELS == 2)


def test_coloured_label_map_holds_segments_not_colours() -> None:
    palette = highdicom.PaletteColorLUTTransformation.from_colors(["black", "red", "blue"])
    drawn = by_highdicom("LABELMAP", LABELS, palette_color_lut_transformation=palette)
    assert drawn.PhotometricInterpretation == "PALETTE COLOR"
    assert np.array_equal(seg.read(drawn, LARGE_GRID)[1].array, LABELS == 2)
