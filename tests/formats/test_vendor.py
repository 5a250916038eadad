import struct
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from tapetum.formats import dicom
from tapetum.formats.elements import Header, keyword_of, tag_of
from tapetum.formats.vendor import add_standard, standard_elements
from tapetum.protect import Pseudonymiser, deidentify
from tapetum.testing import dicom_series, siemens_mosaic, to_bytes
from tapetum.testing.mosaics import csa_header

VOLUME = np.zeros((4, 8, 8), np.uint16)
GRADIENT = (0.6, 0.0, 0.8)


def mr() -> pydicom.FileDataset:
    return dicom_series(modality="MR", slices=1)[0]


def test_siemens_weighting_becomes_standard() -> None:
    image = siemens_mosaic(VOLUME, b_value=1000, gradient=GRADIENT)
    add_standard(image)
    assert image.DiffusionBValue == 1000
    assert list(image.DiffusionGradientOrientation) == list(GRADIENT)


def test_siemens_weighting_is_read_from_the_csa_header_where_it_stands_there_only() -> None:
    image = siemens_mosaic(VOLUME, b_value=750, gradient=GRADIENT)
    del image[0x0019, 0x100A], image[0x0019, 0x100C], image[0x0019, 0x100E]
    add_standard(image)
    assert image.DiffusionBValue == 750
    assert list(image.DiffusionGradientOrientation) == list(GRADIENT)
    assert list(image.SliceLocationVector) == [0, 3, 6, 9]


def test_private_bytes_of_unknown_kind_are_read_all_the_same() -> None:
    image = siemens_mosaic(VOLUME, b_value=1000, gradient=GRADIENT)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    read = pydicom.dcmread(BytesIO(to_bytes(image)))
    add_standard(read)
    assert (read.DiffusionBValue, len(read.SliceLocationVector)) == (1000, 4)


def test_philips_weighting_becomes_standard() -> None:
    image = mr()
    image.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", 800.0)
    block = image.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for element, value in zip((0xB0, 0xB1, 0xB2), (0.0, 1.0, 0.0), strict=True):
        block.add_new(element, "UN", struct.pack("<f", value))
    add_standard(image)
    assert image.DiffusionBValue == 800
    assert list(image.DiffusionGradientOrientation) == [0, 1, 0]


def test_ge_b_value_is_without_the_billion_that_says_there_are_several() -> None:
    image = mr()
    image.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", ["1000000800", "0", "0", "0"])
    add_standard(image)
    assert image.DiffusionBValue == 800
    assert "DiffusionGradientOrientation" not in image


def test_what_the_scanner_said_in_the_standard_place_stays() -> None:
    image = siemens_mosaic(VOLUME, b_value=1000)
    image.DiffusionBValue = 999.0
    add_standard(image)
    assert image.DiffusionBValue == 999


def test_image_without_private_attributes_stays_as_it_is() -> None:
    image = mr()
    before = image.to_json()
    add_standard(image)
    assert image.to_json() == before


@pytest.mark.parametrize("damaged", [b"", b"SV10", csa_header({"B_value": [1.0]})[:100], b"\xff" * 200])
def test_damaged_csa_header_says_nothing(damaged: bytes) -> None:
    image = siemens_mosaic(VOLUME)
    image[0x0029, 0x1010].value = damaged
    del image[0x0019, 0x100A]
    add_standard(image)
    assert "SliceLocationVector" not in image
    assert "DiffusionBValue" not in image


def test_old_layout_of_the_csa_header_is_read_too() -> None:
    text = b"7.0\0"
    header = struct.pack("<II", 1, 77)
    header += struct.pack("<64si4siii", b"NumberOfImagesInMosaic", 1, b"US\0\0", 4, 1, 77)
    header += struct.pack("<4i", len(text) + 1, len(text), 77, 0) + text
    image = siemens_mosaic(VOLUME)
    del image[0x0019, 0x100A]
    image[0x0029, 0x1010].value = header
    add_standard(image)
    assert len(image.SliceLocationVector) == 7


def walked(image: pydicom.FileDataset) -> Header:
    return dicom.read(BytesIO(to_bytes(image))).header


def test_weighting_and_place_survive_de_identification_as_plain_numbers() -> None:
    header = walked(siemens_mosaic(VOLUME, b_value=1000, gradient=GRADIENT))
    header.update(standard_elements(header))
    clean = deidentify(header, Pseudonymiser(b"k" * 32))
    assert not [tag for tag in clean if (tag >> 16) % 2]
    assert clean.numbers("DiffusionBValue") == (1000,)
    assert clean.numbers("DiffusionGradientOrientation") == GRADIENT
    assert clean.numbers("SliceLocationVector") == (0, 3, 6, 9)


def test_header_without_private_attributes_gets_nothing() -> None:
    assert standard_elements(walked(mr())) == {}


def test_header_that_says_it_already_gets_nothing_twice() -> None:
    image = siemens_mosaic(VOLUME, b_value=1000)
    image.DiffusionBValue = 999.0
    assert [keyword_of(tag) for tag in standard_elements(walked(image))] == ["SliceLocationVector"]


def test_damaged_private_attributes_are_no_reason_to_refuse_an_object() -> None:
    header = walked(siemens_mosaic(VOLUME, b_value=1000))
    header[0x0019100C] = ("IS", b"much")
    header[tag_of("SliceThickness")] = ("DS", b"thick")
    header[tag_of("SpacingBetweenSlices")] = ("DS", b"thick")
    assert standard_elements(header) == {}
