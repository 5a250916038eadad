"""Resources as R4 shows them in its own examples, cut to what matters here."""

from __future__ import annotations

from typing import Any

import pytest

from tapetum.errors import RejectedInput
from tapetum.formats.fhir_facts import Fact, Statement, is_known_scheme, read_resource

UCUM = "http://unitsofmeasure.org"


def concept(code: str, system: str = "http://loinc.org", **more: Any) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **more}]}


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "f001",
        "status": "final",
        "code": concept("15074-8"),
        "subject": {"reference": "Patient/f001", "display": "P. van de Heuvel"},
        "effectiveDateTime": "2013-04-02T09:30:10+01:00",
        **elements,
    }


def read(resource: dict[str, Any], **names: str) -> Statement:
    return read_resource(resource, names)


def test_a_quantity_is_a_number_with_its_ucum_unit_and_time() -> None:
    """R4 example f001, glucose: 6.3 mmol/l."""
    quantity = {"value": 6.3, "unit": "mmol/l", "system": UCUM, "code": "mmol/L"}
    said = read(observation(valueQuantity=quantity))
    assert (said.subject, said.outcome) == ("Patient/f001", "")
    assert said.facts == (
        Fact("ln_15074_8", value=6.3, code=("15074-8", "LN"), unit="mmol/L", when="2013-04-02T09:30:10+01:00"),
    )


def test_components_are_rows_of_their_own() -> None:
    """R4 example blood-pressure: 107 / 60 mm[Hg]."""
    parts = [
        {"code": concept(code), "valueQuantity": {"value": value, "system": UCUM, "code": "mm[Hg]"}}
        for code, value in (("8480-6", 107), ("8462-4", 60))
    ]
    said = read(observation(code=concept("85354-9"), component=parts))
    assert [(fact.name, fact.value, fact.unit) for fact in said.facts] == [
        ("ln_8480_6", 107.0, "mm[Hg]"),
        ("ln_8462_4", 60.0, "mm[Hg]"),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueBoolean": True}, (1.0, None)),
        ({"valueInteger": 3}, (3.0, None)),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, (1 / 128, None)),
        ({"valueCodeableConcept": concept("260385009", "http://snomed.info/sct")}, (None, "SCT:260385009")),
    ],
)
def test_other_values_are_numbers_or_codes(value: dict[str, Any], expected: tuple[float | None, str | None]) -> None:
    (fact,) = read(observation(**value)).facts
    assert (fact.value, fact.text) == expected


def test_a_value_below_the_limit_of_detection_says_so() -> None:
    quantity = {"value": 0.01, "comparator": "<", "system": UCUM, "code": "ng/mL"}
    number, sign = read(observation(valueQuantity=quantity)).facts
    assert (number.value, sign.name, sign.text) == (0.01, "ln_15074_8_comparator", "<")


@pytest.mark.parametrize(
    "elements",
    [
        {"valueString": "seen by Dr Heuvel"},
        {"dataAbsentReason": concept("unknown")},
        {"valueDateTime": "2013-04-02"},
        {"valueQuantity": {"value": 1}, "code": {"text": "glucose of Heuvel"}},
        {"valueQuantity": {"value": 1}, "code": concept("a sentence about somebody")},
        {"valueQuantity": {"value": 1}, "status": "cancelled"},
    ],
)
def test_what_a_table_cannot_hold_is_left_out(elements: dict[str, Any]) -> None:
    said = read(observation(**elements))
    assert (said.outcome, said.facts) == ("left-out", ())


def test_free_text_displays_and_names_are_not_looked_at() -> None:
    planted = "Quillfeather"
    quantity = {"value": 1, "system": UCUM, "code": "g", "unit": planted}
    resource = observation(
        valueQuantity=quantity,
        code={**concept("15074-8", display=planted), "text": planted},
        text={"status": "generated", "div": f"<div>{planted}</div>"},
        note=[{"text": planted}],
        performer=[{"display": planted}],
        interpretation=[{"text": planted}],
        subject={"reference": "Patient/f001", "display": planted},
    )
    assert planted not in repr(read(resource))


def test_entered_in_error_is_withdrawn_wherever_it_is_said() -> None:
    assert read(observation(status="entered-in-error", valueInteger=3)).outcome == "withdrawn"
    condition = {
        "resourceType": "Condition",
        "verificationStatus": concept("entered-in-error", "x"),
        "code": concept("1"),
    }
    assert read(condition).outcome == "withdrawn"


