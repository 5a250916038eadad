"""Storing, STOW-RS (PS3.18 10.5): each part goes through `acquire.Door` and is answered when it is durable.

In: multipart/related or one object, as a stream.  Out: which objects are stored, and why others are not.
Start reading at `store`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response

from tapetum.acquire.walk import Source
from tapetum.errors import RefusedRequest, RejectedInput, TapetumError
from tapetum.formats import dicom
from tapetum.model import Arrival, Instance
from tapetum.web.accept import Accepted
from tapetum.web.answer import JSON_OFFERS, accept_of, json_answer, uid_in_path
from tapetum.web.archive import PREFIX, Archive, archive_of, base_url
from tapetum.web.multipart import Part, PartReader, parse_media_type

__all__ = ["router", "store"]

router = APIRouter(prefix=PREFIX, tags=["STOW-RS"])

OBJECT = "application/dicom"
UID = re.compile(r"[0-9.]{1,64}")
META_BYTES = 1024
MOST_DIGESTED = 1 << 20
# So many objects, or bytes of objects, are taken in by a thread at once.
TOGETHER, TOGETHER_BYTES = 64, 4 << 20
# Media Storage SOP Class (0002,0002) and Instance UID (0002,0003) with their lengths; file meta is always explicit VR.
MEDIA_CLASS = re.compile(rb"\x02\0\x02\0UI(..)", re.DOTALL)
MEDIA_INSTANCE = re.compile(rb"\x02\0\x03\0UI(..)", re.DOTALL)
# Failure reasons of PS3.4 Table GG.4-2 and PS3.18 Table 10.5.3-1, each standing for its group.
OUT_OF_RESOURCES, WRONG_STUDY, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000
CLASS_NOT_SUPPORTED, REFUSED = 0x0122, 0x0110
REASONS = {"unsupported": CLASS_NOT_SUPPORTED, "burned-in-text": REFUSED, "identifier-survived": REFUSED}
COERCED = 0xB000
CONFLICT = "conflicting-instance"


@dataclass(slots=True)
class _Sent:
    """One object of a request: what its file meta information calls it, and how it ends."""

    sop_class_uid: str
    sop_instance_uid: str
    ends: Future[Arrival] = field(default_factory=Future)
    reason: int = OUT_OF_RESOURCES


@router.post("/studies", summary="Store instances")
async def store(request: Request) -> Response:
    """Store the objects of a body of any studies.

    Answers 200 when all are stored as they came, 202 when some failed or were changed on the way, 409 when none is
    stored, 503 when this machine cannot write.
    """
    return await _store(request, "")


@router.post("/studies/{study}", summary="Store instances of one study")
async def store_in_study(request: Request, study: str) -> Response:
    """Store the objects of a body that belong to a study; others are refused."""
    return await _store(request, uid_in_path(study))


async def _store(request: Request, study: str) -> Response:
    Accepted(accept_of(request)).choose(JSON_OFFERS)
    archive = archive_of(request)
    taking = _Taking(archive, study, request.client.host if request.client else "")
    try:
        async for part in _parts(request, archive.workspace.settings.acquire_max_bytes):
            await taking.add(part)
    finally:
        await taking.end()
    if not taking.sent:
        raise RefusedRequest("bad-request", "the body holds no object")
    return _answer(request, archive, taking.sent)


class _Taking:
    """Takes the objects of one request in, some at a time, each time in a thread, while the next are still coming.

    A thread that takes one object costs as much as the object: so they go through together.
    """

    def __init__(self, archive: Archive, study: str, client: str) -> None:
        self.sent: list[_Sent] = []
        self._archive, self._study, self._client = archive, study, client
        self._parts: list[Part] = []
        self._bytes = 0
        self._running: asyncio.Future[None] | None = None

    async def add(self, part: Part) -> None:
        """Take an object in, now or with those that follow."""
        self._parts.append(part)
        self._bytes += part.size
        if self._bytes >= TOGETHER_BYTES or len(self._parts) >= TOGETHER:
            await self._take(is_last=False)

    async def end(self) -> None:
        """Take the rest in, and wait until all is durable."""
        await self._take(is_last=True)
        if self._running is not None:
            await self._running

    async def _take(self, *, is_last: bool) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            await running
        parts, self._parts, self._bytes = self._parts, [], 0
        if not parts and not self.sent:
            return
        await self._archive.batches.acquire()
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(self._archive.pool, self._submit, parts, is_last)
        self._running.add_done_callback(lambda _: self._archive.batches.release())

    def _submit(self, parts: list[Part], is_last: bool) -> None:
        for part in parts:
            with closing(part):
                one = _named(part)
                self.sent.append(one)
                self._submit_one(part, one)
        if is_last:
            self._archive.door.settle()
            _wait(self.sent)

    def _submit_one(self, part: Part, one: _Sent) -> None:
        # What this machine cannot do is its own fault, and the object may be sent again.
        with suppress(TapetumError, OSError):
            if part.headers.get("content-type", OBJECT).split(";")[0].strip().lower() != OBJECT:
                one.reason = CANNOT_UNDERSTAND
            elif self._study and not _is_of(part, self._study, self._archive):
                one.reason = WRONG_STUDY
            else:
                # A second try comes from the place of the first, so that what is stored at last leaves the quarantine.
                name = one.sop_instance_uid or _digest(part)
                source = Source(f"stow://{self._client}/{name}", name, "dicom", part.size, 0, part.open)
                one.ends = self._archive.door.gather(source)
                one.reason = 0


def _is_of(part: Part, study: str, archive: Archive) -> bool:
    """Whether an object says that it is of a study, by the UID it came with or the one it is given here.

    One that cannot be read is let through: the door knows better what is wrong with it.
    """
    with part.open() as file:
        try:
            uid = dicom.read(file).header.text("StudyInstanceUID")
        except RejectedInput:
            return True
    return study in (uid, archive.workspace.names.uid(uid))


def _digest(part: Part) -> str:
    with part.open() as file:
        return hashlib.blake2b(file.read(MOST_DIGESTED), digest_size=16).hexdigest()


def _wait(sent: list[_Sent]) -> None:
    """Until all is durable."""
    for one in sent:
        if not one.reason:
            try:
                one.reason = _reason(one.ends.result())
            except TapetumError:
                one.reason = OUT_OF_RESOURCES


def _reason(arrival: Arrival) -> int:
    """Why an object failed; 0 when it did not. One that contradicts another of its UID is kept beside it."""
    if arrival.rejected is None or arrival.outcome != "rejected" or arrival.rejected.code == CONFLICT:
        return 0
    return REASONS.get(arrival.rejected.code, CANNOT_UNDERSTAND)


async def _parts(request: Request, most_bytes: int) -> AsyncIterator[Part]:
    """The objects of a body, each as soon as it is whole."""
    media, parameters = parse_media_type(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedRequest("unsupported-media-type", "the body is encoded", hint="send it as it is")
    if media == OBJECT:
        part = Part({})
        async for chunk in request.stream():
            if part.size + len(chunk) > most_bytes:
                part.close()
                raise RefusedRequest("too-large", "the object is larger than allowed", hint="raise acquire.max_bytes")
            part.write(chunk)
        if part.size:
            yield part
        return
    if media != "multipart/related" or parameters.get("type", OBJECT).lower() != OBJECT:
        hint = f'send multipart/related; type="{OBJECT}"; boundary=..., or {OBJECT}'
        raise RefusedRequest("unsupported-media-type", "the body is of a type that is not taken", hint=hint)
    reader = PartReader(parameters.get("boundary", ""), most_bytes=most_bytes)
    try:
        async for chunk in request.stream():
            for part in reader.feed(chunk):
                yield part
        reader.finish()
    finally:
        reader.close()


def _named(part: Part) -> _Sent:
    """What the file meta information says, as far as it can be read at a glance: needed only to say what failed."""
    with part.open() as file:
        head = file.read(META_BYTES)
    return _Sent(_meta(head, MEDIA_CLASS), _meta(head, MEDIA_INSTANCE))


def _meta(head: bytes, element: re.Pattern[bytes]) -> str:
    found = element.search(head)
    if found is None:
        return ""
    length = int.from_bytes(found[1], "little")
    uid = head[found.end() : found.end() + length].rstrip(b"\0 ").decode("latin-1")
    return uid if UID.fullmatch(uid) else ""


def _answer(request: Request, archive: Archive, sent: list[_Sent]) -> Response:
    """The Store Instances Response Module (PS3.18 Table 10.5.3-1)."""
    root = base_url(request)
    stored = [(one, instance) for one in sent if not one.reason and (instance := one.ends.result().instance)]
    failed = [one for one in sent if one.reason]
    answer: dict[str, Any] = {}
    studies = {instance.study_instance_uid for _, instance in stored}
    if len(studies) == 1:
        answer["00081190"] = {"vr": "UR", "Value": [f"{root}/studies/{studies.pop()}"]}
    items = [_stored(one, instance, root) for one, instance in stored]
    named = [_failed(one) for one in failed if one.sop_instance_uid]
    unnamed = [{"00081197": _number(one.reason)} for one in failed if not one.sop_instance_uid]
    for tag, found in (("00081198", named), ("00081199", items), ("0008119A", unnamed)):
        if found:
            answer[tag] = {"vr": "SQ", "Value": found}
    warned = any("00081196" in item for item in items)
    status = 202 if warned or (failed and stored) else 200
    if not stored:
        status = 503 if all(one.reason == OUT_OF_RESOURCES for one in failed) else 409
    return json_answer(request, answer, status=status, headers=_codes(sent))


def _stored(one: _Sent, instance: Instance, root: str) -> dict[str, Any]:
    """An item of the Referenced SOP Sequence: the names under which the object can be had again."""
    place = f"studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
    item = {
        "00081150": {"vr": "UI", "Value": [str(instance.attributes.get("SOPClassUID") or one.sop_class_uid)]},
        "00081155": {"vr": "UI", "Value": [instance.sop_instance_uid]},
        "00081190": {"vr": "UR", "Value": [f"{root}/{place}/instances/{instance.sop_instance_uid}"]},
    }
    if one.ends.result().outcome == "rejected" or one.sop_instance_uid not in ("", instance.sop_instance_uid):
        item["00081196"] = _number(COERCED)
    return item


def _failed(one: _Sent) -> dict[str, Any]:
    """An item of the Failed SOP Sequence."""
    return {
        "00081150": {"vr": "UI", "Value": [one.sop_class_uid] if one.sop_class_uid else []},
        "00081155": {"vr": "UI", "Value": [one.sop_instance_uid]},
        "00081197": _number(one.reason),
    }


def _number(value: int) -> dict[str, Any]:
    return {"vr": "US", "Value": [value]}


def _codes(sent: list[_Sent]) -> dict[str, str]:
    """A Warning header with the codes of what was refused or conflicts, and how many there are of each."""
    codes = Counter(
        arrival.rejected.code
        for one in sent
        if one.ends.done()
        and not one.ends.exception()
        and (arrival := one.ends.result()).outcome == "rejected"
        and arrival.rejected
    )
    told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    return {"Warning": f'299 tapetum "{told}"'} if told else {}
