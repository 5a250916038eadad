from __future__ import annotations

import io
import struct

import pytest

from tapetum.formats.codec_words import words_in


def segment(kind: int, body: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


def words(stream: bytes) -> list[bytes]:
    """With other bytes before and behind, which must not be looked at."""
    return list(words_in(io.BytesIO(b"\xff" * 7 + stream + segment(0xFE, b"behind")), 7, 7 + len(stream)))


def test_comments_and_application_segments_of_a_jpeg_are_found_wherever_they_stand_before_the_scan() -> None:
    stream = b"\xff\xd8" + segment(0xDB, bytes(9000)) + segment(0xFE, b"Li") + b"\xff" + segment(0xE1, b"Exif Ann")
    assert words(stream + segment(0xDA, b"\0") + segment(0xFE, b"pixels")) == [b"Li", b"Exif Ann"]


def test_the_numbers_of_jfif_adobe_and_icc_are_no_words() -> None:
    plain = segment(0xE0, b"JFIF\0\1\2") + segment(0xEE, b"Adobe\0d") + segment(0xE2, b"ICC_PROFILE\0\1\1")
    assert words(b"\xff\xd8" + plain + b"\xff\xd9") == []
    assert words(b"\xff\xd8" + segment(0xEE, b"Jane") + b"\xff\xd9") == [b"Jane"]


def test_comments_of_a_jpeg_2000_are_found_in_its_main_header_and_in_every_tile_part() -> None:
    inner, pixels = segment(0x64, b"\0\1Jane"), b"\xff\x93" + b"\xff\x64" * 5
    size = 12 + len(inner) + len(pixels)
    part = segment(0x90, struct.pack(">HIBB", 0, size, 0, 1)) + inner + pixels
    stream = b"\xff\x4f" + segment(0x51, bytes(40)) + segment(0x64, b"\0\1Doe") + part + part + b"\xff\xd9"
    assert words(stream) == [b"\0\1Doe", b"\0\1Jane", b"\0\1Jane"]


def test_the_head_of_a_boxed_jpeg_2000_is_given_whole() -> None:
    stream = b"\0\0\0\x0cjP  \r\n\x87\n" + b"xml Jane"
    assert words(stream) == [stream]


@pytest.mark.parametrize(
    "stream", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xfe\0\0\0\0", b"\0\1\2\3Jane", b"\xff\xd8ab"]
)
def test_a_damaged_or_other_stream_ends_the_search(stream: bytes) -> None:
    assert not any(words(stream))
