"""Commands and spools."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import decode

from tapetum.dimse.messages import MEMORY_BYTES, Message, Spool, decode_command, encode_command
from tapetum.dimse.pdu import Fault

COMMAND: dict[str, int | str] = {
    "AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "CommandField": 1, "MessageID": 7, "Priority": 0,
    "CommandDataSetType": 1, "AffectedSOPInstanceUID": "1.2.3", "MoveOriginatorApplicationEntityTitle": "CT1",
}  # fmt: skip


def test_a_command_is_decoded_as_it_was_encoded() -> None:
    assert decode_command(encode_command(COMMAND)) == COMMAND


def test_pynetdicom_reads_our_command() -> None:
    found: Dataset = decode(BytesIO(encode_command(COMMAND)), is_implicit_vr=True, is_little_endian=True)
    assert {item.keyword for item in found} == {*COMMAND, "CommandGroupLength"}
    assert found.CommandGroupLength == len(encode_command(COMMAND)) - 12
    assert all(found[keyword].value == value for keyword, value in COMMAND.items())


def test_every_cut_of_a_command_is_refused() -> None:
    whole = encode_command({"CommandField": 1, "CommandDataSetType": 1})
    for end in range(len(whole)):
        with pytest.raises(Fault):
            decode_command(whole[:end])


def test_what_a_command_does_not_say_is_empty() -> None:
    message = Message(1, {"CommandField": 0x30})
    assert (message.kind, message.message_id, message.text("MoveDestination")) == (0x30, 0, "")
    message.close()


@pytest.mark.parametrize("size", [10, MEMORY_BYTES + 10], ids=["memory", "disk"])
def test_a_spool_gives_back_what_it_took_as_often_as_it_is_asked(size: int) -> None:
    spool = Spool(b"head", most=1 << 30)
    spool.write(bytes(size // 2))
    spool.write(memoryview(b"x" * (size - size // 2)))
    for _ in range(2):
        with spool.open() as file:
            assert file.read() == b"head" + bytes(size // 2) + b"x" * (size - size // 2)
    assert (spool.size, spool.lost) == (size + 4, False)
    spool.close()


def test_a_spool_takes_no_more_than_allowed_and_says_so() -> None:
    spool = Spool(most=5)
    spool.write(b"12345")
    assert not spool.lost
    spool.write(b"6")
    assert spool.lost
    spool.close()


def test_a_full_disk_loses_the_object_and_not_the_association(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tapetum.dimse.messages.tempfile.TemporaryFile", full)
    spool = Spool(most=1 << 30)
    spool.write(bytes(MEMORY_BYTES + 1))
    assert spool.lost
    spool.close()
