"""Who a FHIR reference means: the Patients of a run, and those that earlier runs stored. Start at `Patients`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from tapetum.acquire.mapping import FhirMapping
from tapetum.errors import RejectedInput
from tapetum.formats.fhir_facts import Statement
from tapetum.model import Observation
from tapetum.protect import Pseudonymiser, words_of

__all__ = ["Patients"]

SCHEMA = """
create table patients (reference text, file integer, patient text, words text);
create index patients_by_reference on patients (reference);
create table known (reference text, patient text, unique (reference, patient));
"""


class Patients:
    """References to patients and their pseudonyms, in the database of a run.

    A reference is looked for in its own file first, because files that were not made together may both have a
    Patient/1; then in the run; then among the patients that earlier runs stored.
    """

    def __init__(self, database: sqlite3.Connection, names: Pseudonymiser, mapping: FhirMapping) -> None:
        self._database, self._names, self._mapping = database, names, mapping
        for statement in SCHEMA.split(";"):
            database.execute(statement)

    def add(self, patient: Mapping[str, Any], full_url: str, file: int) -> None:
        """Note a Patient resource.

        Raises
        ------
        RejectedInput : unidentified-patient where it is not said which of its identifiers counts.
        """
        try:
            chosen = _identifier(patient.get("identifier") or (), self._mapping.patient_identifier_system)
            words = json.dumps(sorted(_words(patient)))
        except (AttributeError, TypeError) as error:
            raise RejectedInput("invalid-resource", "an element is not what FHIR R4 says", kind="Patient") from error
        key = self._names.patient(chosen, self._mapping.patient_issuer)
        own = f"Patient/{patient['id']}" if patient.get("id") else ""
        for reference in {own, full_url, *_forms(full_url)} - {""}:
            self._database.execute("insert into patients values (?, ?, ?, ?)", (reference, file, key, words))
        if not own and not full_url:
            raise RejectedInput("invalid-resource", "a Patient without id", kind="Patient")

    def remember(self, rows: Iterable[Observation]) -> None:
        """Take in how the patients of earlier runs are referred to (`references`)."""
        for row in rows:
            self._database.execute("insert or ignore into known values (?, ?)", (row.text, row.patient_key))

    def references(self, statement: Statement, patient: str, method: str, source: str) -> list[Observation]:
        """Rows by which later runs know a patient: keyed digests of the references to it."""
        digest = self._digest(statement.subject)
        return [Observation(patient, "reference", text=digest, method=method, source=source)]

    def of(self, statement: Statement, file: int) -> tuple[str, frozenset[str]]:
        """The pseudonym of the patient that a resource is about, and the words by which that patient is known.

        Raises
        ------
        RejectedInput : unresolved-reference where it is nobody, or may be one of several.
        """
        for form in _forms(statement.subject):
            here = "select distinct patient, words from patients where reference = ?"
            own = self._database.execute(f"{here} and file = ?", (form, file)).fetchall()
            found = own or self._database.execute(here, (form,)).fetchall()
            keys = {key for key, _ in found}
            if len(keys) == 1:
                return keys.pop(), frozenset(chain.from_iterable(json.loads(words) for _, words in found))
            if keys:
                raise RejectedInput("unresolved-reference", "several patients go by this reference")
        return self._by_identifier(statement) or self._from_earlier_runs(statement.subject)

    def _by_identifier(self, statement: Statement) -> tuple[str, frozenset[str]] | None:
        system, value = statement.subject_identifier
        if not value or self._mapping.patient_identifier_system not in ("", system):
            return None
        return self._names.patient(value, self._mapping.patient_issuer), words_of(value)

    def _from_earlier_runs(self, reference: str) -> tuple[str, frozenset[str]]:
        for form in _forms(reference):
            query = "select patient from known where reference = ?"
            keys = self._database.execute(query, (self._digest(form),)).fetchall()
            if len(keys) == 1:
                return str(keys[0][0]), frozenset()
        raise RejectedInput("unresolved-reference")

    def _digest(self, reference: str) -> str:
        return self._names.digest((), "fhir-reference", reference)[:32]


def _forms(reference: str) -> list[str]:
    """A reference without its version, as it stands and relative to its server (R4 2.3.0.5)."""
    bare = reference.partition("/_history/")[0]
    parts = bare.split("/")
    relative = ["/".join(parts[-2:])] if len(parts) > 2 and parts[-2] == "Patient" else []
    if bare.startswith("urn:uuid:"):  # usually the resource's id as well
        relative.append(f"Patient/{bare.removeprefix('urn:uuid:')}")
    return [form for form in [bare, *relative] if form]


def _identifier(identifiers: Iterable[Mapping[str, Any]], system: str) -> str:
    """The value that is DICOM's Patient ID. Raises RejectedInput where several may be."""
    current = [one for one in identifiers if one.get("value") and one.get("use") != "old"]
    if system:
        candidates = [[one for one in current if one.get("system") == system]]
    else:
        usual = [one for one in current if one.get("use") == "usual"]
        candidates = [usual, [one for one in current if _is_record_number(one)], current]
    for group in candidates:
        values = {str(one["value"]).strip() for one in group}
        if len(values) == 1:
            return values.pop()
    raise RejectedInput("unidentified-patient", identifiers=len(current))


def _is_record_number(identifier: Mapping[str, Any]) -> bool:
    """Type MR of HL7 table 0203."""
    return any(coding.get("code") == "MR" for coding in (identifier.get("type") or {}).get("coding") or ())


def _words(patient: Mapping[str, Any]) -> frozenset[str]:
    texts = [str(one.get("value") or "") for one in patient.get("identifier") or ()]
    for name in patient.get("name") or ():
        texts += [str(name.get("text") or ""), str(name.get("family") or ""), *map(str, name.get("given") or ())]
    return frozenset(chain.from_iterable(words_of(text) for text in texts if text))
