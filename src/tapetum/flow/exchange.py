"""Objects from another archive and to one: resumed where it stopped, tried again, counted. Start at `pull` and `push`.

    pull: ask for studies, series, instances -> leave out what is stored -> fetch -> the door that everything takes
    push: ask what the peer has -> leave that out -> send -> ask again, so that the counts agree

A peer is asked for nothing twice: what arrived before a stop, or before it hung up, is stored and is left out.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from tapetum.acquire import Door, Intake, Policy
from tapetum.acquire.walk import Source
from tapetum.errors import NotFound, PeerFailed, TapetumError
from tapetum.flow.peer_dimse import DimsePeer
from tapetum.flow.peer_web import WebPeer
from tapetum.flow.workspace import Workspace
from tapetum.formats.sniff import HEAD_BYTES, sniff
from tapetum.model import Arrival, Instance, Query, Series

__all__ = ["Exchanged", "Transcode", "door_of", "pull", "push"]

Transcode = Callable[[BinaryIO, str], bytes]
TRIES = 4
FIRST_WAIT_S = 1.0
COMMIT_WAIT_S = 10.0
WAITING_AT_ONCE = 64


@dataclass(slots=True)
class Exchanged:
    """How an exchange stands.

    ``series`` were looked at; ``present`` instances were on the receiving side before; ``outcomes`` counts the others:
    stored, duplicate and rejected by us when pulling, sent and failed when pushing. ``codes`` says of what rejected and
    failed ones failed. ``confirmed`` are those of the sent that the peer lists, or has committed itself to, afterwards;
    None where it cannot be asked.
    """

    series: int = 0
    present: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    confirmed: int | None = None
    committed: int | None = None
    retries: int = 0

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        told = {"series": self.series, "present": self.present, **self.outcomes, "retries": self.retries}
        more = {"confirmed": self.confirmed, "committed": self.committed}
        return told | {name: value for name, value in more.items() if value is not None} | {"codes": dict(self.codes)}

    @property
    def is_whole(self) -> bool:
        """Whether nothing was rejected, failed or is missing."""
        sent = self.outcomes["sent"]
        return not self.codes and self.confirmed in (None, sent)


OnExchange = Callable[[Exchanged], object]


def pull(
    workspace: Workspace,
    name: str,
    match: Mapping[str, str],
    *,
    transcode: Transcode,
    by_move: bool = False,
    on_progress: OnExchange = lambda _: None,
    on_stored: Callable[[Arrival], object] = lambda _: None,
    wait: Callable[[float], object] = time.sleep,
) -> Exchanged:
    """Take in what a peer has.

    Parameters
    ----------
    name : of the peer in ``[peers]``.
    match : DICOM keywords of patient, study and series level and what they must be (see `model.Query`).
    transcode : `dimse.sending.transcoded`.
    by_move : by C-MOVE to our own title and port instead of C-GET; the peer must know us.
    on_stored : as for `Door`.
    wait : called with the seconds before another try.

    Raises
    ------
    NotFound : no such peer.
    PeerFailed : it cannot be reached or does not want us, or went away more often than we tried.
    """
    done = Exchanged()
    with _peer(workspace, name, transcode, by_move=by_move) as peer, door_of(workspace, on_stored) as door:
        for study, series in _found(peer, match):
            _retried(partial(_pull_series, workspace, peer, door, (name, study, series), done), done, wait)
            done.series += 1
            on_progress(done)
    return done


def push(
    workspace: Workspace,
    name: str,
    series: Sequence[Series],
    *,
    transcode: Transcode,
    on_progress: OnExchange = lambda _: None,
    wait: Callable[[float], object] = time.sleep,
) -> Exchanged:
    """Send series to a peer, and ask it afterwards what it has.

    Parameters and errors are those of `pull`.
    """
    done = Exchanged(confirmed=0)
    with _peer(workspace, name, transcode) as peer:
        for one in series:
            ours = [item for item in workspace.catalogue.instances(one.series_instance_uid) if item.format == "dicom"]
            sent: set[str] = set()
            _retried(partial(_push_series, workspace, peer, ours, sent, done), done, wait)
            _confirm(peer, [item for item in ours if item.sop_instance_uid in sent], done)
            done.series += 1
            on_progress(done)
    return done


def door_of(workspace: Workspace, on_stored: Callable[[Arrival], object] = lambda _: None) -> Door:
    """The door of a workspace for senders that wait, with the policy of its settings."""
    settings = workspace.settings
    policy = Policy(
        max_bytes=settings.acquire_max_bytes,
        max_pixels=settings.acquire_max_pixels,
        allow_burned_in=settings.acquire_allow_burned_in,
        site=settings.acquire_site,
        deidentify=settings.protect_deidentify,
    )
    observe = workspace.observation_table.append
    intake = Intake(workspace.blobs, workspace.catalogue, workspace.names, policy, None, observe=observe)
    return Door(intake, workspace.catalogue, on_stored=on_stored)


Peer = DimsePeer | WebPeer


def _peer(
    workspace: Workspace, name: str, transcode: Transcode, *, by_move: bool = False
) -> AbstractContextManager[Peer]:
    peers = workspace.settings.peers
    if name not in peers:
        known = ", ".join(sorted(peers)) or "none"
        raise NotFound(f"no peer is called {name!r}", hint=f"name it in [peers] of tapetum.toml; there are: {known}")
    if peers[name].url:
        return WebPeer(peers[name], transcode)
    settings = workspace.settings
    ours = (settings.dimse_ae_title, settings.dimse_host, settings.dimse_port)
    return nullcontext(DimsePeer(peers[name], ours, transcode, by_move=by_move))


def _found(peer: Peer, match: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Studies and series that fit. A peer may know less than we ask for, so the modality is looked at once more."""
    study_keys = {word: value for word, value in match.items() if word not in ("Modality", "SeriesInstanceUID")}
    if match.get("Modality"):
        study_keys["ModalitiesInStudy"] = match["Modality"]
    series_keys = {word: match[word] for word in ("Modality", "SeriesInstanceUID") if match.get(word)}
    for study in [row["StudyInstanceUID"] for row in peer.find("study", study_keys)]:
        for row in peer.find("series", {"StudyInstanceUID": study, **series_keys}):
            if match.get("Modality", "") in ("", row["Modality"]) and row["SeriesInstanceUID"]:
                yield study, row["SeriesInstanceUID"]


