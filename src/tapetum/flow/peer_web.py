"""Another archive that speaks DICOMweb: QIDO-RS, WADO-RS, STOW-RS. Start at `WebPeer`.

Definitions: DICOM PS3.18 Chapter 10. Objects are streamed through spools, so that no response is held in memory.
"""

from __future__ import annotations

import io
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, BinaryIO

import httpx
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tapetum.errors import PeerFailed
from tapetum.model import Instance
from tapetum.settings import Peer

__all__ = ["WebPeer"]

TAGS = {
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "SOPInstanceUID": "00080018",
    "SOPClassUID": "00080016",
    "Modality": "00080060",
}
REFERENCED_SOPS, REFERENCED_UID = "00081199", "00081155"
PAGE = 500
MANY_AT_ONCE = 4
SPOOL_BYTES, CHUNK = 8 << 20, 1 << 16
BATCH_COUNT, BATCH_BYTES = 32, 64 << 20
TIMEOUT_S = 60.0
BOUNDARY_BYTES = 200
# In its stored encoding, and not squeezed again: pixels cost much time and little is gained.
AS_STORED = {
    "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
    "Accept-Encoding": "identity",
}

Take = Callable[[bytes], object]
Transcode = Callable[[BinaryIO, str], bytes]


class WebPeer:
    """One peer; use as a context manager.

    Parameters
    ----------
    transcode : the data set of a stored object in another plain encoding (`dimse.sending.transcoded`).
    """

    def __init__(self, peer: Peer, transcode: Transcode) -> None:
        self._peer, self._transcode = peer, transcode
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)

    def __enter__(self) -> WebPeer:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def find(self, level: str, match: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """The matches of a query at a level, by keyword, a page at a time.

        Raises
        ------
        PeerFailed : it cannot be asked.
        """
        asked = dict(match)
        place = ""
        for keyword, part in (("StudyInstanceUID", "/studies"), ("SeriesInstanceUID", "/series")):
            if level != "study" and keyword in asked:
                place += f"{part}/{asked.pop(keyword)}"
        place += {"study": "/studies", "series": "/series", "instance": "/instances"}[level]
        offset = 0
        while True:
            page = {**asked, "limit": str(PAGE), "offset": str(offset)}
            rows = self._json("GET", place, params=page, headers={"Accept": "application/dicom+json"})
            yield from ({name: _first(row, tag) for name, tag in TAGS.items()} for row in rows)
            offset += len(rows)
            if len(rows) < PAGE:
                return

    def fetch(self, study: str, series: str, wanted: Mapping[str, str], *, whole: bool, take: Take) -> None:
        """Get instances of a series, a few at once. ``whole`` makes no difference here.

        Raises
        ------
        PeerFailed : the peer does not send, or went away.
        """
        root = f"/studies/{study}/series/{series}/instances"
        with ThreadPoolExecutor(MANY_AT_ONCE) as pool:
            for data in pool.map(self._get, [f"{root}/{uid}" for uid in wanted]):
                take(data)

    def _get(self, place: str) -> bytes:
        url = f"{self._peer.url}{place}"
        with self._answers(), tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            with self._client.stream("GET", url, headers=AS_STORED) as answer:
                _refuse(answer)
                kind = answer.headers.get("Content-Type", "")
                for chunk in answer.iter_bytes(CHUNK):
                    spool.write(chunk)
            spool.seek(0)
            return _part(spool.read(), kind)

    def send(self, instances: Sequence[Instance], opened: Callable[[str], BinaryIO]) -> Iterator[tuple[str, str]]:
        """Store instances at the peer; yields each one's SOP Instance UID and what went wrong, empty for nothing.

        Raises
        ------
        PeerFailed : the peer cannot be reached, or went away.
        """
        batch: list[Instance] = []
        for one in [*instances, None]:
            size = sum(item.size_bytes for item in batch)
            if batch and (one is None or len(batch) == BATCH_COUNT or size + one.size_bytes > BATCH_BYTES):
                yield from self._stow(batch, opened, plain=False)
                batch = []
            if one is not None:
                batch.append(one)

    def commit(self, instances: Sequence[Instance], *, wait_s: float) -> set[str] | None:
        """DICOMweb's own commitment is offered by next to nobody: None."""
        return None

    def _stow(
        self, batch: list[Instance], opened: Callable[[str], BinaryIO], *, plain: bool
    ) -> Iterator[tuple[str, str]]:
        boundary = secrets.token_hex(16)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        with self._answers():
            body = self._parts(batch, opened, boundary, plain=plain)
            answer = self._client.post(f"{self._peer.url}/studies", content=body, headers=headers)
        if answer.status_code in (200, 202, 409):
            kept = {_first(item, REFERENCED_UID) for item in _items(answer)}
        elif answer.status_code in (400, 415):
            kept = set()
        else:
            _refuse(answer)
            kept = set()
        left = [one for one in batch if one.sop_instance_uid not in kept]
        yield from ((one.sop_instance_uid, "") for one in batch if one.sop_instance_uid in kept)
        if left and not plain:  # an encoding that the peer does not take is the usual reason
            yield from self._stow(left, opened, plain=True)
        else:
            yield from ((one.sop_instance_uid, f"status-{answer.status_code}") for one in left)

    def _parts(
        self, batch: list[Instance], opened: Callable[[str], BinaryIO], boundary: str, *, plain: bool
    ) -> Iterator[bytes]:
        for one in batch:
            yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            with opened(one.blob) as file:
                if plain or not _is_file(file):
                    yield self._as_file(file, one)
                else:
                    while chunk := file.read(CHUNK):
                        yield chunk
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    def _as_file(self, file: BinaryIO, one: Instance) -> bytes:
        data = self._transcode(file, ExplicitVRLittleEndian)
        found = pydicom.filereader.read_dataset(io.BytesIO(data), False, True)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(str(one.attributes.get("SOPClassUID", "")))
        meta.MediaStorageSOPInstanceUID = UID(one.sop_instance_uid)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        out = io.BytesIO()
        FileDataset("", found, preamble=b"\0" * 128, file_meta=meta).save_as(out, enforce_file_format=True)
        return out.getvalue()

    def _json(self, method: str, place: str, **more: Any) -> list[Any]:
        with self._answers():
            answer = self._client.request(method, f"{self._peer.url}{place}", **more)
        _refuse(answer)
        if answer.status_code == 204 or not answer.content:
            return []
        try:
            rows = answer.json()
        except ValueError as error:
            raise PeerFailed("peer-failed", "the peer's answer is no JSON", peer=self._peer.name) from error
        return rows if isinstance(rows, list) else []

    def _answers(self) -> _Answers:
        return _Answers(self._peer.name)


class _Answers:
    """Turns what httpx raises into what it means."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
            raise PeerFailed("peer-unreachable", "the peer cannot be reached", peer=self._peer) from error
        if isinstance(error, httpx.HTTPError):
            raise PeerFailed("peer-lost", "the peer went away", peer=self._peer) from error


def _refuse(answer: httpx.Response) -> None:
    if answer.status_code in (401, 403):
        raise PeerFailed("peer-refused", "the peer does not let us", status=answer.status_code)
    if answer.status_code == 503:
        raise PeerFailed("peer-lost", "the peer is busy", status=answer.status_code)
    if not answer.is_success:
        raise PeerFailed("peer-failed", "the peer could not answer", status=answer.status_code)


def _first(row: Mapping[str, Any], tag: str) -> str:
    values = (row.get(tag) or {}).get("Value") or [""]
    return str(values[0])


def _items(answer: httpx.Response) -> list[Any]:
    try:
        tree = answer.json()
    except ValueError:
        return []
    tree = tree[0] if isinstance(tree, list) and tree else tree
    found = (tree.get(REFERENCED_SOPS) or {}).get("Value") if isinstance(tree, dict) else None
    return found or []


def _part(body: bytes, content_type: str) -> bytes:
    """The object in a response of one part, or of none."""
    if "multipart" not in content_type.lower():
        return body
    start = body.find(b"\r\n\r\n")
    found = re.match(rb"(?:\s*)--([^\r\n]+)\r\n", body[:BOUNDARY_BYTES])
    if start < 0 or found is None:
        raise PeerFailed("peer-failed", "the peer's answer is no multipart message")
    stop = body.rfind(b"\r\n--" + found[1].rstrip())
    if stop < start:
        raise PeerFailed("peer-lost", "the peer's answer ends too early")
    return body[start + 4 : stop]


def _is_file(file: BinaryIO) -> bool:
    head = file.read(132)
    file.seek(0)
    return head[128:] == b"DICM"
