"""Every transfer syntax against a second decoder: gdcm, DCMTK or OpenJPH. Lossless to the last bit; lossy too, for both
sides decode the same stream, but for the rounding of two inverse cosine transforms (stated where it is allowed)."""

import shutil
import subprocess
import warnings
import zlib
from pathlib import Path

import data_store
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import FileDataset
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tapetum.errors import RejectedInput
from tapetum.formats.pixels import check_pixels, decode
from tapetum.testing import radiograph, to_bytes

BUNDLED = Path(str(get_testdata_file("CT_small.dcm"))).parent
EXTERNAL = Path(data_store.__file__).parent / "data"
IMPOSSIBLE = {
    "JPEG2000-embedded-sequence-delimiter.dcm",  # its stream is damaged: no decoder reads it
    "MR_truncated.dcm",
    "badVR.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "no_meta.dcm",
    "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm",
}
ANOTHER_ORACLE = {"JPEG-lossy.dcm", "JPGExtended.dcm"}  # 12-bit: DCMTK below


def read(path: Path) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def has_pixels(path: Path) -> bool:
    start = path.read_bytes()
    return any(tag in start for tag in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")) or path.name == "image_dfl.dcm"


FILES = {
    path.name: path
    for folder in (EXTERNAL, BUNDLED)
    for path in sorted(folder.rglob("*.dcm"))
    if path.name not in IMPOSSIBLE | ANOTHER_ORACLE and has_pixels(path)
}
BIG = {"color3d_jpeg_baseline.dcm"}


@pytest.mark.parametrize("name", [*sorted(FILES.keys() - BIG), *(pytest.param(b, marks=pytest.mark.slow) for b in BIG)])
def test_real_file_decodes_to_the_values_of_a_second_decoder(name: str) -> None:
    dataset = read(FILES[name])
    if "TransferSyntaxUID" not in dataset.file_meta or dataset.PhotometricInterpretation == "PALETTE COLOR":
        assert decode(dataset).shape[-1] == 3  # values of palettes: below
        return
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    plugins = getattr(decoder, "available_plugins", ())
    plugin = next((one for one in ("gdcm", "pyjpegls", "pydicom") if one in plugins), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of padding
        expected, _ = decoder.as_array(dataset, decoding_plugin=plugin)
    found = decode(dataset)
    assert found.dtype.isnative
    assert np.array_equal(found, expected.reshape(found.shape))


def test_files_of_pydicom_cover_the_syntaxes_of_hospitals() -> None:
    seen = {str(read(path).file_meta.get("TransferSyntaxUID")) for path in FILES.values()}
    base = "1.2.840.10008.1.2"
    wanted = {"", ".1", ".1.99", ".2", ".5", ".4.50", ".4.70", ".4.80", ".4.81", ".4.90", ".4.91"}
    assert {base + ending for ending in wanted} <= seen


def dcmtk(command: str, *arguments: object) -> None:
    program = shutil.which(command)
    if program is None:
        pytest.skip(f"no {command}: install dcmtk")
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


@pytest.mark.parametrize("name", sorted(ANOTHER_ORACLE))
def test_twelve_bit_jpeg_decodes_as_in_dcmtk(name: str, tmp_path: Path) -> None:
    dcmtk("dcmdjpeg", get_testdata_file(name), tmp_path / "native.dcm")
    found, expected = decode(read(BUNDLED / name)), decode(read(tmp_path / "native.dcm"))
    # Both inverse cosine transforms are of libjpeg; nothing is allowed to differ.
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("selection", range(1, 8))
def test_lossless_jpeg_of_every_selection_value_comes_back_unchanged(selection: int, tmp_path: Path) -> None:
    source = BUNDLED / "MR_small.dcm"
    dcmtk("dcmcjpeg", "+el", "+sv", selection, source, tmp_path / "packed.dcm")
    packed = read(tmp_path / "packed.dcm")
    assert packed.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.57"
    assert np.array_equal(decode(packed), decode(read(source)))


def grey() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 4096, (48, 40), dtype=np.uint16)


def packed(syntax: str, *streams: bytes, **changes: object) -> FileDataset:
    image = radiograph()
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.PixelData = encapsulate(list(streams))
    image["PixelData"].VR = "OB"
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL])
def test_high_throughput_jpeg_2000_comes_back_unchanged(syntax: str) -> None:
    stream = bytes(imagecodecs.htj2k_encode(grey(), reversible=True))
    assert np.array_equal(decode(packed(syntax, stream))[0], grey())


