"""What is taken and offered: SOP classes and transfer syntaxes, and which encoding is chosen among those proposed.

Source: DICOM PS3.4 Annexes B, C and J, PS3.6 Annex A as pydicom carries it.  Start reading at `choose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tapetum.formats.uids import uid_of

__all__ = [
    "COMMITMENT",
    "COMMITMENT_INSTANCE",
    "FIND",
    "GET",
    "MOVE",
    "PATIENT_ROOT",
    "PLAIN",
    "VERIFICATION",
    "Service",
    "choose",
    "is_deflated",
    "is_transfer_syntax",
    "service_of",
]

Service = Literal["echo", "store", "find", "move", "get", "commit"]

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
PATIENT_ROOT, STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.1", "1.2.840.10008.5.1.4.1.2.2"
FIND, MOVE, GET = (tuple(f"{root}.{which}" for root in (PATIENT_ROOT, STUDY_ROOT)) for which in (1, 2, 3))
SERVICES: dict[str, Service] = {
    VERIFICATION: "echo",
    COMMITMENT: "commit",
    **dict.fromkeys(FIND, "find"),
    **dict.fromkeys(MOVE, "move"),
    **dict.fromkeys(GET, "get"),
}
STORAGE_ARC = "1.2.840.10008.5.1.4.1.1."
OBJECTS = ("1.2.840.10008.5.1.4.", "1.2.840.10008.5.1.1.")
PREFIX = "1.2.840.10008.1.2"
# Pixels that lie elsewhere (JPIP), live streams, and containers that are no data set: there would be nothing to keep.
NOT_STORED = frozenset(
    PREFIX + ending for ending in (".4.94", ".4.95", ".4.204", ".4.205", ".6.1", ".6.2", ".7.1", ".7.2", ".7.3")
)
DEFLATED, BIG_ENDIAN = PREFIX + ".1.99", PREFIX + ".2"
PLAIN: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
LAST_RESORT: tuple[str, ...] = (DEFLATED, ImplicitVRLittleEndian, BIG_ENDIAN)


@lru_cache(maxsize=4096)
def service_of(sop_class_uid: str, *, unknown: bool = False) -> Service | None:
    """Which service a SOP class belongs to; None when we do not offer it. ``unknown``: store whatever is not known."""
    if sop_class_uid in SERVICES:
        return SERVICES[sop_class_uid]
    uid = uid_of(sop_class_uid)
    if not uid.type:
        newer = uid.startswith(STORAGE_ARC)  # classes of the standard that are younger than pydicom's dictionary
        return "store" if newer or (unknown and uid) else None
    return "store" if uid.type == "SOP Class" and uid.startswith(OBJECTS) and "Storage" in uid.name else None


@lru_cache(maxsize=4096)
def is_transfer_syntax(uid: str) -> bool:
    """Whether it is an encoding of the standard, retired ones included, in which an object can be kept."""
    return uid_of(uid).type == "Transfer Syntax" and uid.startswith(PREFIX) and uid not in NOT_STORED


def choose(proposed: Sequence[str], service: Service, *, we_send: bool = False) -> str | None:
    """The encoding to accept of those proposed in one context; None when there is none that we can use.

    What we store is taken as the sender would rather have it: its first proposal that is explicit or compressed, then
    deflated, implicit and big endian. What we send, and all other data sets, is plain little endian when it can be,
    because everything we hold can be turned into that.
    """
    known = [uid for uid in proposed if is_transfer_syntax(uid)]
    if service == "store" and not we_send:
        first = next((uid for uid in known if uid not in LAST_RESORT), None)
        return first or next((uid for uid in LAST_RESORT if uid in known), None)
    plain = next((uid for uid in PLAIN if uid in known), None)
    return known[0] if plain is None and known and service == "store" else plain


def is_deflated(transfer_syntax: str) -> bool:
    """Whether a data set in it cannot be looked into without unfolding it."""
    return transfer_syntax == DEFLATED
