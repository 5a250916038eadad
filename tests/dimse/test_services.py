"""Messages that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable

from tapetum.dimse import Server
from tapetum.dimse.messages import C_CANCEL_RQ, C_ECHO_RQ, NO_DATA, decode_command, encode_command
from tapetum.dimse.pdu import P_DATA, data_pdus

from .conftest import VERIFICATION, Raw


def test_a_cancel_that_comes_too_late_and_a_stray_answer_are_passed_over(
    listening: Callable[..., Server], raw: Callable[[Server], Raw]
) -> None:
    client = raw(listening())
    client.associate()
    for kind in (C_CANCEL_RQ, 0x8001, C_ECHO_RQ):
        command: dict[str, int | str] = {"AffectedSOPClassUID": VERIFICATION, "CommandField": kind, "MessageID": 3}
        data = encode_command({**command, "CommandDataSetType": NO_DATA})
        client.send(b"".join(data_pdus(1, data, is_command=True, is_last=True, most=16384)))
    kind, body = client.unit()
    assert kind == P_DATA
    answer = decode_command(body[6:])
    assert (answer["CommandField"], answer["Status"]) == (0x8030, 0)
