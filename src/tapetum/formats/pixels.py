"""Pixel data of a DICOM object: encoded bytes -> stored values.

In: a pydicom dataset in any transfer syntax that images come in.  Out: stored values of all frames, colour as RGB.
Definitions: DICOM PS3.5 section 8 and Annex A.  Start reading at `decode`; `check_pixels` is what arrival asks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tapetum.errors import RejectedInput
from tapetum.formats.damage import parsing

__all__ = ["check_pixels", "decode"]

PREFIX = "1.2.840.10008.1.2"
FAMILIES = {
    "native": ("", ".1", ".1.99", ".2"),
    "rle": (".5",),
    "jpeg": (".4.50", ".4.51", ".4.57", ".4.70"),
    "jpegls": (".4.80", ".4.81"),
    "jpeg2k": (".4.90", ".4.91", ".4.201", ".4.202", ".4.203"),
    "jpegxl": (".4.110", ".4.111", ".4.112"),
    "deflate": (".8.1",),
}
FAMILY = {PREFIX + ending: family for family, endings in FAMILIES.items() for ending in endings}
NEEDED = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
ITEM = b"\xfe\xff\x00\xe0"  # item tag (FFFE,E000): encapsulated pixel data is a sequence of items (PS3.5 A.4)
JP2 = b"\x00\x00\x00\x0cjP  "
JPEG_LS_FRAME = b"\xff\xf7"  # SOF55, ISO 14495-1 C.1.1
ADOBE = b"\xff\xee\x00\x0eAdobe"  # APP14 of full length; libjpeg passes over shorter ones
JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")  # ISO 18181-1 codestream, ISO 18181-2 container
END_OF_IMAGE = b"\xff\xd9"
ENDED = frozenset({"jpeg", "jpegls", "jpeg2k"})  # families whose streams close with END_OF_IMAGE


def check_pixels(dataset: Dataset) -> None:
    """Whether pixel data is there, complete, and in the encoding that the header names. Decodes nothing.

    Native pixels are judged by their length. Encapsulated ones by the number of fragments, by the first bytes of the
    first fragment, and by the end marker of the last, which entropy-coded data cannot hold by chance. The processes of
    JPEG (8 bit, 12 bit, lossless) are one encoding here, because the stream itself says which one it is.

    Raises
    ------
    RejectedInput : missing-pixel-data, missing-attribute, unreadable, wrong-transfer-syntax, truncated, unsupported.
    """
    with parsing("the description of the pixels"):
        _check(dataset)


def decode(dataset: Dataset, *, palette: bool = True) -> NDArray[Any]:
    """Decode the stored values of all frames.

    YBR and PALETTE COLOR become RGB, whatever the planar configuration. Bits above High Bit, where old overlays lie,
    are taken away. No rescale, no look-up table for grey values.

    Parameters
    ----------
    dataset : an image object with its pixel data; not modified.
    palette : whether the numbers of PALETTE COLOR become colours; in a label map they are segments.

    Returns
    -------
    (frames, y, x) for grey values, (frames, y, x, 3) for colour, in the byte order of this machine; the integer type
    is the smallest that the header allows, float for Float Pixel Data.

    Raises
    ------
    RejectedInput : as `check_pixels`; also when the stream cannot be decoded or has another size than the header says.
    """
    check_pixels(dataset)
    family = FAMILY[_syntax(dataset)]
    with parsing("the pixel data"):
        array = _decode_native(dataset) if family == "native" else _decode_streams(dataset, family)
        if palette and dataset.PhotometricInterpretation == "PALETTE COLOR":
            return _to_bytes(np.asarray(apply_color_lut(array, dataset))[..., :3])
        return array


def _check(dataset: Dataset) -> None:
    keyword = next((name for name in PIXELS if dataset.get(name)), None)
    if keyword is None:
        raise RejectedInput("missing-pixel-data")
    missing = [name for name in NEEDED if dataset.get(name) is None]
    if missing:
        raise RejectedInput("missing-attribute", keywords=" ".join(missing))
    if min(dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, _frames(dataset)) < 1:
        raise RejectedInput("unreadable", "an image without pixels", rows=dataset.Rows, columns=dataset.Columns)
    syntax = _syntax(dataset)
    data = dataset[keyword].value
    match FAMILY.get(syntax):
        case None:
            raise RejectedInput("unsupported", transfer_syntax_uid=syntax)
        case "native":
            _check_native(dataset, data, syntax)
        case str() as family:
            _check_encapsulated(dataset, data, syntax, family)


def _syntax(dataset: Dataset) -> UID:
    named = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if named is not None:
        return UID(named)
    implicit, little = dataset.original_encoding
    if little is False:
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if implicit is False else ImplicitVRLittleEndian


def _frames(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _native_bytes(dataset: Dataset) -> int:
    values = dataset.Rows * dataset.Columns * _frames(dataset) * dataset.SamplesPerPixel
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        values = values * 2 // 3  # PS3.3 C.7.6.3.1.2: one pair of chroma samples for two pixels
    return int(-(-values * dataset.BitsAllocated // 8))


def _check_native(dataset: Dataset, data: bytes, syntax: UID) -> None:
    expected = _native_bytes(dataset)
    if len(data) in {expected, expected + expected % 2}:
        return
    if data[:4] == ITEM or _stream_family(bytes(data[:4096])) != "":
        raise RejectedInput("wrong-transfer-syntax", "compressed bytes where native ones are named", named=syntax)
    if len(data) < expected:
        raise RejectedInput("truncated", "pixel data is too short", bytes=len(data), expected=expected)


def _check_encapsulated(dataset: Dataset, data: bytes, syntax: UID, family: str) -> None:
    if data[:4] != ITEM:
        raise RejectedInput("wrong-transfer-syntax", "native bytes where compressed ones are named", named=syntax)
    try:
        fragments = list(generate_fragments(data))[1:] or [b""]  # the first item is the offset table
    except (ValueError, EOFError) as error:
        raise RejectedInput("truncated", "the fragments of the pixel data do not fit their lengths") from error
    if len(fragments) < _frames(dataset) or not fragments[-1]:
        raise RejectedInput("truncated", fragments=len(fragments), frames=_frames(dataset))
    found = _stream_family(fragments[0])
    if family not in (found, "deflate"):  # deflated bytes begin as they like
        raise RejectedInput("wrong-transfer-syntax", named=syntax, found=found or "unknown")
    if family in ENDED and END_OF_IMAGE not in fragments[-1]:
        raise RejectedInput("truncated", "the last frame has no end")


def _stream_family(start: bytes) -> str:
    """Which codec wrote the stream, judged by its first bytes; empty when none that we know."""
    if start[:2] == b"\xff\xd8":
        return "jpegls" if JPEG_LS_FRAME in start[:512] else "jpeg"
    if start[:4] == b"\xff\x4f\xff\x51" or start[:8] == JP2:
        return "jpeg2k"
    if start.startswith(JPEG_XL):
        return "jpegxl"
    segments = int.from_bytes(start[:4], "little")
    # PS3.5 G.5: the RLE header is 64 bytes: the number of segments, then the offset of each, the first being 64.
    if 1 <= segments <= 15 and start[4:8] == b"\x40\0\0\0":
        return "rle"
    return ""


def _decode_native(dataset: Dataset) -> NDArray[Any]:
    # Padding after the last pixel is legal and harmless; shortage was refused before.
    decoder = get_decoder(_syntax(dataset))
    array, _ = decoder.as_array(dataset, correct_unused_bits=False)  # type: ignore[arg-type] # pydicom annotates **kwargs
    samples = (3,) if dataset.SamplesPerPixel == 3 else ()
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return _stored_bits(array.reshape(_frames(dataset), dataset.Rows, dataset.Columns, *samples), dataset)


def _decode_streams(dataset: Dataset, family: str) -> NDArray[Any]:
    frames = [_decode_stream(stream, dataset, family) for stream in _streams(dataset)]
    if len(frames) != _frames(dataset):
        raise RejectedInput("truncated", frames=len(frames), expected=_frames(dataset))
    return np.stack(frames)


def _streams(dataset: Dataset) -> Iterator[bytes]:
    """The bytes of each frame, by the extended offset table, else the basic one, else the ends of the streams."""
    extended = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    return generate_frames(
        dataset.PixelData,
        number_of_frames=_frames(dataset),
        extended_offsets=(extended[0], extended[1]) if extended[0] and extended[1] else None,
    )


def _decode_stream(stream: bytes, dataset: Dataset, family: str) -> NDArray[Any]:
    if family in ENDED and END_OF_IMAGE not in stream:
        # libjpeg would paint the missing part grey and say nothing.
        raise RejectedInput("truncated", "a frame has no end")
    if family in {"rle", "deflate"}:
        return _decode_planes(stream, dataset, family)
    colour = dataset.PhotometricInterpretation
    if family == "jpeg":
        array = _decode_jpeg(stream, colour if dataset.SamplesPerPixel == 3 else "")
    else:
        array = np.asarray(CODECS[family](stream))
    if array.shape[:2] != (dataset.Rows, dataset.Columns):
        raise RejectedInput("unreadable", "the stream has another size than the header says", found=array.shape[:2])
    if colour == "YBR_FULL" and family != "jpeg":
        array = convert_color_space(array, "YBR_FULL", "RGB")
    bits = int(get_j2k_parameters(stream).get("precision", 0)) if family == "jpeg2k" else 0
    return _signed(array, bits or int(dataset.BitsStored)) if dataset.get("PixelRepresentation") == 1 else array


CODECS = {
    "jpegls": imagecodecs.jpegls_decode,
    "jpeg2k": imagecodecs.jpeg2k_decode,
    "jpegxl": imagecodecs.jpegxl_decode,
}


def _decode_planes(stream: bytes, dataset: Dataset, family: str) -> NDArray[Any]:
    """One frame of a codec that knows bytes only: how they are to be read stands in the header."""
    bits, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
    if bits == 1:
        return _decode_bits(stream, dataset, family)
    kind = np.dtype(f"{'i' if dataset.get('PixelRepresentation') else 'u'}{bits // 8}").newbyteorder("<")
    values = dataset.Rows * dataset.Columns * samples
    if family == "rle":
        data = imagecodecs.dicomrle_decode(stream, kind)
    else:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, values * kind.itemsize)
    if len(data) < values * kind.itemsize:
        raise RejectedInput("truncated", "a frame is too short", bytes=len(data))
    array = np.frombuffer(data, kind, values).astype(kind.newbyteorder("="))
    if samples == 1:
        return _stored_bits(array.reshape(dataset.Rows, dataset.Columns), dataset)
    # PS3.5 G.2: RLE keeps the samples of a colour image apart, whatever the planar configuration says.
    apart = family == "rle" or dataset.get("PlanarConfiguration") == 1
    array = array.reshape(samples, dataset.Rows, dataset.Columns).transpose(1, 2, 0) if apart else array
    array = np.ascontiguousarray(array.reshape(dataset.Rows, dataset.Columns, samples))
    return convert_color_space(array, "YBR_FULL", "RGB") if _is_ybr(dataset) else array


def _is_ybr(dataset: Dataset) -> bool:
    return str(dataset.PhotometricInterpretation) == "YBR_FULL"


def _decode_bits(stream: bytes, dataset: Dataset, family: str) -> NDArray[np.uint8]:
    """One frame of single bits, the first pixel in the lowest bit (PS3.5 8.1.1)."""
    pixels = dataset.Rows * dataset.Columns
    if family == "rle":
        data = bytes(imagecodecs.dicomrle_decode(stream, np.dtype(np.uint8)))
    else:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, -(-pixels // 8) + 1)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if len(bits) < pixels:
        raise RejectedInput("truncated", "a frame is too short", bytes=len(data))
    return bits[:pixels].reshape(dataset.Rows, dataset.Columns)


def _stored_bits(array: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Values within their bits: what lies below or above them (an overlay, PS3.5 8.1.1) is no part of the value."""
    allocated = int(dataset.BitsAllocated)
    stored = int(dataset.get("BitsStored") or allocated)
    high = int(dataset.get("HighBit", stored - 1))
    if array.dtype.kind not in "iu" or allocated == 1 or not stored <= high + 1 <= allocated or stored == allocated:
        return array
    return (array << (allocated - 1 - high)) >> (allocated - stored)


def _decode_jpeg(stream: bytes, colour: str) -> NDArray[Any]:
    if not colour or b"JFIF\0" in stream[:64] or ADOBE in stream[:4096]:
        return np.asarray(imagecodecs.jpeg8_decode(stream))  # these markers say what the components are
    space = "RGB" if colour == "RGB" else "YCBCR"
    return np.asarray(imagecodecs.jpeg8_decode(stream, colorspace=space, outcolorspace="RGB"))


def _to_bytes(colour: NDArray[Any]) -> NDArray[np.uint8]:
    """Palette entries as 8 bits. Writers that leave the upper byte of 16-bit entries empty mean 8 bits already."""
    return (colour >> 8 if colour.max() > 255 else colour).astype(np.uint8)


def _signed(array: NDArray[Any], bits: int) -> NDArray[Any]:
    """Read the lowest ``bits`` of unsigned values as two's complement."""
    if array.dtype.kind == "i":
        return array
    shift = 8 * array.dtype.itemsize - bits
    return (array << shift).view(f"i{array.dtype.itemsize}") >> shift
