import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import Dataset, Sequence
from pydicom.tag import Tag

from tapetum.standardise import to_image
from tapetum.standardise.planes import number_of, planes_of
from tapetum.testing import dicom_series, enhanced, radiograph, siemens_mosaic, to_bytes

RNG = np.random.default_rng(3)
OBLIQUE = (0.96, 0.28, 0.0, -0.224, 0.768, -0.6)


def ras_affine(geometry: Any) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = (np.array(geometry.direction) * np.array(geometry.spacing_mm)[:, None])[::-1].T
    affine[:3, 3] = geometry.origin_mm
    return np.diag([-1, -1, 1, 1]) @ affine


def by_dcm2niix(files: list[Any], folder: Path) -> tuple[Any, list[float], np.ndarray]:
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("no dcm2niix: install it")
    (folder / "in").mkdir()
    for at, one in enumerate(files):
        (folder / "in" / f"{at}.dcm").write_bytes(to_bytes(one))
    subprocess.run([program, "-z", "n", "-b", "n", "-f", "out", "-o", folder, folder / "in"], check=True, stdout=-3)
    b_values = folder / "out.bval"
    values = [float(one) for one in b_values.read_text().split()] if b_values.exists() else []
    vectors = np.loadtxt(folder / "out.bvec").T if values else np.zeros((0, 3))
    return nib.load(folder / "out.nii"), values, vectors


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), OBLIQUE])
def test_mosaics_are_the_volume_that_dcm2niix_makes(
    stored: Callable[..., Any], tmp_path: Path, orientation: tuple[float, ...], upside_down: bool
) -> None:
    volumes = RNG.integers(0, 4000, (3, 7, 16, 20), dtype=np.uint16)
    files = [
        siemens_mosaic(one, number=at + 1, seconds=2.0 * at, orientation=orientation, upside_down=upside_down)
        for at, one in enumerate(volumes)
    ]
    expected, _, _ = by_dcm2niix(files, tmp_path)
    image = to_image(*stored(files, modality="MR"))
    ours = nib.as_closest_canonical(nib.Nifti1Image(image.array.T, ras_affine(image.geometry)))
    theirs = nib.as_closest_canonical(expected)
    assert image.times_s == (0, 2, 4)
    assert np.allclose(ours.affine, theirs.affine, atol=1e-4)
    assert np.array_equal(ours.dataobj, theirs.dataobj)


def test_diffusion_of_a_mosaic_is_that_of_dcm2niix(stored: Callable[..., Any], tmp_path: Path) -> None:
    weights = [(0.0, None), (1000.0, (0.6, 0.0, 0.8)), (1000.0, (0.0, 1.0, 0.0)), (2000.0, (0.0, 0.0, -1.0))]
    volumes = RNG.integers(0, 4000, (4, 7, 16, 20), dtype=np.uint16)
    files = [
        siemens_mosaic(one, number=at + 1, seconds=2.0 * at, orientation=OBLIQUE, b_value=b, gradient=direction)
        for at, (one, (b, direction)) in enumerate(zip(volumes, weights, strict=True))
    ]
    for one in files:
        one.PatientPosition = "HFS"
    _, values, vectors = by_dcm2niix(files, tmp_path)
    image = to_image(*stored(files, modality="MR"))
    assert list(image.b_values) == values
    z, y, x = np.array(image.geometry.direction)
    # FSL counts along the voxel axes of dcm2niix's file, whose y is turned over.
    assert np.allclose(np.array(image.b_vectors) @ np.stack([x, -y, z]).T, vectors, atol=1e-4)


def tell_ge(image: Any, b_value: int, gradient: tuple[float, ...]) -> None:
    image.Manufacturer, image.SoftwareVersions = "GE MEDICAL SYSTEMS", "24"
    block = image.private_block(0x0019, "GEMS_ACQU_01", create=True)
    for element, value in zip((0xBB, 0xBC, 0xBD), gradient, strict=True):
        block.add_new(element, "DS", str(value))
    parameters = image.private_block(0x0043, "GEMS_PARM_01", create=True)
    parameters.add_new(0x39, "IS", [str(1_000_000_000 + b_value), "0", "0", "0"])


def tell_philips(image: Any, b_value: int, gradient: tuple[float, ...]) -> None:
    image.Manufacturer = "Philips Medical Systems"
    image.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", float(b_value))
    block = image.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for element, value in zip((0xB0, 0xB1, 0xB2), gradient, strict=True):
        block.add_new(element, "FL", float(value))


@pytest.mark.parametrize(("tell", "phase"), [(tell_ge, "COL"), (tell_ge, "ROW"), (tell_philips, "COL")])
def test_private_weighting_of_single_slices_is_that_of_dcm2niix(
    stored: Callable[..., Any], tmp_path: Path, tell: Callable[..., None], phase: str
) -> None:
    files = []
    for point, gradient in enumerate([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0.36, 0.48, 0.8)]):
        values = RNG.integers(0, 900, (3, 16, 16)).astype(np.int16)
        for number, one in enumerate(dicom_series(modality="MR", volume=values, spacing_mm=(3, 2, 2))):
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{point}.{number}"
            one.InstanceNumber, one.AcquisitionNumber, one.AcquisitionTime = str(1 + point * 3 + number), "1", "100000"
            one.ScanningSequence, one.SequenceVariant, one.ScanOptions = "EP", "NONE", "EPI_GEMS"
            one.InPlanePhaseEncodingDirection, one.PatientPosition = phase, "HFS"
            one.MRAcquisitionType, one.RepetitionTime, one.EchoTime = "2D", "5000", "80"
            tell(one, 1000 if point else 0, gradient)
            files.append(one)
    _, values, vectors = by_dcm2niix(files, tmp_path)
    image = to_image(*stored(files, modality="MR"))
    assert list(image.b_values) == values
    z, y, x = np.array(image.geometry.direction)
    assert np.allclose(np.array(image.b_vectors) @ np.stack([x, -y, z]).T, vectors, atol=1e-4)


