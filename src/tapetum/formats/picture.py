"""Pictures (PNG, JPEG, TIFF, BMP): bytes <-> pixels, and the same picture without a word in it.

In: one file.  Out: grey (y, x) or RGB (y, x, 3); or a clean PNG or JPEG.  Definitions: PNG (ISO 15948), JPEG (ITU-T
T.81), Exif 2.3 for the orientation.  A picture's size is judged by its header, before anything unfolds.
Start reading at `read`.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from tapetum.errors import RejectedInput

__all__ = ["clean", "read"]

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"bKGD"}
JPEG_START = b"\xff\xd8"
APP0, APP2, APP14, COMMENT, START_OF_SCAN, END = 0xE0, 0xE2, 0xEE, 0xFE, 0xDA, 0xD9
GREY_16 = {"I;16", "I;16B", "I;16L", "I;16N"}
ORIENTATION = 0x0112
LARGEST_FILE_PIXELS = 1 << 40


def read(file: BinaryIO) -> NDArray[Any]:
    """Read one picture.

    Parameters
    ----------
    file : a seekable binary file, read from its beginning.

    Returns
    -------
    (y, x) for grey, (y, x, 3) RGB for colour, upright as its Exif orientation says; uint8, or uint16 when the file has
    16 bits. Transparency is dropped, palettes and CMYK become RGB.

    Raises
    ------
    RejectedInput : truncated, unreadable, unsupported, picture-bomb (more pixels than Pillow's own limit).
    """
    file.seek(0)
    data = file.read()
    return _decode(data, _open(data, LARGEST_FILE_PIXELS))[0]


def clean(file: BinaryIO, out: BinaryIO, *, max_pixels: int) -> str:
    """Write the same picture without metadata.

    JPEG loses its comments and application segments (but JFIF, ICC profile and Adobe's colour transform), thumbnails
    and whatever follows its end; PNG all ancillary chunks but those that say how to show the colours. Both byte for
    byte, no pixel changes. A JPEG or PNG that its Exif orientation turns, TIFF and BMP are written anew as PNG.
    Equal pictures give equal bytes.

    Parameters
    ----------
    file : as for `read`.
    out : the clean file is written there.
    max_pixels : a picture with more, by its header, is refused before it is decoded.

    Returns
    -------
    The sha256 hex of the upright pixels: their shape, type and values. It is the same for the same pixels in PNG, TIFF
    or BMP, however compressed, and for grey that is stored as colour.

    Raises
    ------
    RejectedInput : truncated, unreadable, unsupported (several pages), picture-bomb.
    """
    file.seek(0)
    data = file.read()
    picture = _open(data, max_pixels)
    pixels, turned = _decode(data, picture)
    if picture.format in {"JPEG", "MPO"} and not turned:
        out.writelines(_jpeg_segments(data))
    elif picture.format == "PNG" and not turned:
        out.writelines(_png_chunks(data))
    else:
        out.write(imagecodecs.png_encode(pixels))
    return _digest(pixels)


def _digest(pixels: NDArray[Any]) -> str:
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]  # a palette or RGB of equal parts shows the same grey
    stored = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{stored.shape} {pixels.dtype.name}".encode())
    digest.update(stored.data)
    return digest.hexdigest()


def _open(data: bytes, max_pixels: int) -> Pillow.Image:
    try:
        with warnings.catch_warnings():
            # Our own limit decides; Pillow's warning at half of its limit would only repeat it.
            warnings.simplefilter("ignore")
            picture = Pillow.open(BytesIO(data), formats=FORMATS)
            pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
    except Pillow.DecompressionBombError as error:
        raise RejectedInput("picture-bomb") from error
    except (UnidentifiedImageError, OSError, ValueError, TypeError, KeyError, SyntaxError, struct.error) as error:
        raise RejectedInput("unreadable", kind=type(error).__name__) from error
    width, height = picture.size
    if width * height > max_pixels:
        raise RejectedInput("picture-bomb", width=width, height=height, max_pixels=max_pixels)
    if pages > 1:
        raise RejectedInput("unsupported", "a TIFF of several pages; send each page as a picture")
    return picture


def _decode(data: bytes, picture: Pillow.Image) -> tuple[NDArray[Any], bool]:
    """The upright pixels, and whether the picture had to be turned."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if picture.format == "PNG":
                list(_png_chunks(data))
            picture.load()
            turned = picture.getexif().get(ORIENTATION, 1) not in {0, 1}
            upright = ImageOps.exif_transpose(picture) if turned else picture
            return _array(data, upright, turned=turned), turned
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error, zlib.error, RuntimeError) as error:
        code = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise RejectedInput(code, kind=type(error).__name__) from error


def _array(data: bytes, upright: Pillow.Image, *, turned: bool) -> NDArray[Any]:
    # Pillow reduces colour of 16 bits to 8; libpng keeps it. Byte 24 of a PNG is its bit depth, 25 its colour type.
    if data.startswith(PNG_START) and data[24] == 16 and data[25] in {2, 6} and not turned:
        return np.ascontiguousarray(imagecodecs.png_decode(data)[..., :3])
    if upright.mode in GREY_16:
        return np.asarray(upright).astype(np.uint16)
    if upright.mode == "I":
        wide = np.asarray(upright)
        if wide.min() < 0 or wide.max() > 65535:
            raise RejectedInput("unsupported", "grey values of more than 16 bits")
        return wide.astype(np.uint16)
    if upright.mode == "F":
        raise RejectedInput("unsupported", "a picture of floating-point values; send it as NIfTI or NRRD")
    return np.asarray(upright.convert("L" if upright.mode in {"1", "L", "LA"} else "RGB"))


def _png_chunks(data: bytes) -> Iterator[bytes]:
    """The signature and the chunks worth keeping, up to IEND, with every checksum verified."""
    yield PNG_START
    at = len(PNG_START)
    while True:
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        check = data[at + 8 + length : at + 12 + length]
        if len(check) < 4:
            raise RejectedInput("truncated", "the picture has no end")
        if zlib.crc32(kind + body).to_bytes(4, "big") != check:
            raise RejectedInput("unreadable", "a checksum of the picture is wrong")
        if kind == b"iCCP":
            yield _png_chunk(kind, b"icc\0" + body.partition(b"\0")[2])  # the profile's name is free text
        elif kind in PNG_KEPT or kind[:1].isupper():
            yield data[at : at + 12 + length]
        if kind == b"IEND":
            return
        at += 12 + length


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    """The segments worth keeping and the scans, up to the end marker (ITU-T T.81 B.1.1)."""
    yield JPEG_START
    at = 2
    while True:
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] == b"\xff":
            at += 1  # fill bytes
        if len(data) < at + 2:
            raise RejectedInput("truncated", "the picture has no end")
        if data[at] != 0xFF:
            raise RejectedInput("unreadable", "bytes between the segments of the picture")
        marker = data[at + 1]
        if marker == END:
            yield data[at : at + 2]
            return
        after = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : after]
        if marker == START_OF_SCAN:
            after = _end_of_scan(data, after)
            yield data[at:after]
        elif marker == APP0 and body[:5] == b"JFIF\0":
            yield b"\xff\xe0\x00\x10" + body[:12] + b"\0\0"  # without the thumbnail
        elif _is_needed(marker, body):
            yield data[at:after]
        at = after


def _is_needed(marker: int, body: bytes) -> bool:
    if marker == APP2:
        return body[:12] == b"ICC_PROFILE\0"
    if marker == APP14:
        return body[:5] == b"Adobe"
    return not (APP0 <= marker <= APP0 + 15 or marker == COMMENT)


def _end_of_scan(data: bytes, at: int) -> int:
    """Where the next marker stands that is neither a stuffed zero nor a restart (T.81 B.1.1.5, E.1.4)."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise RejectedInput("truncated", "the picture has no end")
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7 and data[at + 1] != 0xFF:
            return at
        at += 1 if data[at + 1] == 0xFF else 2
