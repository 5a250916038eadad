"""Keyed, stable pseudonyms: the same person, UID or file gives the same name for ever, and only under the same key.

HMAC-SHA256 (RFC 2104) over a domain word and the value, so that no pseudonym of one kind equals one of another.
UIDs are 2.25 followed by 128 bits as a decimal number (DICOM PS3.5 B.2). Without the key nothing can be recomputed or
guessed from lists of names; ISO 25237 calls this irreversible pseudonymisation with a secret.
"""

from __future__ import annotations

import hmac
import os
from base64 import b32encode
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydicom.uid import UID

from tapetum.formats.uids import uid_of

__all__ = ["KEY_BYTES", "Pseudonymiser"]

KEY_BYTES = 32
NONCE_BYTES = 12  # of AES-GCM (NIST SP 800-38D); drawn at random, good for 2**32 seals under one key
MIN_SHIFT_DAYS, MAX_SHIFT_DAYS = 30, 3650


class Pseudonymiser:
    """Makes pseudonyms with one secret key of 32 bytes.

    ``issuer`` is the own Issuer of Patient ID: a number that names none is one of its numbers.

    >>> Pseudonymiser(bytes(32)).patient("4711") == Pseudonymiser(bytes(32)).patient(" 4711 ")
    True
    """

    def __init__(self, key: bytes, *, issuer: str = "") -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key has {KEY_BYTES} bytes")
        self._key, self._issuer = key, issuer.strip()
        # One purpose, one key: these are derived, so that pseudonyms, seals and digests never share a secret.
        self._sealing = AESGCM(self._mac("seal", ""))
        self._recognising = self._mac("source", "")

    def _mac(self, domain: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{domain}\0{value}".encode(), "sha256")

    def patient(self, patient_id: str, issuer: str = "") -> str:
        """``P-`` and 16 base32 characters (80 bits) for a Patient ID (0010,0020) of an issuer (0010,0021)."""
        return "P-" + _base32(self._mac("patient", f"{self.foreign(issuer)}\0{patient_id.strip()}"))[:16]

    def foreign(self, issuer: str) -> str:
        """An issuer that is not the own one; empty for the own one and for none."""
        return "" if issuer.strip() == self._issuer else issuer.strip()

    def site(self, institution: str) -> str:
        """``S-`` and 8 base32 characters for an institution's name."""
        return "S-" + _base32(self._mac("site", " ".join(institution.split()).casefold()))[:8]

    def uid(self, uid: str) -> UID:
        """A UID under 2.25. UIDs that DICOM PS3.6 registers (SOP classes, transfer syntaxes) stay as they are.

        Only registered ones: an object may carry a patient's number under DICOM's own root.
        """
        if uid_of(str(uid)).type:
            return UID(str(uid))
        return UID(f"2.25.{int.from_bytes(self._mac('uid', str(uid).strip())[:16], 'big')}")

    def shift_days(self, patient_key: str) -> int:
        """By how many days (30 to 3,650, always backwards) all dates of one patient move."""
        span = MAX_SHIFT_DAYS - MIN_SHIFT_DAYS + 1
        return -(MIN_SHIFT_DAYS + int.from_bytes(self._mac("date", patient_key)[:8], "big") % span)

    def shift_date(self, day: date, patient_key: str) -> date:
        """The date moved by the patient's shift; intervals within one patient stay what they were."""
        return day + timedelta(days=self.shift_days(patient_key))

    def digest(self, chunks: Iterable[bytes], *context: str) -> str:
        """Keyed BLAKE3, 32 bytes hex: recognises the same bytes again without telling which they are."""
        mac = blake3(key=self._recognising)
        for word in context:
            mac.update(word.encode(errors="surrogateescape") + b"\0")
        for chunk in chunks:
            mac.update(chunk)
        return mac.hexdigest()

    def seal(self, text: str) -> bytes:
        """Encrypt a text (where a rejected file lies: paths hold names) so that only a holder of the key reads it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, text.encode(errors="surrogateescape"), None)

    def unseal(self, sealed: bytes) -> str:
        """The inverse of `seal`. Raises cryptography.exceptions.InvalidTag under another key."""
        nonce, told = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        return self._sealing.decrypt(nonce, told, None).decode(errors="surrogateescape")


@lru_cache(maxsize=4096)
def _base32(mac: bytes) -> str:
    return b32encode(mac).decode()
