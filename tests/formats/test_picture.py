import zlib
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from tapetum.errors import RejectedInput
from tapetum.formats import picture

COLOUR = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
ENOUGH = 10_000


def encoded(kind: str, *, mode: str = "RGB", **options: object) -> bytes:
    file = BytesIO()
    Pillow.fromarray(COLOUR).convert(mode).save(file, kind, **options)
    return file.getvalue()


def clean(data: bytes, max_pixels: int = ENOUGH) -> bytes:
    out = BytesIO()
    picture.clean(BytesIO(data), out, max_pixels=max_pixels)
    return out.getvalue()


def digest(data: bytes) -> str:
    return picture.clean(BytesIO(data), BytesIO(), max_pixels=ENOUGH)


def exif(orientation: int = 1) -> Pillow.Exif:
    tags = Pillow.Exif()
    tags[0x0112], tags[0x010E] = orientation, "Jane Doe"
    return tags


def text_chunk() -> PngInfo:
    info = PngInfo()
    info.add_text("Comment", "Jane Doe")
    return info


WITH_NAMES = {
    "png": lambda: encoded("PNG", pnginfo=text_chunk()),
    "jpeg": lambda: encoded("JPEG", exif=exif(), comment=b"Jane Doe") + b"Jane Doe",
    "progressive jpeg": lambda: encoded("JPEG", exif=exif(), progressive=True),
    "jpeg with restarts": lambda: encoded("JPEG", exif=exif(), restart_marker_rows=1),
    "turned jpeg": lambda: encoded("JPEG", exif=exif(6)),
    "tiff": lambda: encoded("TIFF", description="Jane Doe"),
}


@pytest.mark.parametrize("kind", WITH_NAMES)
def test_cleaning_takes_the_name_and_leaves_every_pixel(kind: str) -> None:
    data = WITH_NAMES[kind]()
    assert b"Jane" in data
    cleaned = clean(data)
    assert b"Jane" not in cleaned
    assert np.array_equal(picture.read(BytesIO(data)), picture.read(BytesIO(cleaned)))
    assert clean(cleaned) == cleaned


def test_jpeg_keeps_its_compressed_bytes() -> None:
    data = encoded("JPEG", exif=exif())
    scan = data[data.index(b"\xff\xda") :]
    assert clean(data).endswith(scan)


def test_jpeg_keeps_its_colour_profile_and_adobe_transform() -> None:
    profile = b"a colour profile" * 9
    assert b"ICC_PROFILE" in clean(encoded("JPEG", icc_profile=profile))
    assert b"Adobe" in clean(encoded("JPEG", mode="CMYK"))


def test_name_of_a_png_colour_profile_is_dropped() -> None:
    plain = encoded("PNG")
    body = b"Jane Doe\0\0" + zlib.compress(b"profile")
    cleaned = clean(plain[:33] + chunk(b"iCCP", body) + plain[33:])
    assert b"iCCP" in cleaned
    assert b"Jane" not in cleaned


def test_turned_photograph_is_read_upright() -> None:
    assert picture.read(BytesIO(encoded("JPEG", exif=exif(6)))).shape == (60, 40, 3)


