from __future__ import annotations

from pathlib import Path

import pytest

from tapetum.acquire import read_mapping
from tapetum.errors import InvalidStudy
from tapetum.model import Code


def written(folder: Path, text: str) -> Path:
    place = folder / "mapping.toml"
    place.write_text(text, encoding="utf-8")
    return place


def test_a_whole_mapping_is_read(tmp_path: Path) -> None:
    text = """
    [columns]
    patient = "id"
    file = "picture"
    [image]
    modality = "OP"
    [files]
    pattern = '(?P<patient>\\d+)/(?P<role>Scan|Mask)'
    mask = "Mask"
    [table]
    separator = ";"
    missing = ["", "-"]
    [[observation]]
    column = "hba1c"
    unit = "%"
    code = { value = "4548-4", scheme = "LN" }
    """
    found = read_mapping(written(tmp_path, text))
    assert found.columns == {"patient": "id", "file": "picture"}
    assert (found.separator, found.missing, found.mask) == (";", ("", "-"), "Mask")
    assert found.observations[0].code == Code("4548-4", "LN")
    assert (found.observations[0].name, found.observations[0].kind) == ("hba1c", "number")
    assert found.pattern is not None
    assert found.pattern.search("in/17/Mask.nii").groupdict() == {"patient": "17", "role": "Mask"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[columns", "cannot be read"),
        ("[colums]\npatient = 'x'", "unknown key 'colums'"),
        ("[columns]\npatient = 'x'\ncolour = 'y'", "unknown key 'colour'"),
        ("[columns]\nfile = 'x'", "names no patient"),
        ("[columns]\npatient = 5", "must be a text"),
        ("columns = 'patient'", "is not a table"),
        ("[files]\npattern = '(x'", "no regular expression"),
        ("[files]\npattern = 'x(?P<file>.*)'", "unknown key 'file'"),
        ("[files]\npattern = 'x'", "names no patient"),
        ("[table]\nseparator = ';;'", "one character"),
        ("[table]\nmissing = 'NA'", "list of texts"),
        ("[observation]\ncolumn = 'x'", "one table"),
        ("[[observation]]\nname = 'x'", "names no column"),
        ("[[observation]]\ncolumn = 3", "must be texts"),
        ("[fhir]\nsystem = 'x'", "unknown key 'system'"),
        ("[fhir]\npatient_issuer = 5", "must be a text"),
        ("[fhir]\nnames = 'x'", "must be a text"),
        ("[fhir]\nnames = { x = 'y' }", "the code 'x'"),
        ("[[observation]]\ncolumn = 'x'\nkind = 'word'", "kind is 'word'"),
        ("[[observation]]\ncolumn = 'x'\nlevel = 'eye'", "level is 'eye'"),
        ("[[observation]]\ncolumn = 'x'\ncode = { value = '1' }", "code is not whole"),
        ("[[observation]]\ncolumn = 'x'\n[[observation]]\ncolumn = 'x'", "two .* named 'x'"),
        ("[columns]\npatient = 'id'\n[[observation]]\ncolumn = 'id'\nkind = 'text'", "is the patient"),
        ("[columns]\npatient = 'id'\nfile = 'f'\n[[observation]]\ncolumn = 'f'\nkind = 'text'", "is the file"),
        ("[columns]\npatient = 'id'\ndate = 'd'\n[[observation]]\ncolumn = 'd'\nkind = 'text'", "is the date"),
    ],
)
def test_a_mistake_is_named_by_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InvalidStudy, match=place):
        read_mapping(written(tmp_path, text))


def test_a_mapping_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="cannot be read"):
        read_mapping(tmp_path / "nowhere.toml")


def test_the_column_of_the_name_is_never_an_observation(tmp_path: Path) -> None:
    place = tmp_path / "mapping.toml"
    place.write_text('columns = { patient = "id", name = "who" }\n[[observation]]\ncolumn = "who"\nkind = "text"\n')
    with pytest.raises(InvalidStudy, match="is the name of"):
        read_mapping(place)


def test_what_fhir_leaves_open_is_read(tmp_path: Path) -> None:
    text = """
    [fhir]
    patient_identifier_system = "http://hospital.example/mrn"
    names = { "LN|4548-4" = "hba1c" }
    """
    found = read_mapping(written(tmp_path, text)).fhir
    assert found.patient_identifier_system == "http://hospital.example/mrn"
    assert found.names == {"LN|4548-4": "hba1c"}