@pytest.mark.parametrize(
    ("verification", "value"), [("confirmed", 1.0), (None, 1.0), ("refuted", 0.0), ("provisional", None)]
)
def test_a_condition_is_there_or_refuted_and_a_suspicion_is_neither(
    verification: str | None, value: float | None
) -> None:
    resource = {
        "resourceType": "Condition",
        "code": concept("44054006", "http://snomed.info/sct"),
        "subject": {"reference": "Patient/1"},
        "onsetDateTime": "2012-05",
        **({"verificationStatus": concept(verification, "x")} if verification else {}),
    }
    facts = read(resource).facts
    assert [(fact.name, fact.value, fact.when) for fact in facts] == (
        [] if value is None else [("sct_44054006", value, "2012-05")]
    )


def test_a_report_gives_its_coded_conclusions_and_none_of_its_text() -> None:
    resource = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": concept("24627-2"),
        "effectivePeriod": {"start": "2011-03-04"},
        "conclusion": "a nodule in the chest of Quillfeather",
        "presentedForm": [{"data": "UXVpbGxmZWF0aGVy"}],
        "conclusionCode": [concept("427359005", "http://snomed.info/sct")],
    }
    said = read(resource)
    assert [(fact.name, fact.when) for fact in said.facts] == [("sct_427359005", "2011-03-04")]
    assert "chest" not in repr(said)


def test_a_patient_gives_sex_birth_and_death() -> None:
    resource = {
        "resourceType": "Patient",
        "gender": "female",
        "birthDate": "1961-12-31",
        "deceasedDateTime": "2020-01-02",
    }
    assert [fact.name for fact in read(resource).facts] == ["sex", "birth_year", "deceased"]


def test_a_medication_is_taken_unless_it_was_not() -> None:
    resource = {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": concept("860975", "http://www.nlm.nih.gov/research/umls/rxnorm"),
        "effectiveDateTime": "2020-01-02",
    }
    assert [(fact.name, fact.value) for fact in read(resource).facts] == [("rxnorm_860975", 1.0)]
    assert read({**resource, "status": "not-taken"}).outcome == "left-out"


def test_an_imaging_study_gives_its_uid() -> None:
    resource = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:2.16.124.113543.6003.1154777499"}],
        "subject": {"reference": "Patient/dicom"},
    }
    assert read(resource).study_instance_uid == "2.16.124.113543.6003.1154777499"


def test_public_vocabularies_are_preferred_and_local_ones_do_not_tell_the_hospital() -> None:
    local, public = concept("GLU", "http://lab.north-hospital.example"), concept("15074-8")
    both = read(observation(valueInteger=1, code={"coding": local["coding"] + public["coding"]}))
    (own,) = read(observation(valueInteger=1, code=local)).facts
    assert both.facts[0].code == ("15074-8", "LN")
    assert own.code is not None
    assert own.code[1].startswith("99")
    assert "north" not in repr(own)
    assert (is_known_scheme("LN"), is_known_scheme(own.code[1])) == (True, False)


def test_the_mapping_names_a_code() -> None:
    said = read_resource(observation(valueInteger=1), {"LN|15074-8": "glucose"})
    assert said.facts[0].name == "glucose"


def test_a_unit_that_is_not_ucum_converts_into_nothing() -> None:
    assert read(observation(valueQuantity={"value": 1, "unit": "mg%"})).facts[0].unit == "{mg%}"
    assert read(observation(valueQuantity={"value": 1, "unit": "as Dr Heuvel said"})).facts[0].unit == "1"


def test_a_component_that_comes_twice_is_numbered() -> None:
    parts = [{"code": concept("48019-4"), "valueInteger": n} for n in (1, 2)]
    assert [fact.name for fact in read(observation(component=parts)).facts] == ["ln_48019_4", "ln_48019_4_2"]


@pytest.mark.parametrize(
    "elements",
    [
        {"valueQuantity": "6.3"},
        {"valueQuantity": {"value": "6.3"}},
        {"valueQuantity": {"value": True}},
        {"code": "glucose"},
        {"subject": "Patient/1"},
        {"component": [3]},
        {"meta": 5},
    ],
)
def test_an_element_of_another_kind_is_refused_without_its_value(elements: dict[str, Any]) -> None:
    with pytest.raises(RejectedInput) as caught:
        read(observation(**elements))
    assert caught.value.code == "invalid-resource"
    assert "6.3" not in str(caught.value)


def test_kinds_that_are_not_used_are_left_out() -> None:
    assert read({"resourceType": "Encounter", "status": "finished"}).outcome == "left-out"
