"""Words in compressed pixels: the comments and application segments of JPEG and JPEG 2000 code streams.

In: a span of a file that holds one code stream.  Out: the bodies in which a codec or a person can have written text.
Definitions: ISO 10918-1 Annex B (JPEG), ISO 14495-1 (JPEG-LS, same segments), ISO 15444-1 Annex A (JPEG 2000).
Pixels are passed over, never read. Start at `words_in`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["words_in"]

JPEG, JPEG_2000, BOXED = b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0cjP"
BOXED_HEAD_BYTES = 4096
ALONE = frozenset({0x01, 0x4F, *range(0xD0, 0xD9)})  # markers without a body
START_OF_SCAN, END = 0xDA, 0xD9
START_OF_TILE_PART, START_OF_TILE_DATA, COMMENT_2000 = 0x90, 0x93, 0x64
COMMENT, APPLICATION = 0xFE, range(0xE0, 0xF0)
# Application segments that hold numbers of the codec only.
PLAIN = ((0xE0, b"JFIF\0"), (0xEE, b"Adobe"), (0xE2, b"ICC_PROFILE\0"))


def words_in(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bodies of comments, and of application segments other than JFIF, Adobe and ICC, in file[start:stop].

    A JPEG is read until its first scan, a JPEG 2000 in its main header and those of its tile parts, and of one in a box
    file the first 4 KiB are given whole. Anything else has no words. At most 64 KiB are held.
    """
    file.seek(start)
    magic = file.read(min(len(BOXED), stop - start))
    file.seek(start)
    if magic == BOXED:
        yield file.read(min(BOXED_HEAD_BYTES, stop - start))
    elif magic.startswith(JPEG_2000):
        yield from (body for kind, body in _segments(file, stop) if kind == COMMENT_2000)
    elif magic.startswith(JPEG):
        yield from (body for kind, body in _segments(file, stop) if _can_tell(kind, body))


def _can_tell(kind: int, body: bytes) -> bool:
    if kind == COMMENT:
        return True
    return kind in APPLICATION and not any(kind == plain and body.startswith(name) for plain, name in PLAIN)


def _segments(file: BinaryIO, stop: int) -> Iterator[tuple[int, bytes]]:
    """Each marker with its body, until the pixels or the first byte that is no marker."""
    next_part = at = file.tell()
    while at + 4 <= stop:
        file.seek(at)
        mark, kind = file.read(2)
        if mark != 0xFF or kind in (START_OF_SCAN, END):
            return
        if kind == 0xFF:  # a fill byte
            at += 1
        elif kind in ALONE:
            at += 2
        elif kind == START_OF_TILE_DATA:
            if next_part <= at:
                return
            at = next_part
        else:
            length = max(2, int.from_bytes(file.read(2), "big"))
            body = file.read(min(length - 2, stop - at - 4))
            if kind == START_OF_TILE_PART:
                next_part = at + int.from_bytes(body[2:6], "big")
            yield kind, body
            at += 2 + length
