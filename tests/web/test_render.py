"""Rendered images: PS3.18 8.3.5, PS3.3 C.11.2."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from tapetum.errors import RefusedRequest
from tapetum.testing import dicom_series, enhanced, radiograph
from tapetum.web.render import View


def drawn(response: Any) -> NDArray[np.uint8]:
    assert response.status_code == 200, response.text
    return np.asarray(Pillow.open(BytesIO(response.content)))


@pytest.fixture(scope="module")
def ramp(make_client: Callable[..., Any]) -> tuple[Any, str]:
    """A CT whose values in Hounsfield units are -1024, -1000, ... along a row, without a window of its own."""
    client = make_client()
    row = np.arange(0, 2048, 8, dtype=np.int16)
    (image,) = dicom_series(volume=np.tile(row, (16, 1))[None])
    item = client.store(image).json()["00081199"]["Value"][0]
    return client, item["00081190"]["Value"][0].removeprefix(client.root)


HOUNSFIELD = np.arange(0, 2048, 8) - 1024.0


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # PS3.3 C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1, with y from 0 to 255.
        ("", ((HOUNSFIELD - 39.5) / 399 + 0.5) * 255),
        (",linear", ((HOUNSFIELD - 39.5) / 399 + 0.5) * 255),
        (",linear-exact", ((HOUNSFIELD - 40) / 400 + 0.5) * 255),
        (",sigmoid", 255 / (1 + np.exp(-4 * (HOUNSFIELD - 40) / 400))),
    ],
)
def test_a_window_is_applied_as_the_standard_defines_it(
    ramp: tuple[Any, str], function: str, expected: NDArray[np.float64]
) -> None:
    client, path = ramp
    found = drawn(client.get(f"{path}/rendered?window=40,400{function}", accept="image/png"))
    np.testing.assert_allclose(found[0], np.clip(expected, 0, 255), atol=0.51)


def test_without_a_window_the_smallest_value_is_black_and_the_largest_white(ramp: tuple[Any, str]) -> None:
    client, path = ramp
    found = drawn(client.get(f"{path}/rendered", accept="image/png"))
    assert (found[0, 0], found[0, -1]) == (0, 255)


def test_the_window_of_the_object_is_used(hospital: Any, ct: dict[str, str]) -> None:
    own, same, other = (
        drawn(hospital.get(f"{ct['instance']}/rendered{question}", accept="image/png"))
        for question in ("", "?window=40,400", "?window=500,100")
    )
    np.testing.assert_array_equal(own, same)
    assert (own != other).any()


def test_monochrome1_is_shown_with_the_smallest_value_white(make_client: Callable[..., Any]) -> None:
    client = make_client()
    pictures = []
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        item = client.store(radiograph(photometric=photometric, series=photometric, patient_id=photometric)).json()[
            "00081199"
        ]
        path = item["Value"][0]["00081190"]["Value"][0].removeprefix(client.root)
        pictures.append(drawn(client.get(f"{path}/rendered", accept="image/png")).astype(int))
    np.testing.assert_allclose(pictures[0] + pictures[1], 255, atol=1)


def test_a_viewport_cuts_scales_and_flips(ramp: tuple[Any, str]) -> None:
    client, path = ramp
    whole = drawn(client.get(f"{path}/rendered?window=40,400", accept="image/png"))
    assert drawn(client.get(f"{path}/rendered?viewport=128,128", accept="image/png")).shape == (8, 128)
    cut = drawn(client.get(f"{path}/rendered?window=40,400&viewport=16,16,100,0,16,16", accept="image/png"))
    np.testing.assert_array_equal(cut, whole[:, 100:116])
    flipped = drawn(client.get(f"{path}/rendered?window=40,400&viewport=16,16,100,0,-16,16", accept="image/png"))
    np.testing.assert_array_equal(flipped, cut[:, ::-1])


def test_pictures_come_in_the_type_and_quality_that_are_asked(ramp: tuple[Any, str]) -> None:
    client, path = ramp
    assert client.get(f"{path}/rendered").headers["content-type"] == "image/jpeg"
    assert client.get(f"{path}/rendered", accept="image/png").headers["content-type"] == "image/png"
    assert client.get(f"{path}/rendered", accept="image/*;q=0.5").headers["content-type"] == "image/jpeg"
    assert client.get(f"{path}/rendered", accept="image/gif").status_code == 406
    sizes = [len(client.get(f"{path}/rendered?quality={quality}").content) for quality in (5, 100)]
    assert sizes[0] < sizes[1]
    assert client.get(f"{path}/rendered?accept=image/png", accept="text/html").headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "question",
    [
        "window=40", "window=40,0", "window=a,b", "window=40,400,cubic", "window=nan,400", "window=1,2,linear,4",
        "viewport=0,10", "viewport=10", "viewport=99999,1", "viewport=a,b", "viewport=1,1,-5,0,1,1",
        "viewport=16,16,5000,0,1,1", "viewport=1e999,1", "quality=0", "quality=101", "quality=fine",
    ],
)  # fmt: skip
def test_a_view_that_makes_no_sense_is_refused(ramp: tuple[Any, str], question: str) -> None:
    client, path = ramp
    response = client.get(f"{path}/rendered?{question}")
    assert (response.status_code, response.json()["code"]) == (400, "bad-request")


def test_one_frame_of_many_is_drawn(make_client: Callable[..., Any]) -> None:
    client = make_client()
    planes = dicom_series(volume=np.stack([np.full((8, 8), value, np.int16) for value in (0, 1000, 2000)]))
    item = client.store(enhanced(planes)).json()["00081199"]["Value"][0]
    path = item["00081190"]["Value"][0].removeprefix(client.root)
    shown = [
        int(drawn(client.get(f"{path}/frames/{number}/rendered?window=-24,2000", accept="image/png"))[0, 0])
        for number in (1, 2, 3)
    ]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > shown[1] > shown[2]
    assert client.get(f"{path}/frames/4/rendered").status_code == 404
    assert client.get(f"{path}/frames/1,2/rendered").status_code == 400
    assert client.get(f"{path}/frames/2/thumbnail").status_code == 200


def test_colour_is_shown_as_colour(make_client: Callable[..., Any]) -> None:
    client = make_client()
    item = client.post(client.body([Path(str(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm"))).read_bytes()])).json()[
        "00081199"
    ]["Value"][0]
    path = item["00081190"]["Value"][0].removeprefix(client.root)
    found = drawn(client.get(f"{path}/rendered", accept="image/png"))
    assert found.shape == (100, 100, 3)
    assert found[5, 50].tolist() == [254, 0, 0]  # pydicom's example begins with a red bar


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_thumbnails_fit_into_128_pixels_unless_told_otherwise(hospital: Any, ct: dict[str, str], level: str) -> None:
    picture = drawn(hospital.get(f"{ct[level]}/thumbnail"))
    assert max(picture.shape) == 128
    assert max(drawn(hospital.get(f"{ct[level]}/thumbnail?viewport=32,32")).shape) == 32


@pytest.mark.parametrize(("level", "count"), [("study", 5), ("series", 3)])
def test_all_pictures_of_a_level_come_as_parts(hospital: Any, ct: dict[str, str], level: str, count: int) -> None:
    response = hospital.get(f"{ct[level]}/rendered")
    assert response.content.count(b"Content-Type: image/jpeg") == count
    assert hospital.get(f"{ct[level]}/rendered", accept="image/jpeg").status_code == 406


def test_a_picture_that_does_not_change_is_not_sent_twice(hospital: Any, ct: dict[str, str]) -> None:
    first = hospital.get(f"{ct['instance']}/rendered?window=1,2")
    etag = {"If-None-Match": first.headers["ETag"]}
    assert hospital.get(f"{ct['instance']}/rendered?window=1,2", **etag).status_code == 304
    assert hospital.get(f"{ct['instance']}/rendered?window=1,3", **etag).status_code == 200


@pytest.mark.parametrize("level", ["study", "series"])
def test_pictures_of_what_may_grow_are_asked_for_again(hospital: Any, ct: dict[str, str], level: str) -> None:
    for what in ("rendered", "thumbnail"):
        first = hospital.get(f"{ct[level]}/{what}")
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = hospital.get(f"{ct[level]}/{what}", **{"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
    assert "immutable" in hospital.get(f"{ct['instance']}/rendered").headers["Cache-Control"]


def test_what_is_no_picture_and_what_is_not_there_is_not_found(hospital: Any) -> None:
    for path in ("/studies/1.2/thumbnail", "/studies/1.2/series/3/thumbnail", "/studies/1.2/rendered"):
        assert hospital.get(path).status_code == 404


def test_a_view_is_read_from_its_parameters() -> None:
    assert View.asked({}) == View()
    view = View.asked({"window": "40,400,sigmoid", "viewport": "10,20,,,30,40", "quality": "7"})
    assert view == View((40.0, 400.0, "SIGMOID"), (10, 20), (0, 0, 30, 40), 7)
    with pytest.raises(RefusedRequest):
        View.asked({"quality": "٣"})
