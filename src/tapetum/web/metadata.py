"""Metadata, WADO-RS (PS3.18 10.4.1.1.2): headers as DICOM JSON. Start reading at `_metadata`.

A viewer asks for the metadata of a series again and again, and nothing of it changes while no object is added: it is
made once and kept on the disk, compressed, under a name that is made of its objects.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from itertools import groupby
from pathlib import Path

from fastapi import APIRouter, Request, Response

from tapetum.formats.dicom_json import to_json_model
from tapetum.model import Instance
from tapetum.ports import BlobStore
from tapetum.web.accept import Accepted
from tapetum.web.answer import JSON_OFFERS, REVALIDATE, accept_of, etag_of, json_answer, takes_gzip, unchanged
from tapetum.web.archive import PREFIX, archive_of, base_url
from tapetum.web.frames import opened
from tapetum.web.retrieve import INSTANCE, SERIES, STUDY, instances_of

__all__ = ["MetadataCache", "router"]

router = APIRouter(prefix=PREFIX, tags=["WADO-RS"])

MOST_KEPT = 4096
LEVEL = 3  # of zlib: as small as 6 within some per cent, in half the time
AVAILABLE = "00083002"


class MetadataCache:
    """JSON by name, compressed, in a folder. What was used longest ago goes when there is too much."""

    def __init__(self, folder: Path, *, most: int = MOST_KEPT) -> None:
        self._folder, self._most = folder, most

    def get(self, name: str) -> bytes | None:
        """The compressed JSON, or None."""
        path = self._folder / name
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def put(self, name: str, data: bytes) -> None:
        """Keep compressed JSON; a disk that is full is no reason not to answer."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self._folder, prefix=".new-")
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            Path(part).replace(self._folder / name)
            self._make_room()
        except OSError:
            return

    def _make_room(self) -> None:
        kept = list(self._folder.iterdir())
        if len(kept) > self._most:
            for path in sorted(kept, key=lambda path: path.stat().st_mtime)[: len(kept) - self._most * 3 // 4]:
                path.unlink(missing_ok=True)


@router.get(f"{STUDY}/metadata", summary="Retrieve the metadata of a study")
def study_metadata(request: Request, study: str) -> Response:
    """The headers of a study, without their bulk."""
    return _metadata(request, instances_of(request, study))


@router.get(f"{SERIES}/metadata", summary="Retrieve the metadata of a series")
def series_metadata(request: Request, study: str, series: str) -> Response:
    """The headers of a series, without their bulk."""
    return _metadata(request, instances_of(request, study, series))


@router.get(f"{INSTANCE}/metadata", summary="Retrieve the metadata of an instance")
def instance_metadata(request: Request, study: str, series: str, instance: str) -> Response:
    """The header of one object, without its bulk."""
    return _metadata(request, instances_of(request, study, series, instance), keep=False)


def _metadata(request: Request, found: list[Instance], *, keep: bool = True) -> Response:
    media = Accepted(accept_of(request)).choose(JSON_OFFERS).media
    root = base_url(request)
    etag = etag_of(root, media, *(one.blob for one in found))
    if (same := unchanged(request, etag, cache=REVALIDATE)) is not None:
        return same
    workspace = archive_of(request).workspace
    cache = MetadataCache(workspace.folder / "cache" / "metadata")
    headers = {"ETag": etag}
    if not keep:
        return json_answer(request, _models(workspace.blobs, found, root), media=media, headers=headers)
    packed = [
        _packed(workspace.blobs, cache, list(group), root)
        for _, group in groupby(found, key=lambda one: one.series_instance_uid)
    ]
    if len(packed) == 1 and takes_gzip(request):
        told = {**headers, "Content-Encoding": "gzip", "Cache-Control": REVALIDATE, "Vary": "Accept, Accept-Encoding"}
        return Response(packed[0], 200, told, media)
    inner = b",".join(gzip.decompress(one)[1:-1] for one in packed)
    return json_answer(request, b"[" + inner + b"]", media=media, headers=headers)


def _packed(blobs: BlobStore, cache: MetadataCache, found: list[Instance], root: str) -> bytes:
    """The JSON array of a series, compressed: from the disk, or made."""
    name = hashlib.blake2b("|".join([root, *(one.blob for one in found)]).encode(), digest_size=20).hexdigest()
    data = cache.get(name)
    if data is None:
        data = gzip.compress(_models(blobs, found, root), compresslevel=LEVEL, mtime=0)
        cache.put(name, data)
    return data


def _models(blobs: BlobStore, found: list[Instance], root: str) -> bytes:
    return b"[" + b",".join([_model(blobs, one, root) for one in found]) + b"]"


def _model(blobs: BlobStore, one: Instance, root: str) -> bytes:
    place = f"{root}/studies/{one.study_instance_uid}/series/{one.series_instance_uid}/instances/{one.sop_instance_uid}"
    with opened(blobs, one) as (_, found):
        model = to_json_model(found.header, bulk_data_uri=lambda path: f"{place}/bulkdata/{path}")
        model[AVAILABLE] = {"vr": "UI", "Value": [str(found.transfer_syntax)]}
        if found.has_pixels:
            tag = f"{found.pixel_tag:08X}"
            model[tag] = {"vr": found.pixel_vr, "BulkDataURI": f"{place}/bulkdata/{tag}"}
    return json.dumps(model, separators=(",", ":"), allow_nan=False).encode("ascii")
