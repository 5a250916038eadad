"""Retrieving, WADO-RS (PS3.18 10.4): objects, frames, bulk data. Start reading at `_objects`.

Bytes go out as they are stored when the client takes that encoding, else in Explicit VR Little Endian, the default of
PS3.18 8.7.3. Nothing is held in memory but one object, and of a large one a MiB at a time.
"""

from __future__ import annotations

import asyncio
import io
import re
import secrets
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import pydicom
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydicom.uid import UID, ExplicitVRLittleEndian

from tapetum.errors import NotFound, RefusedRequest, RejectedInput
from tapetum.formats import dicom, pixels
from tapetum.formats.elements import Header
from tapetum.model import Instance, Level, Query
from tapetum.web.accept import ANY_SYNTAX, Accepted, Offer
from tapetum.web.answer import IMMUTABLE, REVALIDATE, accept_of, asks_only_head, etag_of, uid_in_path, unchanged
from tapetum.web.archive import PREFIX, Archive, archive_of
from tapetum.web.frames import Frames, opened

__all__ = [
    "FRAME",
    "INSTANCE",
    "SERIES",
    "STUDY",
    "answer_parts",
    "frame",
    "frame_numbers",
    "instances_of",
    "one_of",
    "router",
]

router = APIRouter(prefix=PREFIX, tags=["WADO-RS"])

CHUNK = 1 << 20
WHOLE_BYTES = 8 << 20
OBJECT, OCTETS = "application/dicom", "application/octet-stream"
PLAIN = str(ExplicitVRLittleEndian)
# PS3.18 Tables 8.7.3-4 and -5.
MEDIA = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.100": "video/mpeg2",
    "1.2.840.10008.1.2.4.102": "video/mp4",
}
STUDY, SERIES = "/studies/{study}", "/studies/{study}/series/{series}"
INSTANCE = f"{SERIES}/instances/{{instance}}"
FRAME = re.compile(
    rf"{PREFIX}/studies/(?P<study>[^/]+)/series/(?P<series>[^/]+)/instances/(?P<instance>[^/]+)/frames/(?P<number>[0-9]+)"
)


@router.get(STUDY, summary="Retrieve a study")
def study(request: Request, study: str) -> Response:
    """All objects of a study."""
    return _objects(request, instances_of(request, study))


@router.get(SERIES, summary="Retrieve a series")
def series(request: Request, study: str, series: str) -> Response:
    """All objects of a series."""
    return _objects(request, instances_of(request, study, series))


@router.get(INSTANCE, summary="Retrieve an instance")
def instance(request: Request, study: str, series: str, instance: str) -> Response:
    """One object."""
    return _objects(request, [one_of(request, study, series, instance)], single=True)


@router.get(f"{INSTANCE}/frames/{{numbers}}", summary="Retrieve frames")
def frames(request: Request, study: str, series: str, instance: str, numbers: str) -> Response:
    """Frames by their numbers from 1, with commas between them: decoded, or as they are stored."""
    return _frames(request, one_of(request, study, series, instance), frame_numbers(numbers))


async def frame(request: Request, study: str, series: str, instance: str, number: str) -> Response:
    """One frame, as `frames` answers it, in a fraction of the time: it is what a viewer asks for most."""
    (wanted,), loop = frame_numbers(number), asyncio.get_running_loop()
    return await loop.run_in_executor(archive_of(request).readers, _frame, request, (study, series, instance), wanted)


def _frame(request: Request, uids: tuple[str, ...], number: int) -> Response:
    archive = archive_of(request)
    layout = archive.layouts.get(uids)
    if layout is None:
        one = one_of(request, *uids)
        with opened(archive.workspace.blobs, one) as (_, found):
            layout = Frames(found).layout(one.blob)
        if layout is None:
            return _frames(request, one, [number])
        archive.layouts.put(uids, layout)
    offer, as_stored, media = _agreed(accept_of(request), PLAIN, compressed=False, single=True)
    etag = etag_of(layout.blob, str(number), str(offer), str(as_stored))
    if (same := unchanged(request, etag, cache=IMMUTABLE)) is not None:
        return same
    data = layout.read(archive.workspace.blobs, number)
    return answer_parts(request, offer, iter([(media, [data])]), etag, IMMUTABLE)


