from __future__ import annotations

import struct

import pytest

from tapetum.formats.elements import Header, decoded, joined, keyword_of, tag_of, text_element


def of(**elements: tuple[str, bytes]) -> Header:
    header = Header()
    for keyword, element in elements.items():
        header[tag_of(keyword)] = element
    return header


# PS3.5 Annexes H.3.1, H.3.2, I.2, J.3, K.2: the names of the standard's own examples.
NAMES = [
    (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
     "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (b"\\ISO 2022 IR 149",
     b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
     "Hong^Gildong=洪^吉洞=홍^길동"),
    (b"ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
    (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    (b"\\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang^XiaoDong=张^小东"),
    (b"ISO_IR 100", "Buc^Jérôme".encode("latin-1"), "Buc^Jérôme"),
    (b"ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("charset", "raw", "name"), NAMES, ids=[name[:4] + str(i) for i, (_, _, name) in enumerate(NAMES)]
)
def test_the_names_of_the_standard_are_read_as_it_writes_them(charset: bytes, raw: bytes, name: str) -> None:
    assert of(SpecificCharacterSet=("CS", charset), PatientName=("PN", raw)).text("PatientName") == name


def test_a_backslash_within_a_character_of_several_bytes_separates_nothing() -> None:
    assert "誠".encode("gb18030").endswith(b"\\") or b"\\" in "乗".encode("gb18030")
    text = "乗\\b"
    header = of(SpecificCharacterSet=("CS", b"GB18030"), ImageComments=("LO", text.encode("gb18030")))
    assert header.texts("ImageComments") == ("乗", "b")


def test_an_item_is_read_in_the_character_set_around_it_unless_it_names_its_own() -> None:
    outer = of(SpecificCharacterSet=("CS", b"ISO_IR 192"))
    inner = Header(outer.encodings)
    inner[tag_of("CodeMeaning")] = "LO", "心".encode()
    assert inner.text("CodeMeaning") == "心"
    inner[tag_of("SpecificCharacterSet")] = "CS", b"GB18030 "
    inner[tag_of("CodeMeaning")] = "LO", "心".encode("gb18030")
    assert inner.text("CodeMeaning") == "心"


def test_an_unknown_character_set_and_broken_bytes_are_read_somehow() -> None:
    assert of(SpecificCharacterSet=("CS", b"KLINGON"), PatientName=("PN", b"\xe4")).text("PatientName") == "ä"
    broken = of(SpecificCharacterSet=("CS", b"ISO_IR 192"), PatientName=("PN", b"M\xffller"))
    assert broken.text("PatientName") == "M\ufffdller"


@pytest.mark.parametrize(
    ("vr", "raw", "values"),
    [
        ("DS", b"1.5\\-2 \\", ("1.5", "-2", "")),
        ("UI", b"1.2.3\0", ("1.2.3",)),
        ("LT", b"a\\b  ", ("a\\b",)),
        ("CS", b"  ", ()),
        ("US", struct.pack("<2H", 1, 65535), (1, 65535)),
        ("SS", struct.pack("<h", -1), (-1,)),
        ("FD", struct.pack("<d", 0.1), (0.1,)),
        ("SV", struct.pack("<q", -(1 << 40)), (-(1 << 40),)),
        ("AT", struct.pack("<4H", 0x0018, 0x1063, 0x0020, 0x000D), (0x00181063, 0x0020000D)),
        ("OB", b"ab", (b"ab",)),
        ("PN", b"", ()),
    ],
)
def test_values_are_what_their_representation_says(vr: str, raw: bytes, values: tuple[object, ...]) -> None:
    assert decoded((vr, raw), ("iso8859",)) == values


def test_numbers_are_read_and_what_is_none_is_refused() -> None:
    header = of(
        PixelSpacing=("DS", b"0.8\\0.7 "), Rows=("US", b"\2\0"), Columns=("US", b""), InstanceNumber=("IS", b"x ")
    )
    assert header.numbers("PixelSpacing") == (0.8, 0.7)
    assert (header.integer("Rows"), header.integer("Columns", 7)) == (2, 7)
    with pytest.raises(ValueError, match="x"):
        header.integer("InstanceNumber")


def test_what_is_absent_is_empty_in_every_form() -> None:
    header = Header()
    assert not header.has("PatientName")
    assert (header.text("PatientName"), header.raw("PatientName"), header.vr("PatientName")) == ("", b"", "")
    assert header.sequence("ReferencedSeriesSequence") == ()
    assert header.first("ReferencedSeriesSequence").text("SeriesInstanceUID") == ""
    assert joined(("SQ", ()), ()) == ""


def test_a_header_is_written_sorted_even_and_as_the_standard_says() -> None:
    """PS3.5 7.1.2 and Table 7.5-1: reserved bytes before a length of 4 bytes, items with their length."""
    item = of(CodeValue=("SH", b"121"))
    header = of(Modality=("CS", b"CT"), SOPClassUID=("UI", b"1.2"), EncapsulatedDocument=("OB", b"abc"))
    header[tag_of("ConceptNameCodeSequence")] = "SQ", (item,)
    assert header.encoded() == (
        b"\x08\0\x16\0UI\x04\0" + b"1.2\0"
        b"\x08\0\x60\0CS\x02\0CT"
        b"\x40\0\x43\xa0SQ\0\0\x14\0\0\0" + b"\xfe\xff\0\xe0\x0c\0\0\0" + b"\x08\0\0\x01SH\x04\x00121 "
        b"\x42\0\x11\0OB\0\0\x04\0\0\0abc\0"
    )


def test_a_value_too_long_for_its_representation_is_written_as_unknown() -> None:
    assert of(ImageComments=("LT", b"x" * 70_000)).encoded()[4:12] == b"UN\0\0" + struct.pack("<I", 70_000)


def test_every_data_set_is_visited_once() -> None:
    inner, outer = of(CodeValue=("SH", b"1 ")), Header()
    outer[tag_of("ConceptNameCodeSequence")] = "SQ", (inner, Header())
    top = of(Modality=("CS", b"SR"))
    top[tag_of("ContentSequence")] = "SQ", (outer,)
    assert [len(one) for one in top.data_sets()] == [2, 1, 1, 0]


def test_keywords_and_tags_are_those_of_the_standard() -> None:
    assert tag_of("PatientName") == 0x00100010 == tag_of(0x00100010)
    assert (keyword_of(0x00100010), keyword_of(0x60023000), keyword_of(0x00091001)) == (
        "PatientName",
        "OverlayData",
        "",
    )
    with pytest.raises(KeyError):
        tag_of("NoSuchKeyword")
    with pytest.raises(UnicodeEncodeError):
        text_element("LO", "ä")
