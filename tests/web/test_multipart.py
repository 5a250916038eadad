from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapetum.errors import RefusedRequest
from tapetum.web.multipart import SPOOL_BYTES, Part, PartReader, parse_media_type

BOUNDARY = "frontier"


def body(*contents: bytes, head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"".join(b"--frontier\r\n" + head + b"\r\n" + each + b"\r\n" for each in contents) + b"--frontier--\r\n"


def read(data: bytes, *, size: int = 1 << 16, most_bytes: int = 1 << 30) -> list[bytes]:
    reader = PartReader(BOUNDARY, most_bytes=most_bytes)
    found = []
    for at in range(0, len(data), size):
        for part in reader.feed(data[at : at + size]):
            with part.open() as file:
                found.append(file.read())
            part.close()
    reader.finish()
    return found


# Contents that look like delimiters, or end like the begin of one.
NASTY = [b"", b"\r\n", b"\r\n--front", b"--frontier", b"\r\n--frontie\r\n--fronti", b"\r", b"a" * 50 + b"\r\n-", b"--"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 12, 13, 64, 1 << 16])
def test_parts_come_out_as_they_went_in_wherever_the_body_is_cut(size: int) -> None:
    assert read(body(*NASTY), size=size) == NASTY


@given(st.lists(st.binary(max_size=80).filter(lambda each: b"\r\n--frontier" not in each)), st.integers(1, 40))
def test_any_parts_come_out_as_they_went_in(contents: list[bytes], size: int) -> None:
    assert read(body(*contents), size=size) == contents


def test_what_stands_before_the_first_and_behind_the_last_boundary_is_passed_over() -> None:
    assert read(b"a preamble\r\n" + body(b"x") + b"an epilogue --frontier") == [b"x"]


def test_header_fields_are_read_without_regard_to_case() -> None:
    reader = PartReader(BOUNDARY, most_bytes=9)
    (part,) = reader.feed(body(b"x", head=b"CONTENT-type: a/b\r\nno field\r\n"))
    assert part.headers == {"content-type": "a/b"}


def test_a_boundary_line_may_be_padded() -> None:
    assert read(b"--frontier \t\r\n\r\nx\r\n--frontier--") == [b"x"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no boundary at all",
        b"--frontier\r\n\r\nno end",
        b"--frontier\r\nContent-Type: a/b",
        b"--frontier and more\r\n\r\nx\r\n--frontier--",
        b"--frontier" + b" " * 400,
        b"--frontier\r\n" + b"a: b\r\n" * 2000 + b"\r\nx\r\n--frontier--",
    ],
)
def test_a_broken_body_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedRequest) as caught:
        read(data)
    assert caught.value.code == "bad-request"
    assert caught.value.hint


@pytest.mark.parametrize("boundary", ["", "x" * 201, "ends with a space ", "line\r\nbreak", "ü"])
def test_a_boundary_that_cannot_be_one_is_refused(boundary: str) -> None:
    with pytest.raises(RefusedRequest, match="boundary"):
        PartReader(boundary, most_bytes=1)


@pytest.mark.parametrize("size", [1, 16, 1 << 16])
def test_a_part_that_is_too_large_is_refused_before_it_is_whole(size: int) -> None:
    with pytest.raises(RefusedRequest) as caught:
        read(body(b"x" * 101), size=size, most_bytes=100)
    assert caught.value.code == "too-large"
    assert read(body(b"x" * 100), size=size, most_bytes=100) == [b"x" * 100]


def test_a_large_part_lies_on_the_disk_and_reads_the_same_twice() -> None:
    part = Part({})
    content = bytes(range(256)) * (SPOOL_BYTES // 256 // 4)
    for _ in range(5):
        part.write(content)
    assert not part._chunks
    for _ in range(2):
        with part.open() as file:
            assert file.read() == content * 5
    part.close()


def test_a_reader_that_is_given_up_lets_go_of_its_part() -> None:
    reader = PartReader(BOUNDARY, most_bytes=1 << 30)
    assert not list(reader.feed(b"--frontier\r\n\r\n" + bytes(SPOOL_BYTES + 100)))
    reader.close()
    assert reader._part is not None
    assert reader._part._file is not None
    assert reader._part._file.closed


@pytest.mark.parametrize(
    ("value", "media", "parameters"),
    [
        ('multipart/related; type="application/dicom"; boundary=x', "multipart/related",
         {"type": "application/dicom", "boundary": "x"}),
        ("Application/DICOM", "application/dicom", {}),
        ('a/b; Boundary="with; semicolon"', "a/b", {"boundary": "with; semicolon"}),
        ("", "", {}),
    ],
)  # fmt: skip
def test_a_media_type_is_taken_apart(value: str, media: str, parameters: dict[str, str]) -> None:
    assert parse_media_type(value) == (media, parameters)


def test_parts_are_those_that_the_standard_library_finds() -> None:
    content = body(b"first", b"second")
    whole = message_from_bytes(f"Content-Type: multipart/related; boundary={BOUNDARY}\r\n\r\n".encode() + content)
    assert [part.get_payload(decode=True) for part in whole.walk() if not part.is_multipart()] == read(content)
