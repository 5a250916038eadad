import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from tapetum.errors import InvalidGeometry
from tapetum.formats.dicom_out import Owner, objects_of
from tapetum.formats.pixels import decode
from tapetum.model import Geometry, Image, Instance, Quantity, Series
from tapetum.standardise import to_image
from tapetum.testing import to_bytes

PLACE = Geometry((3, 5, 6), (2.5, 0.7, 0.8), (-1.5, 2, 3), ((0, -0.6, 0.8), (0, 0.8, 0.6), (1, 0, 0)), "1.2.3.9")
OWNER = Owner("a1b2", "1.2.3.1", "1.2.3.2", "20200607", "F")
WHOLE = np.random.default_rng(0).integers(-1000, 1000, (3, 5, 6)).astype(np.float32)
HU, SIGNAL = Quantity("CT number", "[hnsf'U]"), Quantity("MR signal", "[arb'U]")
DIFFUSION = Image(
    np.stack([WHOLE, WHOLE + 1]),
    "tzyx",
    SIGNAL,
    PLACE,
    "MR",
    times_s=(0.0, 2.5),
    b_values=(0.0, 1000.0),
    b_vectors=((0, 0, 0), (0, 0.6, 0.8)),
)
IMAGES = {
    "ct": Image(WHOLE, "zyx", HU, PLACE, "CT"),
    "mr": Image(WHOLE, "zyx", SIGNAL, PLACE, "MR"),
    "diffusion": DIFFUSION,
    "map": Image(WHOLE / 7, "zyx", Quantity("standardised uptake value", "g/mL"), PLACE, "PT"),
    "photograph": Image(WHOLE.astype(np.uint8).reshape(5, 6, 3), "yxc", Quantity("colour", "1"), modality="OP"),
    "radiograph": Image(WHOLE[0] / 3, "yx", Quantity("grey", "1"), modality="DX"),
}


@pytest.mark.parametrize("kind", sorted(IMAGES))
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy: install dicom3tools")
    for number, made in enumerate(objects_of(IMAGES[kind], OWNER, version="1")):
        (tmp_path / f"{number}").write_bytes(to_bytes(made))
        said = subprocess.run([program, tmp_path / f"{number}"], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr, said.stderr


@pytest.mark.parametrize("kind", ["ct", "mr", "diffusion", "map"])
def test_reading_them_back_gives_the_same_image(kind: str) -> None:
    image = IMAGES[kind]
    blobs = {made.SOPInstanceUID: to_bytes(made) for made in objects_of(image, OWNER, version="1")}
    instances = [Instance(uid, "1", "1", "p", uid, uid, "dicom", 1) for uid in blobs]
    series = Series("1", "1", "p", image.modality, "image", "", "dicom", len(blobs))
    found = to_image(series, instances, opener(blobs))
    assert found.axes == image.axes
    assert np.array_equal(found.array, image.array)
    assert found.geometry is not None
    assert found.geometry.same_grid(PLACE, tolerance_mm=1e-6)
    assert found.geometry.frame_of_reference_uid == "1.2.3.9"
    assert found.quantity.unit == image.quantity.unit
    assert (found.times_s, found.b_values, found.b_vectors) == (image.times_s, image.b_values, image.b_vectors)


def opener(blobs: dict[str, bytes]) -> Callable[[str], object]:
    return lambda key: BytesIO(blobs[key])


def test_map_says_what_its_values_are() -> None:
    (made,) = objects_of(IMAGES["map"], OWNER, version="1")
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "g/mL"
    assert np.array_equal(np.frombuffer(made.FloatPixelData, "<f4").reshape(3, 5, 6), IMAGES["map"].array)


def test_photograph_keeps_its_colours() -> None:
    (made,) = objects_of(IMAGES["photograph"], OWNER, version="1")
    assert np.array_equal(decode(made)[0], IMAGES["photograph"].array)


def test_radiograph_keeps_its_values_within_a_65535th_of_their_range() -> None:
    (made,) = objects_of(IMAGES["radiograph"], OWNER, version="1")
    found = decode(made)[0] * float(made.RescaleSlope) + float(made.RescaleIntercept)
    assert np.abs(found - IMAGES["radiograph"].array).max() <= np.ptp(IMAGES["radiograph"].array) / 65535


def test_equal_images_give_equal_objects_and_slices_differ() -> None:
    once, again = (list(objects_of(IMAGES["ct"], OWNER, version="1")) for _ in range(2))
    assert [to_bytes(one) for one in once] == [to_bytes(one) for one in again]
    assert len({one.SOPInstanceUID for one in once}) == 3


def test_unknown_frame_of_reference_becomes_one_of_the_series() -> None:
    image = Image(WHOLE, "zyx", HU, Geometry((3, 5, 6), (1, 1, 1)), "CT")
    assert len({one.FrameOfReferenceUID for one in objects_of(image, OWNER, version="1")}) == 1


def test_film_without_a_place_is_refused() -> None:
    with pytest.raises(InvalidGeometry):
        list(objects_of(Image(np.zeros((2, 1, 4, 4), np.float32), "tzyx", SIGNAL), OWNER, version="1"))
