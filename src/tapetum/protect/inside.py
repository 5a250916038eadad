"""Names in an archive that stays inside: everything is called what it is called. Start at `RealNames`."""

from __future__ import annotations

from pydicom.uid import UID

from tapetum.formats.uids import uid_of
from tapetum.protect.pseudonym import Pseudonymiser

__all__ = ["RealNames"]


class RealNames(Pseudonymiser):
    """A `Pseudonymiser` that replaces no identity; it only seals, recognises and makes UIDs for what has none.

    >>> RealNames(bytes(32)).patient("4711", "North")
    '4711^^^North'
    """

    @classmethod
    def like(cls, names: Pseudonymiser) -> RealNames:
        """With the same key and issuer: for objects whose identities were replaced before."""
        return cls(names._key, issuer=names._issuer)

    def patient(self, patient_id: str, issuer: str = "") -> str:
        """The Patient ID, with its issuer where that is not the own one."""
        issuer = self.foreign(issuer)
        return f"{patient_id.strip()}^^^{issuer}" if issuer else patient_id.strip()

    def site(self, institution: str) -> str:
        """The institution's name."""
        return institution

    def uid(self, uid: str) -> UID:
        """A UID as it is; one under 2.25 for what is no UID."""
        named = uid_of(str(uid).strip())
        return named if named.is_valid else super().uid(uid)

    def shift_days(self, patient_key: str) -> int:
        """Zero: nobody's dates move."""
        return 0