def test_repetition_time_gives_the_seconds_where_the_clock_only_rounds(stored: Callable[..., Any]) -> None:
    files = [siemens_mosaic(np.ones((2, 4, 4), np.uint16), number=at + 1, seconds=2.0025 * at) for at in range(4)]
    assert to_image(*stored(files, modality="MR")).times_s == (0, 2, 4, 6)


def dynamic(moments: list[dict[str, str]], modality: str = "MR") -> list[Any]:
    made = []
    for at, facts in enumerate(moments):
        slices = dicom_series(modality=modality, series=str(at), volume=np.full((3, 4, 4), at, np.int16))
        for number, one in enumerate(slices):
            one.FrameOfReferenceUID = "1.2.3"
            one.InstanceNumber = str(1 + at * 3 + number)
            for keyword, value in facts.items():
                setattr(one, keyword, value)
        made += slices
    return made


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([{"AcquisitionTime": "235959.5"}, {"AcquisitionTime": "000001.5", "AcquisitionDate": "20200608"}], (0, 2)),
        ([{"TriggerTime": "0"}, {"TriggerTime": "41.5"}, {"TriggerTime": "83"}], (0, 0.0415, 0.083)),
        ([{"FrameReferenceTime": "5000"}, {"FrameReferenceTime": "20000"}], (5, 20)),
        (
            [{"TemporalPositionIdentifier": str(at), "TemporalResolution": "3500"} for at in (1, 2, 3)],
            (0, 3.5, 7),
        ),
        ([{"EchoTime": "4.9", "AcquisitionTime": "100000"}, {"EchoTime": "7.4", "AcquisitionTime": "100000"}], ()),
    ],
)
def test_seconds_of_a_dynamic_series_come_from_the_clock_that_it_has(
    stored: Callable[..., Any], moments: list[dict[str, str]], expected: tuple[float, ...]
) -> None:
    files = dynamic(moments)
    for one in files:
        del one.ContentTime
    image = to_image(*stored(files, modality="MR"))
    assert image.array[:, 0, 0, 0].tolist() == list(range(len(moments)))
    assert image.times_s == pytest.approx(expected)


def test_directions_without_a_time_keep_the_order_of_their_numbers(stored: Callable[..., Any]) -> None:
    files = dynamic([{}, {}, {}])
    weights = [(0.0, [0, 0, 0]), (700.0, [1.0, 0, 0]), (700.0, [0, 2.0, 0])]
    for one in files:
        one.DiffusionBValue, one.DiffusionGradientOrientation = weights[(int(one.InstanceNumber) - 1) // 3]
    image = to_image(*stored(files, modality="MR"))
    assert image.b_values == (0, 700, 700)
    assert image.b_vectors == ((0, 0, 0), (1, 0, 0), (0, 1, 0))
    assert image.array[:, 0, 0, 0].tolist() == [0, 1, 2]


def temporal(moments: int) -> Any:
    """An enhanced MR object of some time points, told apart by Dimension Index Values alone."""
    frames = [one for at in range(moments) for one in dynamic([{}] * moments)[at * 3 : at * 3 + 3]]
    whole = enhanced(frames)
    pointers = ["TemporalPositionIndex", "InStackPositionNumber"]
    whole.DimensionIndexSequence = Sequence([Dataset() for _ in pointers])
    for item, keyword in zip(whole.DimensionIndexSequence, pointers, strict=True):
        item.DimensionIndexPointer = Tag(keyword)
    count = len(frames)
    for at, groups in enumerate(whole.PerFrameFunctionalGroupsSequence):
        number = count - 1 - at  # frames are in reverse
        content = Dataset()
        content.DimensionIndexValues = [1 + number // 3, 1 + number % 3]
        content.FrameAcquisitionDateTime = f"202006071015{10 + 4 * (number // 3):02d}"
        groups.FrameContentSequence = Sequence([content])
    return whole


def test_frames_of_an_enhanced_object_are_sorted_by_dimension_and_timed(stored: Callable[..., Any]) -> None:
    image = to_image(*stored([temporal(3)], modality="MR"))
    assert image.array[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert image.times_s == (0, 4, 8)


def test_weighting_of_an_enhanced_object_stands_in_its_functional_groups(stored: Callable[..., Any]) -> None:
    whole = temporal(2)
    for groups in whole.PerFrameFunctionalGroupsSequence:
        item, direction = Dataset(), Dataset()
        late = groups.FrameContentSequence[0].DimensionIndexValues[0] == 2
        item.DiffusionBValue, direction.DiffusionGradientOrientation = (500.0, [0.0, 0.0, 1.0]) if late else (0.0, None)
        item.DiffusionGradientDirectionSequence = Sequence([direction] if late else [])
        groups.MRDiffusionSequence = Sequence([item])
    image = to_image(*stored([whole], modality="MR"))
    assert (image.b_values, image.b_vectors) == ((0, 500), ((0, 0, 0), (0, 0, 1)))


def test_projection_has_no_place() -> None:
    assert planes_of(radiograph(), 0) == []


def test_text_is_no_number() -> None:
    assert np.isnan(number_of("five"))
    assert np.isnan(number_of(None))