@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
def test_tiff_and_bmp_become_png(kind: str) -> None:
    cleaned = clean(encoded(kind))
    assert cleaned.startswith(b"\x89PNG")
    assert np.array_equal(picture.read(BytesIO(cleaned)), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_stays_sixteen_bit(kind: str) -> None:
    grey = COLOUR[..., 0].astype(np.uint16) * 257
    file = BytesIO()
    Pillow.fromarray(grey).save(file, kind)
    assert np.array_equal(picture.read(file), grey)
    assert np.array_equal(picture.read(BytesIO(clean(file.getvalue()))), grey)


def test_sixteen_bit_colour_stays_sixteen_bit() -> None:
    deep = COLOUR.astype(np.uint16) * 257
    assert np.array_equal(picture.read(BytesIO(bytes(imagecodecs.png_encode(deep)))), deep)


@pytest.mark.parametrize(
    ("mode", "shape"), [("1", (40, 60)), ("L", (40, 60)), ("P", (40, 60, 3)), ("RGBA", (40, 60, 3))]
)
def test_every_kind_of_png_is_grey_or_rgb(mode: str, shape: tuple[int, ...]) -> None:
    found = picture.read(BytesIO(encoded("PNG", mode=mode)))
    assert (found.shape, found.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_cut_picture_is_truncated(kind: str, part: float) -> None:
    data = encoded(kind)
    with pytest.raises(RejectedInput) as caught:
        clean(data[: int(len(data) * part)])
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_overwritten_picture_is_unreadable(kind: str) -> None:
    data = bytearray(encoded(kind))
    data[50:110] = bytes(60)
    with pytest.raises(RejectedInput) as caught:
        picture.read(BytesIO(bytes(data)))
    assert caught.value.code == "unreadable"


def test_text_is_not_a_picture() -> None:
    with pytest.raises(RejectedInput) as caught:
        picture.read(BytesIO(b"Dear colleague"))
    assert caught.value.code == "unreadable"


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_picture_bomb_is_refused_by_its_header_alone(side: int) -> None:
    # The header promises a picture that is not there: whoever decoded first would say truncated.
    header = chunk(b"IHDR", side.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
    with pytest.raises(RejectedInput) as caught:
        clean(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"x"), 100_000_000)
    assert caught.value.code == "picture-bomb"


def test_limit_is_in_pixels_and_includes_itself() -> None:
    clean(encoded("PNG"), 2400)
    with pytest.raises(RejectedInput) as caught:
        clean(encoded("PNG"), 2399)
    assert caught.value.code == "picture-bomb"


def test_tiff_of_several_pages_is_unsupported() -> None:
    pages = [Pillow.fromarray(COLOUR)] * 2
    file = BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(RejectedInput) as caught:
        clean(file.getvalue())
    assert caught.value.code == "unsupported"


def test_floating_point_tiff_is_unsupported() -> None:
    file = BytesIO()
    Pillow.fromarray(COLOUR[..., 0].astype(np.float32)).save(file, "TIFF")
    with pytest.raises(RejectedInput) as caught:
        picture.read(file)
    assert caught.value.code == "unsupported"


def test_the_same_pixels_are_one_image_in_every_encoding_without_loss() -> None:
    encodings = [encoded("PNG"), encoded("PNG", compress_level=0), encoded("TIFF"), encoded("BMP")]
    encodings += [encoded("TIFF", compression="tiff_lzw"), encoded("PNG", pnginfo=text_chunk())]
    assert len(set(encodings)) == len(encodings)
    assert len({digest(data) for data in encodings}) == 1


def test_a_jpeg_and_its_pixels_written_as_png_are_one_image() -> None:
    photograph = encoded("JPEG", exif=exif(6))
    assert digest(photograph) == digest(bytes(imagecodecs.png_encode(picture.read(BytesIO(photograph)))))


def test_grey_is_one_image_in_grey_and_in_colour() -> None:
    out = BytesIO()
    Pillow.fromarray(COLOUR).convert("L").convert("RGB").save(out, "BMP")
    assert digest(out.getvalue()) == digest(encoded("PNG", mode="L"))


def test_sixteen_bit_pixels_are_one_image_in_either_byte_order() -> None:
    grey = COLOUR[..., 0].astype(np.uint16) * 257
    found = set()
    for kind, order in (("TIFF", "<u2"), ("TIFF", ">u2"), ("PNG", "<u2")):
        out = BytesIO()
        Pillow.fromarray(grey.astype(order)).save(out, kind)
        found.add(digest(out.getvalue()))
    assert len(found) == 1


def test_one_other_pixel_or_another_shape_is_another_image() -> None:
    changed = COLOUR.copy()
    changed[3, 4, 1] ^= 1
    others = [COLOUR, changed, COLOUR.reshape(60, 40, 3), COLOUR[..., 0], COLOUR[..., 0].astype(np.uint16)]
    assert len({digest(bytes(imagecodecs.png_encode(np.ascontiguousarray(other)))) for other in others}) == len(others)
