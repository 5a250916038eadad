"""FHIR through the door that everything takes: bundles and exports, references, versions, privacy."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tapetum.acquire import TableMapping, Tally
from tapetum.acquire.fhir import METHOD, FhirRun, shifted
from tapetum.acquire.mapping import FhirMapping
from tapetum.acquire.walk import Source
from tapetum.errors import TapetumError
from tapetum.protect import Pseudonymiser
from tapetum.testing import dicom_series, to_bytes

MRN = "MRN7734512"


def patient(number: str = "1", mrn: str = MRN, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [
            {"system": "http://hospital.example/mrn", "value": mrn, "type": {"coding": [{"code": "MR"}]}},
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-11-2222", "type": {"coding": [{"code": "SS"}]}},
        ],
        "name": [{"family": "Quillfeather", "given": ["Peregrine"]}],
        "gender": "male",
        "birthDate": "1961-12-31",
        **more,
    }


def glucose(number: str = "g1", value: float = 6.3, subject: str = "Patient/1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": number,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "15074-8", "display": "Quillfeather's glucose"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2020-03-01T08:30:00+01:00",
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        **more,
    }


def ndjson(place: Path, *found: dict[str, Any]) -> Path:
    place.write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
    return place


def take(hospital: Any, inbox: Path, **fhir: Any) -> Tally:
    return hospital.take(inbox, mapping=TableMapping(fhir=FhirMapping(**fhir)) if fhir else None)


def facts(hospital: Any, name: str = "ln_15074_8") -> list[tuple[str, float | None]]:
    rows = hospital.table.read()
    return [(row["patient_key"], row["value"]) for row in rows.iter_rows(named=True) if row["name"] == name]


def test_a_bundle_becomes_observations_of_the_patient_that_dicom_knows(hospital: Any, inbox: Path) -> None:
    entries = [{"resource": patient()}, {"resource": glucose()}]
    (inbox / "b.json").write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    (inbox / "1.dcm").write_bytes(to_bytes(dicom_series(slices=1, patient_id=MRN)[0]))
    tally = take(hospital, inbox)
    assert (tally.resources, tally.outcomes["stored"]) == ({"stored": 2}, 1)
    assert facts(hospital) == [(hospital.catalogue.series()[0].patient_key, 6.3)]
    (row,) = [row for row in hospital.table.read().iter_rows(named=True) if row["name"] == "ln_15074_8"]
    assert (row["unit"], row["code"], row["scheme"]) == ("mmol/L", "15074-8", "LN")
    moved = date.fromisoformat(row["effective_at"][:10])
    assert (date(2020, 3, 1) - moved).days == -hospital.names.shift_days(row["patient_key"])
    assert row["effective_at"].endswith("T08:30:00+01:00")


def test_nothing_that_tells_who_it_is_is_written(hospital: Any, inbox: Path) -> None:
    conclusion = {"coding": [{"system": "http://snomed.info/sct", "code": "17621005"}]}
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "subject": {"reference": "Patient/1"},
        "conclusion": "Quillfeather is well",
        "conclusionCode": [conclusion],
    }
    ndjson(inbox / "a.ndjson", patient(), glucose(note=[{"text": "Quillfeather"}]), report, glucose("bad", "x"))  # type: ignore[arg-type]
    take(hospital, inbox)
    written = hospital.written().lower()
    told = (
        "quillfeather",
        "peregrine",
        MRN,
        "7734512",
        "999-11-2222",
        "1961-12-31",
        "2020-03-01",
        "hospital.example",
        "patient/1",
    )
    assert not [word for word in told if word.lower().encode() in written]


def test_an_observation_may_come_before_its_patient_and_in_another_file(hospital: Any, inbox: Path) -> None:
    for number in range(20):
        ndjson(inbox / f"Observation.{number:03}.ndjson", glucose(f"g{number}", number))
    ndjson(inbox / "Patient.000.ndjson", patient())
    assert take(hospital, inbox).resources == {"stored": 21}
    assert sorted(value for _, value in facts(hospital)) == list(range(20))


def test_a_patient_of_an_earlier_run_is_known_again(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    ndjson(inbox / "Patient.ndjson", patient())
    take(hospital, inbox)
    assert take(hospital, ndjson(tmp_path / "Observation.ndjson", glucose())).resources == {"stored": 1}
    assert facts(hospital) == [(hospital.names.patient(MRN), 6.3)]


def test_exports_are_read_compressed_and_in_archives(hospital: Any, inbox: Path) -> None:
    (inbox / "Patient.ndjson.gz").write_bytes(gzip.compress(json.dumps(patient()).encode() + b"\n"))
    with zipfile.ZipFile(inbox / "export.zip", "w") as archive:
        archive.writestr("Observation.ndjson", json.dumps(glucose()) + "\n")
    assert take(hospital, inbox).resources == {"stored": 2}


def test_a_second_run_changes_nothing(hospital: Any, inbox: Path) -> None:
    ndjson(inbox / "a.ndjson", patient(), glucose(), glucose("bad", subject="Patient/9"))
    take(hospital, inbox)
    before = hospital.state()
    assert take(hospital, inbox).resources == {"duplicate": 2, "rejected": 1}
    assert hospital.state() == before


def test_an_amended_resource_replaces_and_an_older_one_does_not(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    first = {"meta": {"lastUpdated": "2020-03-01T10:00:00Z", "versionId": "1"}}
    second = {"meta": {"lastUpdated": "2020-03-02T10:00:00Z", "versionId": "2"}, "status": "corrected"}
    ndjson(inbox / "a.ndjson", patient(), glucose(value=6.3, **first))
    take(hospital, inbox)
    assert take(hospital, ndjson(tmp_path / "b.ndjson", glucose(value=3.6, **second))).resources == {"stored": 1}
    assert [value for _, value in facts(hospital)] == [3.6]
    assert take(hospital, inbox).resources == {"duplicate": 2}
    assert [value for _, value in facts(hospital)] == [3.6]


def test_of_two_versions_in_one_run_the_newer_counts_wherever_it_stands(hospital: Any, inbox: Path) -> None:
    new, old = ({"meta": {"versionId": str(version)}} for version in (10, 9))
    ndjson(inbox / "a.ndjson", patient(), glucose(value=1, **new), glucose(value=2, **old))
    assert take(hospital, inbox).resources == {"stored": 2, "duplicate": 1}
    assert [value for _, value in facts(hospital)] == [1]


def test_what_was_entered_in_error_is_left_out_and_taken_back(hospital: Any, inbox: Path, tmp_path: Path) -> None:
    wrong = {"status": "entered-in-error"}
    ndjson(inbox / "a.ndjson", patient(), glucose("g1"), glucose("g2", **wrong))
    assert take(hospital, inbox).resources == {"stored": 2, "withdrawn": 1}
    assert len(facts(hospital)) == 1
    assert take(hospital, ndjson(tmp_path / "b.ndjson", glucose("g1", **wrong))).resources == {"withdrawn": 1}
    assert facts(hospital) == []


def test_a_bad_line_concerns_itself_alone_and_leaves_when_it_is_mended(hospital: Any, inbox: Path) -> None:
    place = inbox / "a.ndjson"
    place.write_text(f"{json.dumps(patient())}\n{{broken\n{json.dumps(glucose())}\n{json.dumps(glucose('g2', 'x'))}\n")  # type: ignore[arg-type]
    tally = take(hospital, inbox)
    assert tally.resources == {"stored": 2, "rejected": 2}
    assert hospital.quarantine() == {"a.ndjson#2": "invalid-resource", "a.ndjson#4": "invalid-resource"}
    ndjson(place, patient(), glucose("g3"), glucose(), glucose("g2", 5))
    take(hospital, inbox)
    assert hospital.quarantine() == {}
    assert len(facts(hospital)) == 3


def test_a_resource_about_nobody_that_is_known_is_refused(hospital: Any, inbox: Path) -> None:
    ndjson(inbox / "a.ndjson", patient(), glucose(subject="Patient/2"), glucose("g2", subject="Group/1"))
    take(hospital, inbox)
    assert set(hospital.quarantine().values()) == {"unresolved-reference"}


def test_two_files_may_both_have_a_patient_1(hospital: Any, inbox: Path) -> None:
    for name, mrn in (("a", "MRN-A1"), ("b", "MRN-B1")):
        ndjson(inbox / f"{name}.ndjson", patient(mrn=mrn), glucose())
    ndjson(inbox / "c.ndjson", glucose("g2"))
    take(hospital, inbox)
    assert {key for key, _ in facts(hospital)} == {hospital.names.patient("MRN-A1"), hospital.names.patient("MRN-B1")}
    assert hospital.quarantine() == {"c.ndjson#1": "unresolved-reference"}


@pytest.mark.parametrize("subject", ["urn:uuid:0c3151bd", "http://server/fhir/Patient/1", "Patient/1/_history/3"])
def test_references_of_every_form_are_followed(hospital: Any, inbox: Path, subject: str) -> None:
    entries = [{"fullUrl": "urn:uuid:0c3151bd", "resource": patient()}, {"resource": glucose(subject=subject)}]
    (inbox / "b.json").write_text(json.dumps({"resourceType": "Bundle", "entry": entries}))
    assert take(hospital, inbox).resources == {"stored": 2}


def test_a_logical_reference_needs_no_patient_resource(hospital: Any, inbox: Path) -> None:
    ndjson(inbox / "a.ndjson", glucose() | {"subject": {"identifier": {"system": "x", "value": MRN}}})
    take(hospital, inbox)
    assert facts(hospital) == [(hospital.names.patient(MRN), 6.3)]


def test_the_setting_says_which_identifier_counts(hospital: Any, inbox: Path) -> None:
    two = [{"system": "a", "value": "A1"}, {"system": "b", "value": "B1"}]
    ndjson(inbox / "a.ndjson", patient(identifier=two), glucose())
    take(hospital, inbox)
    assert hospital.quarantine() == {"a.ndjson#1": "unidentified-patient", "a.ndjson#2": "unresolved-reference"}
    take(hospital, inbox, patient_identifier_system="b", patient_issuer="NORTH")
    assert hospital.quarantine() == {}
    assert facts(hospital) == [(hospital.names.patient("B1", "NORTH"), 6.3)]


def test_the_usual_identifier_comes_before_the_record_number(hospital: Any, inbox: Path) -> None:
    usual = [{"use": "usual", "value": "U1"}, {"use": "old", "value": "O1"}, {"value": "X1"}]
    ndjson(inbox / "a.ndjson", patient(identifier=usual), glucose())
    take(hospital, inbox)
    assert facts(hospital) == [(hospital.names.patient("U1"), 6.3)]


def test_a_local_code_that_is_somebodys_number_is_refused(hospital: Any, inbox: Path) -> None:
    code = {"coding": [{"system": "http://lab.example", "code": MRN}]}
    ndjson(inbox / "a.ndjson", patient(), glucose(code=code))
    take(hospital, inbox)
    assert hospital.quarantine() == {"a.ndjson#2": "identifier-survived"}


def test_an_imaging_study_of_another_patient_than_the_archive_says_is_flagged(hospital: Any, inbox: Path) -> None:
    item = dicom_series(slices=1, patient_id=MRN)[0]
    (inbox / "1.dcm").write_bytes(to_bytes(item))
    uid = [{"system": "urn:dicom:uid", "value": f"urn:oid:{item.StudyInstanceUID}"}]
    study = {"resourceType": "ImagingStudy", "status": "available", "identifier": uid}
    ours, theirs = ({**study, "id": key, "subject": {"reference": f"Patient/{key}"}} for key in ("1", "2"))
    ndjson(inbox / "a.ndjson", patient(), patient("2", "MRN-B1"), ours, theirs)
    assert take(hospital, inbox).resources == {"stored": 2, "duplicate": 1, "rejected": 1}
    assert hospital.quarantine() == {"a.ndjson#4": "patient-mismatch"}


def test_json_that_is_not_fhir_is_quarantined_alone(hospital: Any, inbox: Path) -> None:
    (inbox / "bids.json").write_text('{\n"EchoTime": 0.03\n}')
    ndjson(inbox / "a.ndjson", patient())
    assert take(hospital, inbox).resources == {"stored": 1}
    assert hospital.quarantine() == {"bids.json": "unknown-format"}


def test_the_gathered_resources_are_not_held_in_memory(hospital: Any, inbox: Path) -> None:
    ndjson(inbox / "a.ndjson", patient(), *(glucose(f"g{n}", note=[{"text": "x" * 5000}]) for n in range(2_000)))
    tracemalloc.start()
    try:
        assert take(hospital, inbox).resources == {"stored": 2_001}
        assert tracemalloc.get_traced_memory()[1] < 6 << 20  # of more than 10 MB
    finally:
        tracemalloc.stop()


def test_a_full_temporary_disk_stops_the_run_and_blames_no_resource(hospital: Any, inbox: Path) -> None:
    ndjson(inbox / "a.ndjson", *(glucose(f"g{n}") for n in range(2_000)))
    run = FhirRun(hospital.names, FhirMapping(), hospital.catalogue, lambda _: ())
    run._open().execute("pragma max_page_count = 60")
    place = inbox / "a.ndjson"
    with pytest.raises(TapetumError, match="make room"):
        list(run.read(Source(str(place), "a.ndjson", "fhir", 1, 1, lambda: place.open("rb"))))


def test_dates_of_any_precision_are_shifted() -> None:
    names = Pseudonymiser(bytes(32))
    whole, month, year = (shifted(text, "P-1", names) for text in ("2020-01-01", "2020-01", "2020"))
    assert whole == month == year
    assert shifted("", "P-1", names) == ""
    with pytest.raises(ValueError, match="month"):
        shifted("2020-13-01", "P-1", names)
    assert METHOD == "fhir/"