@router.get(f"{INSTANCE}/bulkdata/{{path:path}}", summary="Retrieve bulk data")
def bulkdata(request: Request, study: str, series: str, instance: str, path: str) -> Response:
    """A value that the metadata name by its address."""
    one = one_of(request, study, series, instance)
    with opened(archive_of(request).workspace.blobs, one) as (_, found):
        if path == f"{found.pixel_tag:08X}" and found.has_pixels:
            if found.transfer_syntax.is_encapsulated:
                return _frames(request, one, range(1, Frames(found).count + 1))
            value: Iterable[bytes] = [b"".join(found.pixel_bytes())]
        else:
            value = [_value_at(found.header, path)]
    offer = Accepted(accept_of(request)).choose([Offer(OCTETS, multipart=True), Offer(OCTETS)])
    return answer_parts(request, offer, iter([(OCTETS, value)]), etag_of(one.blob, path, str(offer)), IMMUTABLE)


def instances_of(request: Request, *uids: str) -> list[Instance]:
    """The DICOM objects of a study, series or instance.

    Raises
    ------
    NotFound, RefusedRequest : bad-request (a UID that is none).
    """
    found = [one for one in _select(archive_of(request), uids) if one.format == "dicom"]
    if not found:
        raise NotFound("nothing is stored under these UIDs", hint="search for it first")
    return found


