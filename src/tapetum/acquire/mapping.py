"""The mapping file: what a table's columns and a file's name mean. Start at `read_mapping`.

DICOM says by itself whose it is. A photograph, a NIfTI or a CSV does not: a mapping says it, in TOML::

    [columns]                 # role = column of the table; only `patient` is needed
    patient = "patient"
    name = "surname"          # the patient's name: never stored, a text that holds it is refused
    file = "file"             # this row is about that picture (its name, or its path below the given folder)
    laterality = "eye"
    date = "visit"

    [image]                   # holds for every picture that is not DICOM
    modality = "OP"
    body_part_examined = "EYE"
    patient = "4711"          # only when all the files are of one patient

    [files]                   # instead of a table: the file's path says whose it is (regular expression)
    pattern = '(?P<patient>\\d+)/(?P<series>Pre|Post)_(?P<role>Scan|Mask)'
    mask = "Mask"             # the `role` of masks; a mask belongs to the image of the same patient and series

    [[observation]]
    column = "icdr_grade"     # becomes the observation of this name, or of `name`; `columns` names several alike
    kind = "text"             # or "number", or "genotype": 0/0, 0/1, 1/1 or a dosage become 0, 1, 2
    level = "image"           # or "patient"

    [table]
    patient_issuer = ""       # the Issuer of Patient ID (0010,0021) of the table's numbers, when it is not our own

    [fhir]                    # what FHIR resources leave open
    patient_identifier_system = "http://hospital.example/mrn"   # whose value is the Patient ID of DICOM
    patient_issuer = ""       # the Issuer of Patient ID (0010,0021), where DICOM objects have one
    names = { "LN|4548-4" = "hba1c" }                           # observations by a name of our own
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapetum.errors import InvalidStudy
from tapetum.model import Code

__all__ = ["FhirMapping", "MappedObservation", "TableMapping", "read_mapping"]

GROUPS = frozenset({"patient", "laterality", "date", "site", "study", "series", "role"})
ROLES = GROUPS | {"file", "name", "series_instance_uid", "variant"}
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", ".")
KINDS = ("number", "text", "genotype")


@dataclass(frozen=True, slots=True)
class MappedObservation:
    """One column that becomes observations. ``kind`` is number, text or genotype, ``level`` image or patient.

    A genotype is the number of alternate alleles; in a table with a `variant` column, under the variant's name.
    """

    column: str
    name: str
    kind: str = "number"
    level: str = "patient"
    unit: str = "1"
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class FhirMapping:
    """Which identifier of a Patient is DICOM's Patient ID, and by which names codes become observations.

    Without ``patient_identifier_system`` it is the one of use "usual", else the one of type MR, else the only one.
    """

    patient_identifier_system: str = ""
    patient_issuer: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A mapping file as parsed: see the module's example."""

    columns: Mapping[str, str] = field(default_factory=dict)
    image: Mapping[str, str] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    mask: str = "mask"
    observations: tuple[MappedObservation, ...] = ()
    separator: str = ","
    missing: tuple[str, ...] = MISSING
    fhir: FhirMapping = field(default_factory=FhirMapping)
    patient_issuer: str = ""