def test_lossy_high_throughput_jpeg_2000_decodes_as_in_openjph() -> None:
    smooth = np.add.outer(np.arange(48), np.arange(40)).astype(np.uint16) * 40
    stream = bytes(imagecodecs.htj2k_encode(smooth, reversible=False, level=0.001))
    found, expected = decode(packed(HTJ2K, stream))[0], imagecodecs.htj2k_decode(stream)
    # OpenJPEG and OpenJPH round the 9/7 wavelet apart.
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("ending", [".4.110", ".4.112"])
def test_jpeg_xl_decodes(ending: str) -> None:
    stream = bytes(imagecodecs.jpegxl_encode(grey(), lossless=True))
    assert np.array_equal(decode(packed("1.2.840.10008.1.2" + ending, stream))[0], grey())


def test_deflated_frames_decode() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    stream = packer.compress(grey().astype("<u2").tobytes()) + packer.flush()
    assert np.array_equal(decode(packed("1.2.840.10008.1.2.8.1", stream))[0], grey())


def test_deflated_frame_that_is_cut_is_truncated() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    stream = packer.compress(grey()[:20].astype("<u2").tobytes()) + packer.flush()
    with pytest.raises(RejectedInput) as caught:
        decode(packed("1.2.840.10008.1.2.8.1", stream))
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_run_lengths_of_every_depth_come_back(bits: int) -> None:
    image = radiograph()
    image.BitsAllocated = image.BitsStored = bits
    image.HighBit = bits - 1
    values = (grey() * 77).astype(np.uint32) & np.uint32((1 << bits) - 1)
    raw = np.packbits(values.astype(np.uint8), bitorder="little") if bits == 1 else values.astype(f"<u{bits // 8}")
    image.PixelData = raw.tobytes()
    image.compress(RLELossless, encoding_plugin="pydicom") if bits > 1 else one_bit_rle(image)
    assert np.array_equal(decode(image)[0], values)


def one_bit_rle(image: FileDataset) -> None:
    segment = bytes(imagecodecs.packbits_encode(image.PixelData))
    header = np.array([1, 64, *([0] * 14)], "<u4").tobytes()
    image.PixelData = encapsulate([header + segment])
    image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = RLELossless


def test_deflated_data_set_decodes_as_its_plain_copy() -> None:
    image = read(BUNDLED / "image_dfl.dcm")
    assert image.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert decode(image).shape == (1, 512, 512)


def test_frames_in_several_fragments_are_put_together_by_the_basic_offset_table() -> None:
    first, second = (bytes(imagecodecs.jpegls_encode(grey() + at)) for at in (0, 1))
    image = packed(JPEGLSLossless, first, NumberOfFrames="2")
    image.PixelData = encapsulate([first, second], fragments_per_frame=3, has_bot=True)
    assert np.array_equal(decode(image), np.stack([grey(), grey() + 1]))


def test_frames_in_several_fragments_without_a_table_are_told_apart_by_their_ends() -> None:
    first, second = (bytes(imagecodecs.jpegls_encode(grey() + at)) for at in (0, 1))
    image = packed(JPEGLSLossless, first, NumberOfFrames="2")
    image.PixelData = encapsulate([first, second], fragments_per_frame=2, has_bot=False)
    assert np.array_equal(decode(image), np.stack([grey(), grey() + 1]))


