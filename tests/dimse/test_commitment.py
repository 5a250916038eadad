"""Storage commitment as pynetdicom asks for it, over one association and over two."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel as Commitment

from tapetum.dimse import Peer
from tapetum.dimse.commitment import Reporter

from .conftest import Hospital, free_port

Fill = Callable[..., Hospital]
INSTANCE = "1.2.840.10008.1.20.1.1"


def _asked(*objects: tuple[str, str]) -> Dataset:
    found = Dataset()
    found.TransactionUID = generate_uid()
    found.ReferencedSOPSequence = []
    for sop_class, uid in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        found.ReferencedSOPSequence.append(item)
    return found


def _stored(filled: Hospital) -> list[tuple[str, str]]:
    objects = [pydicom.dcmread(path, stop_before_pixels=True) for path in filled.files]
    return [(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in objects]


class Caller:
    """A modality that asks and keeps the reports it gets."""

    def __init__(self, title: str, filled: Hospital) -> None:
        self.reports: queue.Queue[tuple[int, Dataset]] = queue.Queue()
        ae = AE(title)
        ae.add_requested_context(Commitment)
        ae.add_supported_context(Commitment, scu_role=True, scp_role=True)
        self.ae, self.handlers = ae, [(evt.EVT_N_EVENT_REPORT, self._keep)]
        self.association = ae.associate("127.0.0.1", filled.server.port, evt_handlers=self.handlers)
        assert self.association.is_established

    def ask(self, request: Dataset, action: int = 1) -> int:
        status, _ = self.association.send_n_action(request, action, Commitment, INSTANCE)
        return int(status.Status)

    def report(self) -> tuple[int, Dataset]:
        return self.reports.get(timeout=20)

    def _keep(self, event: evt.Event) -> tuple[int, None]:
        self.reports.put((event.event_type, event.event_information))
        return 0, None


def test_stored_objects_are_vouched_for_on_the_same_association(hospital: Fill) -> None:
    filled = hospital()
    caller = Caller("CT1", filled)
    request = _asked(*_stored(filled))
    assert caller.ask(request) == 0
    kind, report = caller.report()
    assert (kind, report.TransactionUID) == (1, request.TransactionUID)
    assert len(report.ReferencedSOPSequence) == 7
    assert "FailedSOPSequence" not in report
    caller.association.release()


def test_a_caller_among_the_peers_is_told_over_a_new_association(hospital: Fill) -> None:
    port = free_port()
    filled = hospital(CT1=Peer("127.0.0.1", port))
    caller = Caller("CT1", filled)
    listening = caller.ae.start_server(("127.0.0.1", port), block=False, evt_handlers=caller.handlers)
    try:
        assert caller.ask(_asked(*_stored(filled))) == 0
        caller.association.release()
        kind, report = caller.report()
    finally:
        listening.shutdown()
    assert kind == 1
    assert len(report.ReferencedSOPSequence) == 7


def test_what_is_not_stored_or_is_of_another_class_is_named_with_the_reason(hospital: Fill) -> None:
    filled = hospital()
    caller = Caller("CT1", filled)
    (ct, uid), *_ = _stored(filled)
    assert caller.ask(_asked((ct, uid), (ct, "1.2.3"), ("1.2.840.10008.5.1.4.1.1.7", uid))) == 0
    kind, report = caller.report()
    caller.association.release()
    assert kind == 2
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [uid]
    reasons = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
    assert reasons == {"1.2.3": 0x0112, uid: 0x0119}


def test_an_object_whose_bytes_are_gone_is_not_vouched_for(hospital: Fill, tmp_path: Path) -> None:
    filled = hospital()
    for path in (tmp_path / "kept").rglob("*"):
        if path.is_file() and path.stat().st_size > 900:
            path.unlink()
    caller = Caller("CT1", filled)
    assert caller.ask(_asked(*_stored(filled))) == 0
    kind, report = caller.report()
    caller.association.release()
    assert kind == 2
    assert len(report.FailedSOPSequence) == 7


def test_another_action_and_an_empty_request_are_refused(hospital: Fill) -> None:
    caller = Caller("CT1", hospital())
    assert caller.ask(_asked(("1.2", "1.3")), action=2) == 0x0123
    assert caller.ask(_asked()) == 0x0115
    caller.association.release()


def test_a_report_is_tried_three_times_and_then_said_to_be_lost() -> None:
    lines: list[str] = []
    tries: list[int] = []
    reporter = Reporter(threading.Event(), lines.append, pause_s=0.01)
    reporter.submit(lambda: bool(tries.append(1)))
    reporter.submit(lambda: True)
    reporter.close()
    assert len(tries) == 3
    assert len(lines) == 1
