from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tapetum.errors import RejectedInput
from tapetum.formats import fhir
from tapetum.formats.fhir import Entry, resources

PATIENT = {"resourceType": "Patient", "id": "1"}


def bundle(*found: dict[str, Any]) -> dict[str, Any]:
    entries = [{"fullUrl": f"urn:uuid:{n}", "resource": one} for n, one in enumerate(found, start=1)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def read(data: str | bytes, name: str = "") -> list[Entry | RejectedInput]:
    return list(resources(io.BytesIO(data.encode() if isinstance(data, str) else data), name=name))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_bundle_is_its_entries_however_it_is_written(indent: int | None, end: str) -> None:
    found = read(json.dumps(bundle(PATIENT, {**PATIENT, "id": "2"}), indent=indent) + end)
    assert [row.resource["id"] for row in found if isinstance(row, Entry)] == ["1", "2"]


def test_entries_know_their_full_url_and_place() -> None:
    found = read(json.dumps(bundle(PATIENT, PATIENT), indent=1))
    assert [(row.number, row.full_url) for row in found if isinstance(row, Entry)] == [
        (1, "urn:uuid:1"),
        (2, "urn:uuid:2"),
    ]


def test_one_resource_or_a_list_of_them_is_read() -> None:
    assert read(json.dumps(PATIENT, indent=1)) == [Entry(1, PATIENT)]
    assert len(read(json.dumps([PATIENT, PATIENT], indent=1))) == 2


def test_bundles_one_after_another_are_all_read() -> None:
    text = "\n".join(json.dumps(bundle({**PATIENT, "id": str(n)}), indent=2) for n in range(3)) + "\n \n"
    found = read(text)
    assert [(row.number, row.resource["id"]) for row in found if isinstance(row, Entry)] == [
        (1, "0"),
        (2, "1"),
        (3, "2"),
    ]


def test_what_follows_a_bundle_and_is_no_json_is_said() -> None:
    good, bad = read(json.dumps(bundle(PATIENT), indent=2) + "\nthe end")
    assert isinstance(good, Entry)
    assert isinstance(bad, RejectedInput)


def test_a_bad_line_of_ndjson_concerns_itself_alone() -> None:
    lines = [json.dumps(PATIENT), '{"resourceType": "Pat', "", "[]", '{"id": "x"}', json.dumps({**PATIENT, "id": "2"})]
    found = read("\ufeff" + "\n".join(lines))
    assert [row.number for row in found if isinstance(row, Entry)] == [1, 6]
    bad = [row for row in found if isinstance(row, RejectedInput)]
    assert [(row.code, row.context["entry"]) for row in bad] == [("invalid-resource", n) for n in (2, 4, 5)]


def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "MOST_CHARACTERS", 1000)
    long = json.dumps({**PATIENT, "note": "x" * 5000})
    bad, good = read(f"{long}\n{json.dumps(PATIENT)}\n", name="a.ndjson")
    assert isinstance(bad, RejectedInput)
    assert isinstance(good, Entry)
    assert good.number == 2


def test_what_lies_before_the_damage_of_a_bundle_is_read() -> None:
    text = json.dumps(bundle(PATIENT, PATIENT, PATIENT), indent=1)
    *good, bad = read(text[: text.rindex("resourceType")])
    assert len(good) == 2
    assert isinstance(bad, RejectedInput)
    assert (bad.code, bad.context["entry"]) == ("invalid-resource", 3)


def test_an_entry_without_a_resource_is_refused_alone() -> None:
    whole = bundle(PATIENT)
    whole["entry"].append({"request": {"method": "DELETE"}})
    good, bad = read(json.dumps(whole, indent=1))
    assert isinstance(good, Entry)
    assert isinstance(bad, RejectedInput)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{\n"a": 1}', "unknown-format"),
        ('{\n"a": ', "unreadable"),
        ('{\n"a": NaN}', "unreadable"),
        ("{\n" + "[" * 99999, "unreadable"),
    ],
)
def test_json_that_is_not_fhir_is_refused_whole(text: str, code: str) -> None:
    with pytest.raises(RejectedInput) as caught:
        read(text)
    assert caught.value.code == code


def test_a_bundle_larger_than_the_window_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "CHUNK", 64)
    many = [
        {**PATIENT, "id": str(n), "multipleBirthInteger": 12345, "name": [{"family": "Žluťoučký" * 9}]}
        for n in range(50)
    ]
    found = read(json.dumps({"total": 5, **bundle(*many)}, indent=3, ensure_ascii=False))
    assert [row.resource for row in found if isinstance(row, Entry)] == many
