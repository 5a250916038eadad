"""The settings of the door."""

from __future__ import annotations

from dataclasses import dataclass

from tapetum.errors import InvalidStudy

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the door. ``site`` names the institution; empty means each object's own.

    A picture may have ``max_pixels``; a volume that many voxels, or `formats.voxels.MAX_RATIO` for each of its bytes
    when that is more. Nothing may unfold to more than ``max_bytes``. With ``deidentify`` off, DICOM objects are kept
    byte for byte as they came, under the names and numbers that they bear: for an archive that stays inside. With
    ``link``, too, DICOM files on a disk of this machine are not copied: the store, a `ports.LinkStore` then, remembers
    where they lie.
    """

    max_bytes: int = 16 << 30
    max_pixels: int = 1 << 28
    allow_burned_in: bool = False
    site: str = ""
    deidentify: bool = True
    link: bool = False

    def __post_init__(self) -> None:
        if self.link and self.deidentify:
            hint = "set protect.deidentify = false for an archive that stays inside, or let objects be copied"
            raise InvalidStudy("what is replaced on the way in cannot stay where it lies", hint=hint)