def _retried(work: Callable[..., None], done: Exchanged, wait: Callable[[float], object]) -> None:
    """Do a series again when the peer went away, after 1, 2 and 4 seconds; it was there, so it may come back.

    ``work`` is told whether this ``is_first``.
    """
    for number in range(TRIES):
        try:
            work(is_first=number == 0)
        except PeerFailed as error:
            was_there = error.code == "peer-lost" or (error.code == "peer-unreachable" and number > 0)
            if not was_there or number == TRIES - 1:
                raise
        else:
            return
        done.retries += 1
        wait(FIRST_WAIT_S * 2**number)


def _pull_series(
    workspace: Workspace, peer: Peer, door: Door, place: tuple[str, str, str], done: Exchanged, *, is_first: bool
) -> None:
    name, study, series = place
    listed = peer.find("instance", {"StudyInstanceUID": study, "SeriesInstanceUID": series})
    there = {row["SOPInstanceUID"]: row["SOPClassUID"] for row in listed if row["SOPInstanceUID"]}
    pseudonym = workspace.names.uid if workspace.settings.protect_deidentify else str
    stored = Query("instance", {"SeriesInstanceUID": str(pseudonym(series))})
    have = {row["SOPInstanceUID"] for row in workspace.catalogue.find(stored)}
    wanted = {uid: sop_class for uid, sop_class in there.items() if str(pseudonym(uid)) not in have}
    if is_first:
        done.present += len(there) - len(wanted)
    if not wanted:
        return
    waiting: list[Future[Arrival]] = []

    def take(data: bytes) -> None:
        kind = sniff(data[:HEAD_BYTES]) or "dicom"
        # Taken from the same place, an object that is stored at last leaves the quarantine.
        place = f"peer://{name}/{workspace.names.digest([data])}"
        waiting.append(door.submit(Source(place, place, kind, len(data), 0, lambda: io.BytesIO(data))))
        while len(waiting) > WAITING_AT_ONCE:
            _count(waiting.pop(0), done)

    try:
        peer.fetch(study, series, wanted, whole=len(wanted) == len(there), take=take)
    finally:
        for one in waiting:
            _count(one, done)


def _count(answer: Future[Arrival], done: Exchanged) -> None:
    arrival = answer.result()
    done.outcomes[arrival.outcome] += 1
    if arrival.outcome == "rejected" and arrival.rejected is not None:
        done.codes[arrival.rejected.code] += 1


def _push_series(
    workspace: Workspace, peer: Peer, ours: list[Instance], sent: set[str], done: Exchanged, *, is_first: bool
) -> None:
    there = _listed(peer, ours) or set()
    if is_first:
        done.present += sum(item.sop_instance_uid in there for item in ours)
    left = [item for item in ours if item.sop_instance_uid not in there | sent]
    for uid, problem in peer.send(left, workspace.blobs.open) if left else ():
        done.outcomes["failed" if problem else "sent"] += 1
        if problem:
            done.codes[problem] += 1
        else:
            sent.add(uid)


def _listed(peer: Peer, ours: Sequence[Instance]) -> set[str] | None:
    """What a peer says that it has of a series; None where it cannot be asked."""
    if not ours:
        return set()
    keys = {"StudyInstanceUID": ours[0].study_instance_uid, "SeriesInstanceUID": ours[0].series_instance_uid}
    try:
        return {row["SOPInstanceUID"] for row in peer.find("instance", keys)}
    except PeerFailed as error:
        if error.code in ("peer-unreachable", "peer-lost"):
            raise
        return None  # stores only, as many do


def _confirm(peer: Peer, sent: list[Instance], done: Exchanged) -> None:
    """Compare what was sent with what the peer lists, and ask it to commit itself."""
    if not sent:
        return
    uids = {item.sop_instance_uid for item in sent}
    there = _listed(peer, sent)
    if there is None:
        done.confirmed = None
    elif done.confirmed is not None:
        done.confirmed += len(uids & there)
    try:
        kept = peer.commit(sent, wait_s=COMMIT_WAIT_S)
    except TapetumError:
        kept = None
    if kept is not None:
        done.committed = (done.committed or 0) + len(uids & kept)