def read_mapping(path: Path) -> TableMapping:
    """Read and check a mapping file.

    Raises
    ------
    InvalidStudy : not TOML, an unknown key, a pattern that names nobody; the message names the place.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidStudy(f"the mapping cannot be read: {error}", hint="it must be a TOML file") from error
    _only(tree, {"columns", "image", "files", "observation", "table", "fhir"}, "the mapping")
    _only(tree.get("columns", {}), ROLES, "[columns]")
    _only(tree.get("image", {}), {"modality", "body_part_examined", "site", "patient"}, "[image]")
    _only(tree.get("files", {}), {"pattern", "mask"}, "[files]")
    _only(tree.get("table", {}), {"separator", "missing", "patient_issuer"}, "[table]")
    _words(tree)
    if tree.get("columns") and "patient" not in tree["columns"]:
        raise InvalidStudy("[columns] names no patient", hint='add patient = "<column>"')
    observations = tuple(item for row in tree.get("observation", []) for item in _observations(row))
    _refuse_what_identifies(tree.get("columns", {}), observations)
    return TableMapping(
        columns=tree.get("columns", {}),
        image=tree.get("image", {}),
        pattern=_pattern(tree.get("files", {}).get("pattern")),
        mask=tree.get("files", {}).get("mask", "mask"),
        observations=observations,
        separator=tree.get("table", {}).get("separator", ","),
        missing=tuple(tree.get("table", {}).get("missing", MISSING)),
        fhir=_fhir(tree.get("fhir", {})),
        patient_issuer=tree.get("table", {}).get("patient_issuer", ""),
    )


def _fhir(tree: Any) -> FhirMapping:
    _only(tree, {"patient_identifier_system", "patient_issuer", "names"}, "[fhir]")
    names = tree.get("names", {})
    texts = [value for key, value in tree.items() if key != "names"]
    if not isinstance(names, Mapping) or not all(isinstance(value, str) for value in (*texts, *names.values())):
        raise InvalidStudy("[fhir] each value must be a text", hint='write names = { "LN|4548-4" = "hba1c" }')
    wrong = sorted(key for key in names if key.count("|") != 1)
    if wrong:
        raise InvalidStudy(
            f"[fhir] names has the code {wrong[0]!r}", hint='write "<scheme>|<code>", such as "LN|4548-4"'
        )
    return FhirMapping(**tree)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InvalidStudy(f"[files] pattern is no regular expression: {error}") from error
    _only(pattern.groupindex, GROUPS, "[files] pattern")
    if "patient" not in pattern.groupindex:
        raise InvalidStudy("[files] pattern names no patient", hint="write (?P<patient>...) around the patient's part")
    return pattern


def _observations(row: Mapping[str, Any]) -> list[MappedObservation]:
    """One ``[[observation]]``; with ``columns`` instead of ``column`` it stands for several alike."""
    _only(row, {"column", "columns", "name", "kind", "level", "unit", "code"}, "[[observation]]")
    columns = row.get("columns", [row["column"]] if "column" in row else [])
    if not columns:
        raise InvalidStudy("[[observation]] names no column", hint='add column = "<column>"')
    if not isinstance(columns, list) or not all(isinstance(text, str) for text in (*columns, row.get("name", ""))):
        raise InvalidStudy("[[observation]] column and name must be texts", hint="put them in quotes")
    if len(columns) > 1 and "name" in row:
        raise InvalidStudy("[[observation]] gives one name to several columns", hint="leave the name out")
    for key, allowed in (("kind", KINDS), ("level", ("patient", "image"))):
        if row.get(key, allowed[0]) not in allowed:
            raise InvalidStudy(f"[[observation]] {key} is {row[key]!r}", hint=f"use one of {sorted(allowed)}")
    code = _code(row.get("code"))
    return [
        MappedObservation(
            column=column,
            name=row.get("name", column),
            kind=row.get("kind", "number"),
            level=row.get("level", "patient"),
            unit=row.get("unit", "1"),
            code=code,
        )
        for column in columns
    ]


def _code(code: Any) -> Code | None:
    if code is None:
        return None
    if not isinstance(code, Mapping) or not code.get("value") or not code.get("scheme"):
        raise InvalidStudy("[[observation]] code is not whole", hint='write { value = "...", scheme = "..." }')
    _only(code, {"value", "scheme", "meaning"}, "[[observation]] code")
    return Code(str(code["value"]), str(code["scheme"]), str(code.get("meaning", "")))


def _words(tree: Mapping[str, Any]) -> None:
    """Refuse values of another kind than the mapping needs, by their place."""
    texts = [("columns", "each role"), ("image", "each value"), ("files", "each value")]
    for table, what in texts:
        if not all(isinstance(value, str) for value in tree.get(table, {}).values()):
            raise InvalidStudy(f"[{table}] {what} must be a text", hint="put it in quotes")
    if not isinstance(tree.get("observation", []), list):
        raise InvalidStudy("observation is one table", hint="write [[observation]] in double brackets")
    separator, missing = tree.get("table", {}).get("separator", ","), tree.get("table", {}).get("missing", [])
    if not isinstance(separator, str) or len(separator) != 1:
        raise InvalidStudy("[table] separator must be one character", hint=r'write separator = ";" or "\t"')
    if not isinstance(tree.get("table", {}).get("patient_issuer", ""), str):
        raise InvalidStudy("[table] patient_issuer must be a text", hint="put it in quotes")
    if not isinstance(missing, list) or not all(isinstance(word, str) for word in missing):
        raise InvalidStudy("[table] missing must be a list of texts", hint='write missing = ["", "NA"]')


def _refuse_what_identifies(columns: Mapping[str, str], observations: tuple[MappedObservation, ...]) -> None:
    """The patient's number, the file's name and the true date are never observations; nor is a name used twice."""
    for item in observations:
        for role in ("patient", "name", "file", "date", "series_instance_uid", "variant"):
            if item.column == columns.get(role):
                raise InvalidStudy(
                    f"[[observation]] column {item.column!r} is the {role} of [columns]",
                    hint="leave it out: what identifies is not stored",
                )
    names = [item.name for item in observations]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidStudy(f"two [[observation]] are named {twice[0]!r}", hint="give each its own name")


def _only(tree: Any, allowed: set[str] | frozenset[str], place: str) -> None:
    if not isinstance(tree, Mapping):
        raise InvalidStudy(f"{place} is not a table", hint="see the documentation of mapping files")
    unknown = sorted(set(tree) - set(allowed))
    if unknown:
        raise InvalidStudy(f"{place} has the unknown key {unknown[0]!r}", hint=f"use one of {sorted(allowed)}")
