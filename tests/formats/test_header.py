from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tapetum.errors import RejectedInput
from tapetum.formats import header as module
from tapetum.formats.elements import Header, tag_of
from tapetum.formats.header import Odd, walk, walk_bytes
from tapetum.testing import dicom_series, enhanced, to_bytes


def written(dataset: Dataset, *, implicit: bool = False) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, implicit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # drawn values break the rules of their representations
        write_dataset(out, dataset)
    return out.getvalue()


def undefined(dataset: Dataset) -> Dataset:
    """The same with sequences and items whose end is marked and not told."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                undefined(item)
    return dataset


LETTERS = st.text(st.characters(codec="latin-1", exclude_characters="\\\0^= ", categories=("L", "N")), max_size=9)
WHOLE, REAL = st.integers(-(1 << 15), (1 << 15) - 1), st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
DRAWN: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "SeriesDescription": ("LO", st.lists(LETTERS, min_size=1, max_size=3)),
    "Modality": ("CS", LETTERS),
    "StudyDate": ("DA", st.dates().map(lambda day: f"{day:%Y%m%d}".rjust(8, "0"))),
    "PatientName": ("PN", LETTERS),
    "PixelSpacing": ("DS", st.lists(REAL.map(str), min_size=2, max_size=2)),
    "InstanceNumber": ("IS", WHOLE.map(str)),
    "SOPInstanceUID": ("UI", st.from_regex(r"1(\.[1-9][0-9]{0,5}){1,8}", fullmatch=True)),
    "Rows": ("US", st.integers(0, 65535)),
    "ReferencePixelX0": ("SL", WHOLE),
    "DiffusionBValue": ("FD", REAL),
    "SimpleFrameList": ("UL", st.lists(st.integers(0, 1 << 31), min_size=2, max_size=4)),
    "FrameIncrementPointer": ("AT", st.just(0x00181063)),
    "PatientComments": ("LT", LETTERS),
    "TextValue": ("UT", LETTERS),
    "EncapsulatedDocument": ("OB", st.binary(max_size=9).filter(lambda data: len(data) % 2 == 0)),
    "RedPaletteColorLookupTableData": ("OW", st.binary(max_size=8).filter(lambda data: len(data) % 2 == 0)),
}
FLAT = st.dictionaries(st.sampled_from(sorted(DRAWN)), st.just(None), max_size=8).flatmap(
    lambda names: st.fixed_dictionaries({name: DRAWN[name][1] for name in names})
)
TREES = st.recursive(
    FLAT, lambda inner: st.tuples(FLAT, st.lists(inner, max_size=3)).map(lambda pair: {**pair[0], "": pair[1]})
)


def built(tree: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    for keyword, value in tree.items():
        if keyword:
            dataset.add_new(tag_of(keyword), DRAWN[keyword][0], value)
        else:
            dataset.ReferencedSeriesSequence = [built(item) for item in value]
    return dataset


@settings(max_examples=150, deadline=None)
@given(TREES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_any_header_that_pydicom_writes_comes_back_the_same_from_every_encoding(tree: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = built(tree)
        plain, implicit = written(dataset), written(dataset, implicit=True)
        marked, implicit_marked = written(undefined(dataset)), written(dataset, implicit=True)
    assert walk_bytes(plain).encoded() == plain
    assert walk_bytes(marked).encoded() == plain
    assert walk_bytes(implicit, implicit=True).encoded() == plain
    assert walk_bytes(implicit_marked, implicit=True).encoded() == plain


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_a_header_or_odd(data: bytes, implicit: bool) -> None:
    try:
        assert isinstance(walk_bytes(data, implicit=implicit), Header)
    except (Odd, RejectedInput):
        return


def test_the_walk_stops_at_the_pixels_and_reads_no_more_of_the_file_than_it_needs() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    data = to_bytes(dicom_series(slices=1, rows=512, columns=512)[0])
    file = Counted(data)
    found = walk(file)
    assert data[found.start : found.start + 4] == b"\xe0\x7f\x10\0"
    assert file.taken <= 1 << 16
    assert found.header.text("PatientName") == "Doe^Jane"
    assert found.meta.text("TransferSyntaxUID") == "1.2.840.10008.1.2.1"


def test_a_long_header_is_read_in_larger_and_larger_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_bytes(enhanced(dicom_series(slices=40, rows=4, columns=4)))
    whole = walk(io.BytesIO(data))
    monkeypatch.setattr(module, "FIRST_BYTES", 200)
    assert walk(io.BytesIO(data)) == whole
    assert len(whole.header.sequence("PerFrameFunctionalGroupsSequence")) == 40
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(RejectedInput) as caught:
        walk(io.BytesIO(data))
    assert caught.value.code == "archive-bomb"


def test_sequences_nested_without_end_are_refused() -> None:
    deep = b""
    for _ in range(200):
        item = b"\xfe\xff\0\xe0" + struct.pack("<I", len(deep)) + deep
        deep = b"\x40\0\x30\xa7SQ\0\0" + struct.pack("<I", len(item)) + item
    with pytest.raises(RejectedInput) as caught:
        walk_bytes(deep)
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\0\x60\0xx\x02\0CT",  # no value representation
        b"\x28\0\x10\0US\x03\0abc",  # three bytes are no numbers of two
        b"\x08\0\x60\0CS\x04\0CT",  # too short
        b"\x40\0\x30\xa7SQ\0\0\x0a\0\0\0\xfe\xff\0\xe0\x04\0\0\0ab",  # an item longer than its sequence
        b"\x40\0\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0",  # a sequence without its end
        b"\x08\0\x60\0CS\x02\0CTabc",  # a rest that is no element
    ],
)
def test_what_is_not_as_the_standard_says_is_odd(data: bytes) -> None:
    with pytest.raises(Odd):
        walk_bytes(data)


def test_padding_behind_the_last_element_is_no_element() -> None:
    assert walk_bytes(b"\x08\0\x60\0CS\x02\0CT" + bytes(4)).text("Modality") == "CT"


def test_the_sign_of_pixels_decides_what_values_without_representation_are() -> None:
    """PS3.5 A.1 and PS3.6: Smallest Image Pixel Value (0028,0106) is US or SS."""
    low = b"\x28\0\x06\x01\x02\0\0\0\xff\xff"
    for signed, value in ((0, 65535), (1, -1)):
        data = b"\x28\0\x03\x01\x02\0\0\0" + struct.pack("<H", signed) + low
        assert walk_bytes(data, implicit=True).values_of(0x00280106) == (value,)


def test_private_elements_without_representation_are_read_as_their_maker_says() -> None:
    creator = b"\x19\0\x10\0\x12\0\0\0SIEMENS MR HEADER "
    b_value = b"\x19\0\x0c\x10\x04\0\0\x001000"
    unknown = b"\x19\0\xfe\x10\x02\0\0\0ab"
    found = walk_bytes(creator + b_value + unknown, implicit=True)
    assert [found[tag][0] for tag in sorted(found)] == ["LO", "IS", "UN"]


def test_an_element_that_was_sent_as_unknown_is_what_the_standard_says() -> None:
    found = walk_bytes(b"\x10\0\x10\0UN\0\0\x08\0\0\0Doe^Jane" + b"\x28\0\x10\0UN\0\0\x03\0\0\0abc")
    assert found[tag_of("PatientName")] == ("PN", b"Doe^Jane")
    assert found[tag_of("Rows")] == ("UN", b"abc")