def one_of(request: Request, *uids: str) -> Instance:
    """The instance, or one from the middle of a series or study."""
    archive = archive_of(request)
    if len(uids) == 3:
        return instances_of(request, *uids)[0]
    count = archive.workspace.catalogue.count(Query("instance", _match(uids)))
    found = next(_select(archive, uids, offset=count // 2, level="instance"), None)
    if found is None or found.format != "dicom":
        raise NotFound("nothing is stored under these UIDs", hint="search for it first")
    return found


LEVEL: dict[int, Level] = {1: "study", 2: "series", 3: "instance"}
KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def _match(uids: tuple[str, ...]) -> dict[str, str]:
    return {keyword: uid_in_path(uid) for keyword, uid in zip(KEYWORDS, uids, strict=False)}


def _select(
    archive: Archive, uids: tuple[str, ...], *, level: Level | None = None, offset: int = 0
) -> Iterator[Instance]:
    limit = 1 if offset or level else None
    return iter(
        archive.workspace.catalogue.select(Query(level or LEVEL[len(uids)], _match(uids), limit=limit, offset=offset))
    )


def frame_numbers(text: str) -> list[int]:
    """``1,4,5`` -> frame numbers.

    Raises
    ------
    RefusedRequest : bad-request.
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and 0 < len(part) < 10 and int(part) for part in parts):
        raise RefusedRequest("bad-request", "frames are numbers from 1 with commas between them")
    return [int(part) for part in parts]


def _objects(request: Request, found: list[Instance], *, single: bool = False) -> Response:
    accepted = Accepted(accept_of(request))
    offers = [Offer(OBJECT, multipart=True), *([Offer(OBJECT)] if single else [])]
    offer = accepted.choose(offers)
    syntaxes = accepted.syntaxes(offer)
    cache = IMMUTABLE if single else REVALIDATE
    etag = etag_of(str(offer), *sorted(syntaxes), *(one.blob for one in found))
    if (same := unchanged(request, etag, cache=cache)) is not None:
        return same
    blobs = archive_of(request).workspace.blobs

    def parts() -> Iterator[tuple[str, Iterable[bytes]]]:
        for one in found:
            with opened(blobs, one) as (file, object_):
                syntax, content = _encoded(file, object_, syntaxes)
                yield f"{OBJECT}; transfer-syntax={syntax}", content

    total = sum(one.size_bytes for one in found)
    return answer_parts(request, offer, parts(), etag, cache, whole=total <= WHOLE_BYTES)


def _encoded(file: Any, found: dicom.DicomObject, syntaxes: frozenset[str]) -> tuple[str, Iterable[bytes]]:
    """An object in one of the transfer syntaxes: as it is stored if that is among them."""
    stored = found.transfer_syntax
    if ANY_SYNTAX in syntaxes or stored in syntaxes or (stored == PLAIN and "" in syntaxes):
        return stored, _chunks(file)
    if not syntaxes & {"", PLAIN}:
        hint = f"ask for transfer-syntax={stored}, {PLAIN} or *"
        raise RefusedRequest("not-acceptable", "the object is not kept in that transfer syntax", hint=hint)
    if not stored.is_encapsulated:
        out = io.BytesIO()
        dicom.write(found.header, found, out)
        return PLAIN, [out.getvalue()]
    try:
        return PLAIN, [_decompressed(file)]
    except RejectedInput:
        # PS3.18 8.7.3.5: what cannot be transcoded is sent as it is unless that was excluded.
        if "" in syntaxes:
            return stored, _chunks(file)
        raise RefusedRequest("not-acceptable", "the object cannot be decompressed", hint=f"ask for {stored}") from None


def _decompressed(file: Any) -> bytes:
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True)
    array = pixels.decode(dataset)
    if array.shape[-1] == 3 and dataset.SamplesPerPixel in (1, 3) and array.ndim == 4:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = 8 * array.dtype.itemsize
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    dataset.file_meta.TransferSyntaxUID = UID(PLAIN)
    dataset.add_new("PixelData", "OB" if dataset.BitsAllocated == 8 else "OW", data + b"\0" * (len(data) & 1))
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, implicit_vr=False, little_endian=True, force_encoding=True)
    return out.getvalue()


def _chunks(file: Any) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk


def _frames(request: Request, one: Instance, numbers: Iterable[int]) -> Response:
    wanted = list(numbers)
    with opened(archive_of(request).workspace.blobs, one) as (_, found):
        held = Frames(found)
        single = len(wanted) == 1
        offer, as_stored, media = _agreed(accept_of(request), held.syntax, compressed=held.is_compressed, single=single)
        etag = etag_of(one.blob, *map(str, wanted), str(offer), str(as_stored))
        if (same := unchanged(request, etag, cache=IMMUTABLE)) is not None:
            return same
        data = [held.stored(number) if as_stored else held.native(number) for number in wanted]
    return answer_parts(request, offer, iter([(media, [each]) for each in data]), etag, IMMUTABLE)


@lru_cache(maxsize=256)
def _agreed(accept: str, syntax: str, *, compressed: bool, single: bool) -> tuple[Offer, bool, str]:
    """What frames are answered as, whether as they are stored, and the media type of each: clients ask alike."""
    kept = MEDIA.get(syntax, OCTETS)
    offers = [Offer(media, multipart) for multipart in (True, False)[: 1 + single]
              for media in dict.fromkeys((OCTETS, kept))]  # fmt: skip
    accepted = Accepted(accept)
    offer = accepted.choose(offers)
    syntaxes = accepted.syntaxes(offer)
    as_stored = not compressed or offer.media != OCTETS or bool(syntaxes & {syntax, ANY_SYNTAX})
    if not as_stored and not syntaxes & {"", PLAIN}:
        raise RefusedRequest("not-acceptable", "the frames are not kept in that transfer syntax",
                             hint=f"ask for transfer-syntax={syntax}, {PLAIN} or *")  # fmt: skip
    return offer, as_stored, f"{offer.media}; transfer-syntax={syntax if compressed and as_stored else PLAIN}"


def answer_parts(
    request: Request,
    offer: Offer,
    parts: Iterator[tuple[str, Iterable[bytes]]],
    etag: str,
    cache: str,
    *,
    whole: bool = True,
) -> Response:
    """Parts as multipart/related, or the only one on its own; in one piece when it is small."""
    headers = {"ETag": etag, "Cache-Control": cache, "Vary": "Accept"}
    if asks_only_head(request):
        return Response(headers=headers, media_type=str(offer))
    if offer.multipart:
        boundary = secrets.token_hex(16)
        media = f'multipart/related; type="{offer.media}"; boundary={boundary}'
        stream = _multipart(parts, boundary)
    else:
        media, content = next(parts)
        stream = _only(content, parts)
    if not whole:
        return StreamingResponse(stream, headers=headers, media_type=media)
    return Response(b"".join(stream), headers=headers, media_type=media)


def _only(content: Iterable[bytes], rest: Iterator[object]) -> Iterator[bytes]:
    """One part's content; what made the parts holds its file open until it is asked for the next."""
    yield from content
    next(rest, None)


def _multipart(parts: Iterator[tuple[str, Iterable[bytes]]], boundary: str) -> Iterator[bytes]:
    """The body of multipart/related (RFC 2387) from the media type and content of each part."""
    for media, content in parts:
        head = f"--{boundary}\r\nContent-Type: {media}\r\n\r\n".encode("ascii")
        for chunk in content:
            yield head + chunk if head else chunk
            head = b""
        yield head + b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")


def _value_at(header: Header, path: str) -> bytes:
    """A binary value by the tags and item numbers that lead to it, as `to_json_model` names it."""
    steps = path.split("/")
    try:
        for tag, number in zip(steps[:-1:2], steps[1::2], strict=True):
            header = header.sequence(int(tag, 16))[int(number)]
        value = header.raw(int(steps[-1], 16))
    except (ValueError, IndexError):
        value = b""
    if not value:
        raise NotFound("no such bulk data", hint="take its address from the metadata")
    return value
