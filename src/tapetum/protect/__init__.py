"""No identity leaves: pseudonyms and de-identification (DICOM PS3.15 Annex E). Start at `deidentify`."""

from tapetum.protect.deidentify import deidentify, may_show_identity, patient_of, survivors
from tapetum.protect.identity import holds_number_or_date, identifiers, mentions, mentions_bytes, words_of
from tapetum.protect.inside import RealNames
from tapetum.protect.pseudonym import KEY_BYTES, Pseudonymiser
from tapetum.protect.silence import silence_parsers

__all__ = [
    "KEY_BYTES",
    "Pseudonymiser",
    "RealNames",
    "deidentify",
    "holds_number_or_date",
    "identifiers",
    "may_show_identity",
    "mentions",
    "mentions_bytes",
    "patient_of",
    "silence_parsers",
    "survivors",
    "words_of",
]
