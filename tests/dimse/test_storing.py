"""C-ECHO and C-STORE as unmodified senders do them."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from tapetum.acquire.walk import Source
from tapetum.dimse import Rules, Server
from tapetum.dimse.elements import element
from tapetum.dimse.messages import C_STORE_RQ, decode_command, encode_command
from tapetum.dimse.pdu import P_DATA, AssociateAccept, Proposal, data_pdus
from tapetum.dimse.storing import status_of
from tapetum.errors import REJECTIONS, TapetumError
from tapetum.model import Arrival, Rejected

from .conftest import CT, Raw, Taken

Dcmtk = Callable[..., subprocess.CompletedProcess[str]]
Listening = Callable[..., Server]
EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{ending}" for ending in (".1", "", ".2", ".1.99"))
PROPOSING = {
    "-xe": EXPLICIT, "-xb": BIG, "-xi": IMPLICIT, "-xd": DEFLATED,
    "-xy": "1.2.840.10008.1.2.4.50", "-xx": "1.2.840.10008.1.2.4.51", "-xs": "1.2.840.10008.1.2.4.70",
    "-xt": "1.2.840.10008.1.2.4.80", "-xu": "1.2.840.10008.1.2.4.81", "-xv": "1.2.840.10008.1.2.4.90",
    "-xw": "1.2.840.10008.1.2.4.91", "-xr": "1.2.840.10008.1.2.5",
}  # fmt: skip
FILES = {
    "-xe": "CT_small.dcm", "-xb": "MR_small_bigendian.dcm", "-xi": "rtdose.dcm", "-xd": "image_dfl.dcm",
    "-xy": "SC_rgb_jpeg_dcmtk.dcm", "-xx": "JPEG-lossy.dcm", "-xs": "SC_rgb_jpeg_gdcm.dcm",
    "-xt": "MR_small_jpeg_ls_lossless.dcm", "-xu": "JPEGLSNearLossless_16.dcm", "-xv": "MR_small_jp2klossless.dcm",
    "-xw": "JPEG2000.dcm", "-xr": "MR_small_RLE.dcm",
}  # fmt: skip


def _status(client: Raw, command: dict[str, int | str], data: bytes, context_id: int = 3) -> dict[str, int | str]:
    """Send one C-STORE by hand; the command of the answer."""
    client.send(b"".join(data_pdus(context_id, encode_command(command), is_command=True, is_last=True, most=16384)))
    client.send(b"".join(data_pdus(context_id, data, is_command=False, is_last=True, most=16384)))
    kind, body = client.unit()
    assert kind == P_DATA
    return decode_command(body[6:])


def _command(sop_class: str = CT, uid: str = "1.2.3.4") -> dict[str, int | str]:
    return {
        "AffectedSOPClassUID": sop_class, "CommandField": C_STORE_RQ, "MessageID": 7, "Priority": 0,
        "CommandDataSetType": 1, "AffectedSOPInstanceUID": uid,
    }  # fmt: skip


def _data(sop_class: str = CT, uid: str = "1.2.3.4") -> bytes:
    return element("SOPClassUID", sop_class, implicit=False) + element("SOPInstanceUID", uid, implicit=False)


def test_an_echo_is_answered(listening: Listening, dcmtk: Dcmtk) -> None:
    assert dcmtk("echoscu", "localhost", listening().port).returncode == 0


def test_a_sent_series_arrives_byte_for_byte_behind_new_file_meta(
    listening: Listening, taken: Taken, dcmtk: Dcmtk, slices: list[Path]
) -> None:
    ran = dcmtk("storescu", "localhost", listening().port, *slices)
    assert ran.returncode == 0, ran.stderr
    for path, data in zip(slices, taken.objects, strict=True):
        sent, got = pydicom.dcmread(path), pydicom.dcmread(io.BytesIO(data))
        assert got == sent
        assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert got.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID


@pytest.mark.parametrize("option", list(PROPOSING))
def test_an_object_stays_in_the_transfer_syntax_it_is_sent_in(
    option: str, listening: Listening, taken: Taken, dcmtk: Dcmtk
) -> None:
    path = get_testdata_file(FILES[option], download=False)
    if path is None:
        pytest.skip(f"pydicom comes without {FILES[option]}")
    ran = dcmtk("storescu", option, "localhost", listening().port, path)
    assert ran.returncode == 0, ran.stderr
    got = pydicom.dcmread(io.BytesIO(taken.objects[0]))
    assert got.file_meta.TransferSyntaxUID == PROPOSING[option]
    assert got.PixelData.rstrip(b"\0") == pydicom.dcmread(path).PixelData.rstrip(b"\0")


def test_four_senders_at_once_are_all_served(listening: Listening, taken: Taken, slices: list[Path]) -> None:
    if not Path("/usr/bin/storescu").exists():
        pytest.skip("dcmtk is not there: apt install dcmtk")
    port = str(listening().port)
    senders = [subprocess.Popen(["/usr/bin/storescu", "localhost", port, *map(str, slices)]) for _ in range(4)]
    assert [sender.wait(60) for sender in senders] == [0] * 4
    assert len(taken.objects) == 24


def test_a_large_object_goes_through_the_disk_and_arrives_whole(
    listening: Listening, taken: Taken, raw: Callable[[Server], Raw]
) -> None:
    client = raw(listening())
    client.associate()
    data = _data() + bytes(range(256)) * (40 << 10)
    assert _status(client, _command(), data)["Status"] == 0
    assert taken.objects[0].endswith(data)


def test_an_object_that_is_not_what_the_command_says_is_refused_with_a900(
    listening: Listening, taken: Taken, raw: Callable[[Server], Raw]
) -> None:
    client = raw(listening())
    client.associate()
    for wrong in (_data(sop_class="1.2.840.10008.5.1.4.1.1.4"), _data(uid="1.2.3.5")):
        assert _status(client, _command(), wrong)["Status"] == 0xA900
    assert taken.objects == []


def test_an_object_larger_than_allowed_is_refused_with_a700_and_the_association_goes_on(
    listening: Listening, taken: Taken, raw: Callable[[Server], Raw]
) -> None:
    client = raw(listening(Rules(most_bytes=5000)))
    client.associate()
    assert _status(client, _command(), _data() + bytes(9000))["Status"] == 0xA700
    assert _status(client, _command(), _data())["Status"] == 0
    assert len(taken.objects) == 1


def test_a_command_without_instance_uid_is_refused_with_0117(
    listening: Listening, taken: Taken, raw: Callable[[Server], Raw]
) -> None:
    client = raw(listening())
    client.associate()
    assert _status(client, _command(uid=""), _data())["Status"] == 0x0117
    assert taken.objects == []


def test_an_archive_that_cannot_write_answers_a700_with_its_code(
    listening: Listening, taken: Taken, raw: Callable[[Server], Raw]
) -> None:
    def full(_: Source) -> Arrival:
        raise TapetumError("this machine cannot write")

    taken.answer = full
    client = raw(listening())
    client.associate()
    answer = _status(client, _command(), _data())
    assert (answer["Status"], answer["ErrorComment"]) == (0xA700, "error")


def test_a_conflict_that_was_kept_is_a_warning_and_every_other_rejection_a_failure() -> None:
    statuses = {code: status_of(Arrival("rejected", rejected=Rejected("", code, "", b"", 0)))[0] for code in REJECTIONS}
    assert statuses.pop("conflicting-instance") == 0xB000
    assert {status & 0xF000 for status in statuses.values()} <= {0xA000, 0xC000, 0x0000}
    assert 0x0000 not in statuses.values()


def test_a_private_sop_class_is_stored_only_where_the_rules_say_so(
    listening: Listening, taken: Taken, raw: Callable[[Server], Raw]
) -> None:
    private = "1.2.276.0.7230010.3.1.0.1"
    wanted = Proposal(3, private, (EXPLICIT,))
    assert AssociateAccept.decode(memoryview(raw(listening()).associate(wanted))).outcomes[0].result == 3
    client = raw(listening(Rules(unknown_classes=True)))
    assert AssociateAccept.decode(memoryview(client.associate(wanted))).outcomes[0].result == 0
    assert _status(client, _command(private), _data(private))["Status"] == 0
    assert len(taken.objects) == 1