def test_extended_offset_table_finds_the_frames() -> None:
    streams = [bytes(imagecodecs.jpeg2k_encode(grey() + at, codecformat="j2k")) for at in range(3)]
    image = packed(JPEG2000Lossless, streams[0], NumberOfFrames="3")
    image.PixelData, image.ExtendedOffsetTable, image.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    assert np.array_equal(decode(image), np.stack([grey(), grey() + 1, grey() + 2]))


def test_overlay_in_the_unused_bits_is_no_part_of_the_values() -> None:
    image = radiograph(array=grey() | np.uint16(0x8000))
    image.BitsStored, image.HighBit = 12, 11
    assert np.array_equal(decode(image)[0], grey())


def test_values_that_stand_in_the_upper_bits_are_moved_down() -> None:
    image = radiograph(array=grey() << 4)
    image.BitsStored, image.HighBit = 12, 15
    assert np.array_equal(decode(image)[0], grey())


def test_twelve_bit_sign_is_read_where_it_stands() -> None:
    image = radiograph(array=np.full((4, 4), 0x0FFF, np.uint16))
    image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, 1
    assert (decode(image) == -1).all()


def test_colour_by_plane_is_the_same_as_colour_by_pixel() -> None:
    by_plane, by_pixel = read(FILES["color-pl.dcm"]), read(FILES["color-px.dcm"])
    assert (by_plane.PlanarConfiguration, by_pixel.PlanarConfiguration) == (1, 0)
    assert np.array_equal(decode(by_plane), decode(by_pixel))


@pytest.mark.parametrize("kind", ["KR", "KI"])
def test_reversible_and_irreversible_colour_transform_show_the_uncompressed_picture(kind: str) -> None:
    found = decode(read(FILES[f"US1_J2{kind}.dcm"]))
    expected = decode(read(FILES[f"US1_UNC{kind[1]}.dcm"]))
    # The encoder was lossy for ICT; its own uncompressed copy holds what it decodes to.
    assert np.abs(found.astype(int) - expected).max() <= (0 if kind == "KR" else 1)


@pytest.mark.parametrize("other", ["OBXXXX1A_rle.dcm", "OBXXXX1A_expb.dcm"])
def test_palette_picture_is_the_same_in_every_encoding(other: str) -> None:
    assert np.array_equal(decode(read(FILES["OBXXXX1A.dcm"])), decode(read(FILES[other])))


def test_segmented_palette_unfolds() -> None:
    # PS3.3 C.7.9.2: a discrete segment of the entry 0, then a linear one of 255 entries up to 255 << 8.
    image = radiograph(array=np.arange(256, dtype=np.uint8).reshape(16, 16))
    image.PhotometricInterpretation = "PALETTE COLOR"
    ramp = np.array([0, 1, 0, 1, 255, 255 << 8], "<u2").tobytes()
    for colour in ("Red", "Green", "Blue"):
        setattr(image, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(image, f"Segmented{colour}PaletteColorLookupTableData", ramp)
    assert decode(image)[0, ..., 1].ravel().tolist() == list(range(256))


def test_float_pixels_come_as_they_are() -> None:
    image = radiograph()
    values = np.linspace(-1, 1, 48 * 40, dtype=np.float32).reshape(48, 40)
    del image.PixelData, image.BitsStored, image.HighBit, image.PixelRepresentation
    image.BitsAllocated, image.FloatPixelData = 32, values.tobytes()
    assert np.array_equal(decode(pydicom.dcmread(pydicom.filebase.DicomBytesIO(to_bytes(image))))[0], values)


def test_jpeg_xl_bytes_under_a_jpeg_2000_syntax_are_refused() -> None:
    stream = bytes(imagecodecs.jpegxl_encode(grey(), lossless=True))
    with pytest.raises(RejectedInput) as caught:
        check_pixels(packed(JPEG2000Lossless, stream))
    assert caught.value.code == "wrong-transfer-syntax"
