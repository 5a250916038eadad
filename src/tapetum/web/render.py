"""Rendered images and thumbnails, WADO-RS (PS3.18 10.4.1.1.3, 10.4.1.1.4). Start reading at `picture_of`.

Stored values -> Modality LUT -> window -> 8 bits (PS3.3 C.11.1, C.11.2): the window of the request, else that of the
object, else from its smallest to its largest value.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut

from tapetum.errors import NotFound, RefusedRequest
from tapetum.formats.frames import frame_value
from tapetum.model import Instance
from tapetum.ports import BlobStore
from tapetum.standardise.greyrange import rescale_of
from tapetum.web.accept import Accepted, Offer
from tapetum.web.answer import IMMUTABLE, REVALIDATE, accept_of, etag_of, unchanged
from tapetum.web.archive import PREFIX, archive_of
from tapetum.web.frames import Frames, opened
from tapetum.web.retrieve import INSTANCE, SERIES, STUDY, answer_parts, frame_numbers, instances_of, one_of

__all__ = ["View", "picture_of", "router"]

router = APIRouter(prefix=PREFIX, tags=["WADO-RS"])

JPEG, PNG = "image/jpeg", "image/png"
LONGEST_SIDE = 8192
THUMBNAIL = (128, 128)
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True, slots=True)
class View:
    """How a frame is to be seen.

    ``window`` is centre, width and VOI LUT function (PS3.3 C.11.2.1.3); ``size`` the columns and rows into which the
    picture must fit; ``region`` left, top, width and height in pixels of the source, negative sizes flip;
    ``quality`` of JPEG from 1 to 100.
    """

    window: tuple[float, float, str] | None = None
    size: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    quality: int = 90

    @classmethod
    def asked(cls, parameters: Mapping[str, str]) -> View:
        """From the query parameters window, viewport and quality (PS3.18 8.3.5).

        Raises
        ------
        RefusedRequest : bad-request.
        """
        size, region = _viewport(parameters.get("viewport", ""))
        quality = parameters.get("quality", "90")
        if not (quality.isascii() and quality.isdecimal() and 1 <= int(quality) <= 100):
            raise RefusedRequest("bad-request", "quality is a whole number from 1 to 100")
        return cls(_window(parameters.get("window", "")), size, region, int(quality))


@router.get(f"{STUDY}/rendered", summary="Render a study")
def study_rendered(request: Request, study: str) -> Response:
    """Every frame of a study as a picture, as multipart/related."""
    return _all(request, instances_of(request, study))


@router.get(f"{SERIES}/rendered", summary="Render a series")
def series_rendered(request: Request, study: str, series: str) -> Response:
    """Every frame of a series as a picture, as multipart/related."""
    return _all(request, instances_of(request, study, series))


@router.get(f"{INSTANCE}/rendered", summary="Render an instance")
def instance_rendered(request: Request, study: str, series: str, instance: str) -> Response:
    """The first frame of an object as a picture."""
    return _one(request, one_of(request, study, series, instance), 1, View.asked(request.query_params))


@router.get(f"{INSTANCE}/frames/{{numbers}}/rendered", summary="Render a frame")
def frame_rendered(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
    """One frame as a picture."""
    return _one(request, one_of(request, study, series, instance), _only(numbers), View.asked(request.query_params))


@router.get(f"{STUDY}/thumbnail", summary="Thumbnail of a study")
def study_thumbnail(request: Request, study: str) -> Response:
    """A small picture from the middle of a study."""
    return _small(request, one_of(request, study), 0, cache=REVALIDATE)


@router.get(f"{SERIES}/thumbnail", summary="Thumbnail of a series")
def series_thumbnail(request: Request, study: str, series: str) -> Response:
    """A small picture from the middle of a series."""
    return _small(request, one_of(request, study, series), 0, cache=REVALIDATE)


@router.get(f"{INSTANCE}/thumbnail", summary="Thumbnail of an instance")
def instance_thumbnail(request: Request, study: str, series: str, instance: str) -> Response:
    """A small picture of the middle frame of an object."""
    return _small(request, one_of(request, study, series, instance), 0)


@router.get(f"{INSTANCE}/frames/{{numbers}}/thumbnail", summary="Thumbnail of a frame")
def frame_thumbnail(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
    """A small picture of one frame."""
    return _small(request, one_of(request, study, series, instance), _only(numbers))


def picture_of(frames: Frames, number: int, view: View) -> Pillow.Image:
    """Draw one frame.

    Parameters
    ----------
    frames : of a stored object.
    number : of the frame, from 1.
    view : window, size, region.

    Returns
    -------
    A picture in mode L for grey values, RGB for colour.

    Raises
    ------
    NotFound : no such frame.
    RejectedInput : the pixels cannot be decoded.
    RefusedRequest : bad-request: the region lies outside.
    """
    array = frames.array(number)
    if array.ndim == 2:
        array = _eight_bits(array, frames.header, number - 1, view.window)
    picture = Pillow.fromarray(np.ascontiguousarray(array if array.dtype == np.uint8 else _upper_bits(array, frames)))
    if view.region is not None:
        picture = _cut(picture, view.region)
    if view.size is not None:
        scale = min(view.size[0] / picture.width, view.size[1] / picture.height)
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    return picture


def _upper_bits(colour: NDArray[Any], frames: Frames) -> NDArray[np.uint8]:
    return np.asarray(colour >> max(0, int(frames.header.BitsStored) - 8), np.uint8)


def _eight_bits(
    stored: NDArray[Any], header: Dataset, frame: int, window: tuple[float, float, str] | None
) -> NDArray[np.uint8]:
    scale = rescale_of(header, frame)
    values = np.asarray(apply_modality_lut(stored, header) if scale is None else stored, np.float32)
    if scale is not None:
        values = values * np.float32(scale[0]) + np.float32(scale[1])
    grey = _windowed(values, window or _own_window(header, frame))
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        grey = 1.0 - grey
    return np.asarray(np.rint(grey * 255), np.uint8)


def _windowed(values: NDArray[np.float32], window: tuple[float, float, str] | None) -> NDArray[np.float32]:
    """From 0 to 1 by a VOI LUT function (PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and .2)."""
    if window is None:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        grey = (values - low) / ((high - low) or 1.0)
    elif window[2] == "SIGMOID":
        grey = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - window[0]) / window[1], -80.0, 80.0)))
    elif window[2] == "LINEAR_EXACT":
        grey = (values - window[0]) / window[1] + 0.5
    elif window[1] <= 1:
        grey = np.where(values > window[0] - 0.5, 1.0, 0.0)
    else:
        grey = (values - (window[0] - 0.5)) / (window[1] - 1.0) + 0.5
    return np.asarray(np.nan_to_num(np.clip(grey, 0.0, 1.0)), np.float32)


def _own_window(header: Dataset, frame: int) -> tuple[float, float, str] | None:
    """The first window of the object, when it makes sense."""
    said = [frame_value(header, frame, "FrameVOILUTSequence", name) for name in ("WindowCenter", "WindowWidth")]
    try:
        centre, width = (float(value[0] if isinstance(value, MultiValue) else value) for value in said)
    except (TypeError, ValueError, IndexError):
        return None
    function = str(frame_value(header, frame, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR").upper()
    return (centre, width, function) if width > 0 and np.isfinite([centre, width]).all() else None


def _cut(picture: Pillow.Image, region: tuple[int, int, int, int]) -> Pillow.Image:
    left, top, width, height = region
    right, bottom = min(picture.width, left + abs(width)), min(picture.height, top + abs(height))
    if left >= right or top >= bottom:
        raise RefusedRequest("bad-request", "the region of the viewport lies outside of the image")
    picture = picture.crop((left, top, right, bottom))
    if width < 0:
        picture = picture.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    return picture.transpose(Pillow.Transpose.FLIP_TOP_BOTTOM) if height < 0 else picture


def _window(text: str) -> tuple[float, float, str] | None:
    if not text:
        return None
    parts = text.split(",")
    try:
        centre, width = float(parts[0]), float(parts[1])
    except (ValueError, IndexError):
        centre = width = float("nan")
    function = (parts[2] if len(parts) > 2 else "linear").strip().upper().replace("-", "_")
    if not np.isfinite([centre, width]).all() or width <= 0 or function not in FUNCTIONS or len(parts) > 3:
        raise RefusedRequest("bad-request", "window is centre,width[,linear|linear-exact|sigmoid] with a width above 0")
    return centre, width, function


def _viewport(text: str) -> tuple[tuple[int, int] | None, tuple[int, int, int, int] | None]:
    if not text:
        return None, None
    parts = text.split(",")
    try:
        numbers = [int(float(part)) if part.strip() else 0 for part in parts]
    except (ValueError, OverflowError):
        numbers = []
    good = len(numbers) in (2, 6) and all(1 <= side <= LONGEST_SIDE for side in numbers[:2])
    if not good or any(at < 0 for at in numbers[2:4]):
        hint = f"sides are from 1 to {LONGEST_SIDE} pixels"
        raise RefusedRequest("bad-request", "viewport is width,height[,left,top,width,height]", hint=hint)
    size = (numbers[0], numbers[1])
    if len(numbers) == 2:
        return size, None
    width, height = (number or LONGEST_SIDE**2 for number in numbers[4:])
    return size, (numbers[2], numbers[3], width, height)


def _only(numbers: str) -> int:
    found = frame_numbers(numbers)
    if len(found) != 1:
        raise RefusedRequest("bad-request", "one frame at a time is drawn")
    return found[0]


def _small(request: Request, one: Instance, number: int, *, cache: str = IMMUTABLE) -> Response:
    view = View.asked(request.query_params)
    return _one(request, one, number, View(view.window, view.size or THUMBNAIL, view.region, view.quality), cache=cache)


def _one(request: Request, one: Instance, number: int, view: View, *, cache: str = IMMUTABLE) -> Response:
    """One picture; ``number`` 0 is the middle frame."""
    offer = Accepted(accept_of(request)).choose([Offer(JPEG), Offer(PNG), Offer(JPEG, True), Offer(PNG, True)])
    etag = etag_of(one.blob, str(number), str(offer), repr(view))
    if (same := unchanged(request, etag, cache=cache)) is not None:
        return same
    data = next(_drawn(archive_of(request).workspace.blobs, one, view, offer.media, number))
    return answer_parts(request, offer, iter([(offer.media, [data])]), etag, cache)


def _all(request: Request, found: list[Instance]) -> Response:
    """Every frame of many objects; those without pixels are passed over."""
    offer = Accepted(accept_of(request)).choose([Offer(JPEG, True), Offer(PNG, True)])
    view = View.asked(request.query_params)
    blobs = archive_of(request).workspace.blobs

    def parts() -> Iterator[tuple[str, list[bytes]]]:
        for one in found:
            try:
                for data in _drawn(blobs, one, view, offer.media, None):
                    yield offer.media, [data]
            except NotFound:
                continue

    etag = etag_of(str(offer), repr(view), *(one.blob for one in found))
    if (same := unchanged(request, etag, cache=REVALIDATE)) is not None:
        return same
    return answer_parts(request, offer, parts(), etag, REVALIDATE, whole=False)


def _drawn(blobs: BlobStore, one: Instance, view: View, media: str, number: int | None) -> Iterator[bytes]:
    """Frames of an object as files: one of them, the middle one (0), or all (None)."""
    with opened(blobs, one) as (_, found):
        frames = Frames(found)
        for each in range(1, frames.count + 1) if number is None else [number or frames.count // 2 + 1]:
            out = io.BytesIO()
            picture = picture_of(frames, each, view)
            if media == JPEG:
                picture.save(out, "JPEG", quality=view.quality)
            else:
                picture.save(out, "PNG", compress_level=1)
            yield out.getvalue()
