from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Outline
from pydicom import FileDataset

from tapetum.errors import InvalidGeometry
from tapetum.formats import rtstruct
from tapetum.formats.rtstruct import inside
from tapetum.model import Geometry
from tapetum.testing import dicom_series, structure_set, to_bytes

SPACING = (2.0, 0.5, 0.5)
SERIES = dicom_series(slices=21, rows=80, columns=80, spacing_mm=SPACING, origin_mm=(-20, -20, -20))
GRID = Geometry((21, 80, 80), SPACING, (-20, -20, -20), frame_of_reference_uid=SERIES[0].FrameOfReferenceUID)
CENTRE = (0.25, -0.25, 0.0)


def ellipsoid(**changes: object) -> FileDataset:
    return structure_set(SERIES, **{"centre_mm": CENTRE, "radii_mm": (15.0, 12.0, 10.0), **changes})


def codes(region: object) -> set[str]:
    return {notice.code for notice in region.notices}


def test_ellipsoid_has_the_volume_of_the_formula() -> None:
    (region,) = rtstruct.read(ellipsoid(), GRID)
    assert region.volume_mm3 == pytest.approx(4 / 3 * np.pi * 15 * 12 * 10, rel=0.01)
    assert region.label == "GTV"
    assert not region.notices


def test_ellipsoid_lies_where_it_was_drawn() -> None:
    (region,) = rtstruct.read(ellipsoid(), GRID)
    assert np.allclose(GRID.to_patient(np.argwhere(region.array)).mean(axis=0), CENTRE, atol=0.05)


def test_outline_inside_another_is_a_hole() -> None:
    (region,) = rtstruct.read(ellipsoid(hole_radii_mm=(6.0, 5.0, 4.0)), GRID)
    expected = 4 / 3 * np.pi * (15 * 12 * 10 - 6 * 5 * 4)
    assert region.volume_mm3 == pytest.approx(expected, rel=0.01)
    assert not region.array[10, 40, 40]


def test_oblique_slices_are_filled_in_their_own_plane() -> None:
    direction = ((0.0, -0.6, 0.8), (0.0, 0.8, 0.6), (1.0, 0.0, 0.0))
    grid = Geometry((21, 80, 80), SPACING, (0, 0, 0), direction, SERIES[0].FrameOfReferenceUID)
    series = dicom_series(slices=21, rows=80, columns=80, spacing_mm=SPACING, origin_mm=(0, 0, 0), direction=direction)
    centre = tuple(grid.to_patient([10, 40, 40]).tolist())
    (region,) = rtstruct.read(structure_set(series, centre_mm=centre, radii_mm=(15.0, 12.0, 10.0)), grid)
    assert region.volume_mm3 == pytest.approx(4 / 3 * np.pi * 15 * 12 * 10, rel=0.01)


def test_what_is_read_from_a_file_equals_what_was_made() -> None:
    made, stored = ellipsoid(), pydicom.dcmread(BytesIO(to_bytes(ellipsoid())))
    assert np.array_equal(rtstruct.read(made, GRID)[0].array, rtstruct.read(stored, GRID)[0].array)


@given(
    arrays(np.float64, st.tuples(st.integers(3, 12), st.just(2)), elements=st.floats(-3, 23, width=32)).filter(
        lambda polygon: np.abs(polygon - np.rint(polygon)).min() > 1e-3
    )
)
def test_simple_and_crossed_polygons_agree_with_the_crossing_number(polygon: np.ndarray) -> None:
    found = inside(polygon, (20, 20))
    for y, x in [(0, 0), (7, 3), (10, 10), (19, 19), (4, 16)]:
        start, stop = polygon, np.roll(polygon, -1, axis=0)
        crosses = (start[:, 0] <= y) != (stop[:, 0] <= y)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = start[:, 1] + (y - start[:, 0]) * (stop[:, 1] - start[:, 1]) / (stop[:, 0] - start[:, 0])
        assert found[y, x] == bool((crosses & (at <= x)).sum() % 2)


def test_convex_polygon_agrees_with_matplotlib() -> None:
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    polygon = np.stack([10.3 + 7.1 * np.sin(angle), 9.7 + 5.3 * np.cos(angle)], axis=1)
    y, x = np.mgrid[:20, :20]
    expected = Outline(polygon).contains_points(np.stack([y.ravel(), x.ravel()], axis=1)).reshape(20, 20)
    assert np.array_equal(inside(polygon, (20, 20)), expected)


