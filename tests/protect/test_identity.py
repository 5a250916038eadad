import pytest
from pydicom import Dataset

from tapetum.formats.foreign import from_pydicom
from tapetum.protect import holds_number_or_date, identifiers, mentions, mentions_bytes, words_of


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Müller^Jörg", "MUELLER JOERG"),
        ("Müller^Jörg", "jorg muller"),
        ("Mueller^Hans", "Muellers Knie"),
        ("Doe^Jane", "JaneDoe head"),
        ("Doe^Jane", "head of doe, jane"),
        ("Li^Na", "Li Na, head"),
        ("Li^Na", "na_li"),
        ("Wang^XiaoDong=王^小东", "王小东头部"),
        ("Wang=王^明", "王明"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "길동 두부"),
        ("O'Brien^Pat", "OBRIEN"),
        ("PAT-4711-0815", "pat47110815"),
        ("47110815", "４７１１０８１５"),
        ("MRN7734512", "x7734512y"),
    ],
)
def test_a_name_is_found_however_it_is_written(name: str, text: str) -> None:
    assert mentions(text, words_of(name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Doe^Jane", "DOES NOT ENHANCE"),
        ("Head^Bo", "T1 ahead"),
        ("Li^Na", "T2 liver, native"),
        ("Kim^M", "SKIMMED"),
        ("1024", "FOV 10240"),
        ("12", "12 mm"),
        ("", "anything"),
    ],
)
def test_ordinary_words_and_short_numbers_are_no_names(name: str, text: str) -> None:
    assert not mentions(text, words_of(name))


def test_a_birth_date_is_found_in_every_order() -> None:
    dataset = Dataset()
    dataset.PatientBirthDate = "19331224"
    for text in ("24.12.1933", "1933-12-24", "12/24/1933", "*19331224"):
        assert mentions(text, identifiers(from_pydicom(dataset))), text
    assert not mentions("24.12.1934", identifiers(from_pydicom(dataset)))


def test_identifiers_are_collected_at_every_depth_and_the_hospital_only_as_a_phrase() -> None:
    inner, dataset = Dataset(), Dataset()
    inner.PatientID, inner.OperatorsName = "998877", "Groucho^Marx"
    dataset.OtherPatientIDsSequence, dataset.InstitutionName = [inner], "General Hospital"
    own = identifiers(from_pydicom(dataset))
    assert {"998877", "groucho", "marx", "general hospital"} <= own
    assert "general" not in own


def test_bytes_that_hold_a_name_are_recognised() -> None:
    assert mentions_bytes(b"..QuillFeather..", words_of("Quillfeather"))
    assert not mentions_bytes(b"..Doe..", words_of("Doe"))


@pytest.mark.parametrize("text", ["seen 31.12.1961", "1961-12-31", "call 555123"])
def test_a_date_or_a_long_number_has_no_place_in_a_description(text: str) -> None:
    assert holds_number_or_date(text)
    assert not holds_number_or_date("grade 2 of 4, 12345")
