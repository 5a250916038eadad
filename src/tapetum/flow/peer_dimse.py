"""Another archive that speaks DIMSE: C-FIND, C-GET, C-MOVE, C-STORE, storage commitment. Start at `DimsePeer`.

Definitions: DICOM PS3.4 Annexes B, C and J. The library is pynetdicom; what is sent goes out in its stored encoding
where the peer takes it, else in a plain little endian one.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, TypeVar, cast

import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLETransferSyntaxes,
    generate_uid,
)
from pynetdicom import AE, StoragePresentationContexts, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tapetum.errors import PeerFailed
from tapetum.model import Instance
from tapetum.settings import Peer

__all__ = ["DimsePeer"]

FIND, GET, MOVE = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
PLAIN = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
ENCODINGS = (
    *map(str, (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes, *RLETransferSyntaxes)),
    *PLAIN,
)
LEVELS = {"study": "STUDY", "series": "SERIES", "instance": "IMAGE"}
RETURNED = {
    "study": ("StudyInstanceUID",),
    "series": ("SeriesInstanceUID", "Modality"),
    "instance": ("SOPInstanceUID", "SOPClassUID"),
}
SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
MOST_CONTEXTS = 128
UIDS_AT_ONCE = 100
TIMEOUT_S, CONNECT_S = 60.0, 15.0

Item = TypeVar("Item")
Take = Callable[[bytes], object]
Transcode = Callable[[BinaryIO, str], bytes]


class DimsePeer:
    """One peer, seen from one application entity of ours.

    Parameters
    ----------
    ours : our title, and the address where C-MOVE and reports of commitment reach us.
    transcode : the data set of a stored object in another plain encoding (`dimse.sending.transcoded`).
    by_move : have objects sent to us in a second association instead of getting them in ours.
    """

    def __init__(self, peer: Peer, ours: tuple[str, str, int], transcode: Transcode, *, by_move: bool = False) -> None:
        # pynetdicom's messages quote names and numbers of patients.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        self._peer, self._transcode, self._by_move = peer, transcode, by_move
        self._title, self._host, self._port = ours

    def find(self, level: str, match: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """The matches of a query at a level, by keyword.

        Raises
        ------
        PeerFailed : it cannot be asked.
        """
        asked = Dataset()
        asked.QueryRetrieveLevel = LEVELS[level]
        for keyword in RETURNED[level]:
            setattr(asked, keyword, "")
        for keyword, value in match.items():
            setattr(asked, keyword, value)
        with self._association([build_context(FIND)]) as association:
            for status, found in association.send_c_find(asked, FIND):
                code = _status(status)
                if code in PENDING and found is not None:
                    yield {keyword: str(found.get(keyword, "")) for keyword in RETURNED[level]}
                elif code != SUCCESS:
                    raise PeerFailed("peer-failed", "the peer could not answer a query", status=f"{code:04X}")

    def fetch(self, study: str, series: str, wanted: Mapping[str, str], *, whole: bool, take: Take) -> None:
        """Have instances of a series sent to us.

        Parameters
        ----------
        wanted : SOP Instance UID -> SOP class, as found.
        whole : they are the whole series, so that it can be asked for at once.
        take : is given each object as a DICOM file.

        Raises
        ------
        PeerFailed : the peer does not send, or went away.
        """
        asked = Dataset()
        asked.QueryRetrieveLevel = "SERIES" if whole else "IMAGE"
        asked.StudyInstanceUID, asked.SeriesInstanceUID = study, series
        classes = sorted({sop_class for sop_class in wanted.values() if sop_class})
        for uids in [()] if whole else _portions(wanted, UIDS_AT_ONCE):
            if uids:
                asked.SOPInstanceUID = list(uids)
            if self._by_move:
                self._move(asked, take)
            else:
                self._get(asked, classes, take)

    def _get(self, asked: Dataset, classes: Sequence[str], take: Take) -> None:
        contexts = _contexts_to_receive(classes)
        roles = [build_role(context.abstract_syntax, scp_role=True) for context in contexts]
        handlers = [(evt.EVT_C_STORE, _storer(take))]
        unique = list({role.sop_class_uid: role for role in roles}.values())
        with self._association([build_context(GET), *contexts], roles=unique, handlers=handlers) as association:
            _follow(association.send_c_get(asked, GET))

    def _move(self, asked: Dataset, take: Take) -> None:
        """C-MOVE to ourselves. Where our port is taken, it is by ``tapetum listen``, which stores what comes."""
        entity = AE(self._title)
        entity.supported_contexts = [
            build_context(str(c.abstract_syntax), list(ENCODINGS)) for c in StoragePresentationContexts
        ]
        try:
            handlers = [(evt.EVT_C_STORE, _storer(take))]
            server = entity.start_server((self._host, self._port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        except OSError:
            server = None
        try:
            with self._association([build_context(MOVE)]) as association:
                _follow(association.send_c_move(asked, self._title, MOVE))
        finally:
            if server is not None:
                server.shutdown()

    def send(self, instances: Sequence[Instance], opened: Callable[[str], BinaryIO]) -> Iterator[tuple[str, str]]:
        """Store instances at the peer; yields each one's SOP Instance UID and what went wrong, empty for nothing.

        Raises
        ------
        PeerFailed : the peer cannot be reached, or went away.
        """
        pairs = sorted({(_class_of(one), _syntax_of(one)) for one in instances})
        # Each class in its own encoding, and in plain ones: three contexts at most for each pair.
        for group in _portions(pairs, (MOST_CONTEXTS - 1) // 3):
            wanted = {(sop_class, syntax) for sop_class, own in group for syntax in (own, *PLAIN)}
            # Without one context that is accepted there would be no association, and no word on which were not.
            contexts = [build_context(Verification), *(build_context(*pair) for pair in sorted(wanted))]
            with self._association(contexts) as association:
                accepted = {(c.abstract_syntax, c.transfer_syntax[0]) for c in association.accepted_contexts}
                for one in instances:
                    if (_class_of(one), _syntax_of(one)) in group:
                        yield one.sop_instance_uid, self._store(association, one, opened, accepted)

    def _store(
        self,
        association: Association,
        one: Instance,
        opened: Callable[[str], BinaryIO],
        accepted: Collection[tuple[Any, Any]],
    ) -> str:
        usable = [s for s in (_syntax_of(one), *PLAIN) if (_class_of(one), s) in accepted]
        if not usable:
            return "not-accepted"
        with opened(one.blob) as file:
            dataset = self._as_sent(file, one, usable[0])
        if not association.is_established:
            raise PeerFailed("peer-lost", "the peer went away")
        try:
            code = _status(association.send_c_store(dataset))
        except ValueError:
            return "unreadable"
        return "" if code == SUCCESS or code >> 12 == 0xB else f"status-{code:04X}"

    def _as_sent(self, file: BinaryIO, one: Instance, syntax: str) -> Dataset:
        """The object as a data set whose encoding is one that was accepted."""
        if syntax == _syntax_of(one):
            return cast(Dataset, pydicom.dcmread(file, force=True))
        data = io.BytesIO(self._transcode(file, syntax))
        dataset = pydicom.filereader.read_dataset(data, syntax == ImplicitVRLittleEndian, True)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        return dataset

    def commit(self, instances: Sequence[Instance], *, wait_s: float) -> set[str] | None:
        """Ask the peer to commit itself to keeping instances (PS3.4 Annex J).

        Returns
        -------
        The SOP Instance UIDs that it committed itself to; None where it does not offer this, or did not report within
        ``wait_s`` seconds.
        """
        request = Dataset()
        request.TransactionUID = generate_uid(prefix=None)
        request.ReferencedSOPSequence = [_reference(one) for one in instances]
        kept: set[str] = set()
        told = threading.Event()

        def report(event: Any) -> int:
            information = event.event_information
            if information.TransactionUID == request.TransactionUID:
                kept.update(str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence", ()))
                told.set()
            return SUCCESS

        handlers = [(evt.EVT_N_EVENT_REPORT, report)]
        entity = AE(self._title)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        try:
            server = entity.start_server((self._host, self._port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        except OSError:
            server = None  # `tapetum listen` has our port; the report may still come over the same association
        try:
            with self._association([build_context(StorageCommitmentPushModel)], handlers=handlers) as association:
                status, _ = association.send_n_action(
                    request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
                if _status(status) == SUCCESS:
                    told.wait(wait_s)
        except PeerFailed as error:
            if error.code != "peer-refused":
                raise
        finally:
            if server is not None:
                server.shutdown()
        return kept if told.is_set() else None

    def _reach(self) -> None:
        """Ask for a connection first: pynetdicom does not say why it got none, and leaves its socket open."""
        try:
            socket.create_connection((self._peer.host, self._peer.port), timeout=CONNECT_S).close()
        except OSError as error:
            raise PeerFailed("peer-unreachable", "the peer cannot be reached", peer=self._peer.name) from error

    @contextmanager
    def _association(
        self, contexts: Sequence[Any], *, roles: Sequence[Any] = (), handlers: Sequence[Any] = ()
    ) -> Iterator[Association]:
        self._reach()
        entity = AE(self._title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = TIMEOUT_S
        association = entity.associate(
            self._peer.host,
            self._peer.port,
            contexts=list(contexts),
            ae_title=self._peer.ae_title,
            ext_neg=list(roles),
            evt_handlers=list(handlers),
        )
        if not association.is_established:
            if association.is_rejected or association.acceptor.primitive is not None:
                raise PeerFailed("peer-refused", "the peer refused the association", peer=self._peer.name)
            raise PeerFailed("peer-lost", "the peer did not answer", peer=self._peer.name)
        try:
            yield association
        finally:
            association.release()


def _portions(items: Iterable[Item], most: int) -> Iterator[tuple[Item, ...]]:
    rest = iter(items)
    while portion := tuple(islice(rest, most)):
        yield portion


def _contexts_to_receive(classes: Sequence[str]) -> list[Any]:
    """One context for each class and encoding, so that nothing has to be transcoded on its way to us."""
    known = classes or [str(context.abstract_syntax) for context in StoragePresentationContexts]
    most = MOST_CONTEXTS - 1
    if len(known) * len(ENCODINGS) <= most:
        return [build_context(sop_class, syntax) for sop_class in known for syntax in ENCODINGS]
    return [build_context(sop_class, list(ENCODINGS)) for sop_class in known[:most]]


def _storer(take: Take) -> Callable[[Any], int]:
    def store(event: Any) -> int:
        try:
            take(event.encoded_dataset())
        except PeerFailed:
            return 0xA700
        return SUCCESS

    return store


def _follow(answers: Iterator[tuple[Dataset, Dataset | None]]) -> None:
    """Wait for the end of a retrieval. Raises PeerFailed where it did not end well."""
    code = -1
    for status, _ in answers:
        code = _status(status)
    if code in PENDING:
        raise PeerFailed("peer-lost", "the peer went away")
    if code != SUCCESS and code >> 12 != 0xB:
        raise PeerFailed("peer-failed", "the peer could not send", status=f"{code:04X}")


def _status(status: Dataset) -> int:
    """Raises PeerFailed for the empty one that pynetdicom gives when the peer is gone."""
    if "Status" not in status:
        raise PeerFailed("peer-lost", "the peer went away")
    return int(status.Status)


def _reference(one: Instance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = _class_of(one), one.sop_instance_uid
    return item


def _class_of(one: Instance) -> str:
    return str(one.attributes.get("SOPClassUID", ""))


def _syntax_of(one: Instance) -> str:
    return str(one.attributes.get("TransferSyntaxUID", "") or PLAIN[1])