def test_two_polygons_with_one_edge_share_no_voxel_and_leave_none_out() -> None:
    left = inside(np.array([[0, 0], [0, 5], [8, 5], [8, 0]], float), (8, 10))
    right = inside(np.array([[0, 5], [0, 10], [8, 10], [8, 5]], float), (8, 10))
    assert (left ^ right).all()
    assert not (left & right).any()


def test_polygon_beyond_the_image_is_cut_at_its_edge() -> None:
    assert inside(np.array([[-9, -9], [-9, 30], [30, 30], [30, -9]], float), (4, 4)).all()


def test_contour_goes_to_the_nearest_slice() -> None:
    made = ellipsoid()
    for contour in made.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        contour.ContourData = [f"{value:.4f}" for value in (points + np.array([0, 0, 0.9])).ravel()]
    assert np.array_equal(rtstruct.read(made, GRID)[0].array, rtstruct.read(ellipsoid(), GRID)[0].array)


def test_contours_beyond_the_slices_are_noticed() -> None:
    (region,) = rtstruct.read(ellipsoid(centre_mm=(0.0, 0.0, -20.0)), GRID)
    assert codes(region) == set()
    short = Geometry((5, 80, 80), SPACING, (-20, -20, -20), frame_of_reference_uid=GRID.frame_of_reference_uid)
    (region,) = rtstruct.read(ellipsoid(), short)
    assert "contour-off-image" in codes(region)


def test_slices_without_a_contour_are_noticed() -> None:
    made = ellipsoid()
    del made.ROIContourSequence[0].ContourSequence[3]
    assert codes(rtstruct.read(made, GRID)[0]) == {"contour-gap"}


def test_contour_that_was_drawn_twice_does_not_vanish() -> None:
    made = ellipsoid()
    made.ROIContourSequence[0].ContourSequence.append(made.ROIContourSequence[0].ContourSequence[3])
    (region,) = rtstruct.read(made, GRID)
    assert codes(region) == {"duplicate-contour"}
    assert np.array_equal(region.array, rtstruct.read(ellipsoid(), GRID)[0].array)


def test_contours_between_slices_do_not_cut_each_other_out() -> None:
    coarse = Geometry(
        (11, 80, 80), (4.0, 0.5, 0.5), (-20, -20, -20), frame_of_reference_uid=GRID.frame_of_reference_uid
    )
    (region,) = rtstruct.read(ellipsoid(), coarse)
    assert "contour-between-slices" in codes(region)
    assert region.volume_mm3 == pytest.approx(4 / 3 * np.pi * 15 * 12 * 10, rel=0.05)


def test_contour_across_the_slices_is_noticed() -> None:
    made = ellipsoid()
    contour = made.ROIContourSequence[0].ContourSequence[0]
    points = np.array(contour.ContourData, float).reshape(-1, 3)
    contour.ContourData = [f"{value:.4f}" for value in points[:, [2, 1, 0]].ravel()]
    assert "contour-not-planar" in codes(rtstruct.read(made, GRID)[0])


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR"])
def test_points_and_open_lines_are_noticed(kind: str) -> None:
    made = ellipsoid()
    for contour in made.ROIContourSequence[0].ContourSequence:
        contour.ContourGeometricType = kind
    assert codes(rtstruct.read(made, GRID)[0]) == {"contour-not-closed", "empty-region"}


def test_other_frame_of_reference_is_refused_with_a_hint() -> None:
    made = ellipsoid()
    made.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"
    made.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"
    with pytest.raises(InvalidGeometry) as caught:
        rtstruct.read(made, GRID)
    assert caught.value.hint


def test_frame_that_the_structure_set_does_not_list_gives_way_to_the_only_listed_one() -> None:
    made = ellipsoid()
    made.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"
    assert codes(rtstruct.read(made, GRID)[0]) == {"frame-by-structure-set"}


def test_unknown_frame_is_refused_unless_the_contours_name_the_image() -> None:
    unknown = Geometry((21, 80, 80), SPACING, (-20, -20, -20))
    with pytest.raises(InvalidGeometry):
        rtstruct.read(ellipsoid(), unknown)
    assert rtstruct.read(ellipsoid(), unknown, sources=[SERIES[9].SOPInstanceUID])[0].array.any()


def test_names_that_are_there_twice_get_their_number() -> None:
    made = ellipsoid()
    again = ellipsoid()
    again.StructureSetROISequence[0].ROINumber = again.ROIContourSequence[0].ReferencedROINumber = "7"
    made.StructureSetROISequence.append(again.StructureSetROISequence[0])
    made.ROIContourSequence.append(again.ROIContourSequence[0])
    assert [region.label for region in rtstruct.read(made, GRID)] == ["GTV (1)", "GTV (7)"]
