from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from tapetum.errors import RejectedInput
from tapetum.formats import foreign
from tapetum.formats.dicom_json import to_json_model
from tapetum.formats.elements import Header, tag_of
from tapetum.formats.header import Odd, walk
from tapetum.testing import dicom_series, enhanced, segmentation, structure_set, to_bytes, virtual_volume

SAMPLES = sorted(path for path in (Path(pydicom.__file__).parent / "data").rglob("*") if path.suffix in (".dcm", ""))
# What pydicom itself cannot read or write as JSON, or nobody could: no header, cut short, damaged numbers.
NOT_COMPARED = 30
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def header_of(data: bytes) -> Header:
    try:
        return walk(io.BytesIO(data)).header
    except Odd:
        return foreign.read(io.BytesIO(data)).header


def normal(model: dict[str, Any]) -> dict[str, Any]:
    """Without what the standard leaves open or forbids: padding, empty values and group lengths (F.2.2, F.2.5)."""
    found = {}
    for name, element in model.items():
        values = element.get("Value", [])
        if element["vr"] == "SQ":
            values = [normal(item) for item in values]
        elif element["vr"] == "PN":
            values = [{group: part for group, part in (value or {}).items() if part} or None for value in values]
        else:
            values = [(value.strip() or None) if isinstance(value, str) else value for value in values]
        binary = {key: element[key] for key in ("InlineBinary", "BulkDataURI") if key in element}
        if not name.endswith("0000"):
            found[name] = {
                "vr": str(element["vr"]),
                "Value": values if any(v is not None for v in values) else [],
                **binary,
            }
    return found


def same_as_pydicom(data: bytes) -> bool:
    """Whether a file was compared; False when pydicom or we cannot read it."""
    try:
        wanted = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True).to_json_dict()
        header = header_of(data)
    except (ValueError, TypeError, NotImplementedError, LookupError, AttributeError, OSError, RejectedInput):
        return False
    assert normal(to_json_model(header)) == normal(wanted)
    return True


def test_the_model_of_every_sample_of_pydicom_is_the_one_that_pydicom_makes() -> None:
    compared = [same_as_pydicom(path.read_bytes()) for path in SAMPLES if path.is_file()]
    assert compared.count(True) > 150
    assert compared.count(False) <= NOT_COMPARED


def test_the_model_of_our_own_objects_is_the_one_that_pydicom_makes() -> None:
    series = dicom_series(slices=4)
    objects = [
        series[0],
        enhanced(series),
        segmentation(series, {"lesion": virtual_volume((4, 32, 32)) > 1000}),
        structure_set(series, centre_mm=(0, 0, -5), radii_mm=(5, 5, 5), name="GTV-1"),
    ]
    assert all(same_as_pydicom(to_bytes(one)) for one in objects)


def test_a_name_is_told_by_its_groups_in_every_script() -> None:
    """PS3.18 F.2.4 example: Wang^XiaoDong=王^小東."""
    header = Header(("UTF8",))
    header[tag_of("PatientName")] = "PN", "Wang^XiaoDong=王^小東".encode()
    header[tag_of("OtherPatientNames")] = "PN", b"==x\\"
    model = to_json_model(header)
    assert model["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}]}
    assert model["00101001"] == {"vr": "PN", "Value": [{"Phonetic": "x"}, None]}


def test_numbers_are_numbers_tags_are_hexadecimal_and_nothing_is_not_json() -> None:
    header = Header()
    header[tag_of("PixelSpacing")] = "DS", b"0.5\\\\abc\\1e999"
    header[tag_of("InstanceNumber")] = "IS", b"7 "
    header[tag_of("FrameIncrementPointer")] = "AT", struct.pack("<2H", 0x0018, 0x1063)
    header[tag_of("DiffusionBValue")] = "FD", struct.pack("<2d", 1.5, float("nan"))
    header[tag_of("StudyDescription")] = "LO", b""
    header[tag_of("ReferencedSeriesSequence")] = "SQ", ()
    model = json.loads(json.dumps(to_json_model(header), allow_nan=False))
    assert model["00280030"]["Value"] == [0.5, None, "abc", None]
    assert model["00200013"]["Value"] == [7]
    assert model["00280009"]["Value"] == ["00181063"]
    assert model["00189087"]["Value"] == [1.5, None]
    assert model["00081030"] == {"vr": "LO"}
    assert model["00081115"] == {"vr": "SQ"}


def test_bulk_is_named_by_the_path_that_leads_to_it_and_small_binaries_stand_inline() -> None:
    item, header = Header(), Header()
    item[tag_of("WaveformData")] = "OW", bytes(2000)
    item[tag_of("ChannelMinimumValue")] = "OB", b"ab"
    header[tag_of("WaveformSequence")] = "SQ", (Header(), item)
    model = to_json_model(header, bulk_data_uri=lambda path: f"bulk/{path}")
    inner = model["54000100"]["Value"][1]
    assert inner["54001010"] == {"vr": "OW", "BulkDataURI": "bulk/54000100/1/54001010"}
    assert inner["54000110"] == {"vr": "OB", "InlineBinary": "YWI="}
    assert "InlineBinary" in to_json_model(header)["54000100"]["Value"][1]["54001010"]


def test_pydicom_reads_the_model_back() -> None:
    model = to_json_model(foreign.from_pydicom(dicom_series(slices=1)[0]))
    assert to_json_model(foreign.from_pydicom(Dataset.from_json(model))) == model
