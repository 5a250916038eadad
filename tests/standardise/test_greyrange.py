import numpy as np
import pytest
from pydicom import Dataset

from tapetum.standardise.greyrange import (
    check_hounsfield,
    grey_values,
    normalise,
    quantity_of,
    rescale,
    rescale_of,
    suv_factor,
    to_rgb,
)
from tapetum.testing import dicom_series, radiograph


def pet(**changes: object) -> Dataset:
    header, tracer = Dataset(), Dataset()
    header.Modality, header.Units, header.DecayCorrection = "PT", "BQML", "START"
    header.CorrectedImage, header.PatientWeight = ["ATTN", "DECY"], "70"
    header.SeriesDate = header.AcquisitionDate = "20200607"
    header.SeriesTime = header.AcquisitionTime = "110000"
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = "370000000", "6586.2"
    tracer.RadiopharmaceuticalStartTime = "100000"
    header.RadiopharmaceuticalInformationSequence = [tracer]
    for keyword, value in changes.items():
        target = tracer if keyword.startswith(("Radio",)) else header
        if value is None:
            delattr(target, keyword)
        else:
            setattr(target, keyword, value)
    return header


def test_stored_zero_and_water_become_air_and_water() -> None:
    assert rescale(np.array([24, 1024]), slope=1.0, intercept=-1024.0).tolist() == [-1000, 0]


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_impossible_rescale_is_refused(slope: float, intercept: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rescale(np.zeros(1), slope=slope, intercept=intercept)


def test_impossible_rescale_of_a_header_is_none() -> None:
    header = Dataset()
    header.RescaleSlope = "0"
    assert rescale_of(header) is None
    assert rescale_of(Dataset()) == (1, 0)


def test_ct_is_in_hounsfield_units() -> None:
    header = dicom_series(slices=1)[0]
    assert grey_values(np.array([[1024]]), header).tolist() == [[0]]
    assert quantity_of(header).unit == "[hnsf'U]"


def test_ct_of_another_kind_of_value_is_not_called_hounsfield() -> None:
    header = dicom_series(slices=1)[0]
    header.RescaleType = "Z_EFF"
    assert quantity_of(header).unit == "1"


def test_mr_stays_in_arbitrary_units() -> None:
    header = dicom_series(slices=1, modality="MR")[0]
    assert grey_values(np.array([[300]]), header).tolist() == [[300]]
    assert quantity_of(header).unit == "[arb'U]"


def test_radiograph_is_bright_where_dense_whichever_way_it_was_stored() -> None:
    stored = np.array([[0, 4095, 1000]], np.uint16)
    assert grey_values(stored, radiograph()).tolist() == [[0, 4095, 1000]]
    assert grey_values(stored, radiograph(photometric="MONOCHROME1")).tolist() == [[4095, 0, 3095]]
    assert quantity_of(radiograph()).name == "X-ray grey value from 0 to 4095, bright is dense"


def test_signed_radiograph_is_turned_within_its_bits() -> None:
    header = radiograph(photometric="MONOCHROME1")
    header.PixelRepresentation = 1
    assert grey_values(np.array([[-2048, 2047]], np.int16), header).tolist() == [[2047, -2048]]


def test_look_up_table_is_applied_before_a_radiograph_is_turned() -> None:
    header, table = radiograph(photometric="MONOCHROME1"), Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], [0, 100, 1000, 65535]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    header.ModalityLUTSequence = [table]
    assert grey_values(np.array([[0, 1, 2, 3]], np.uint16), header).tolist() == [[65535, 65435, 64535, 0]]
    assert "to 65535" in quantity_of(header).name


def test_suv_of_a_dose_decayed_to_the_start_of_the_series() -> None:
    # 370 MBq, one hour before the scan: 370e6 * 2 ** (-3600 / 6586.2) = 253.3 MBq; 70 kg.
    assert suv_factor(pet()) == pytest.approx(70_000 / 253.3e6, rel=1e-3)
    assert quantity_of(pet()).unit == "g/mL"


def test_suv_of_pixels_corrected_to_the_injection_needs_no_decay() -> None:
    assert suv_factor(pet(DecayCorrection="ADMIN")) == pytest.approx(70_000 / 370e6)


def test_injection_before_midnight_is_of_the_day_before() -> None:
    late = pet(SeriesTime="003000", AcquisitionTime="003000", RadiopharmaceuticalStartTime="233000")
    assert suv_factor(late) == pytest.approx(suv_factor(pet()))


def test_whole_date_of_injection_is_used_where_the_clock_alone_is_missing() -> None:
    header = pet(RadiopharmaceuticalStartTime=None)
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20200607100000.00"
    assert suv_factor(header) == pytest.approx(suv_factor(pet()))


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientWeight": None},
        {"RadionuclideTotalDose": None},
        {"RadionuclideHalfLife": None},
        {"RadiopharmaceuticalStartTime": None},
        {"CorrectedImage": ["DECY"]},
        {"DecayCorrection": "NONE"},
        {"SeriesTime": None, "AcquisitionTime": None},
    ],
    ids=" ".join,
)
def test_pet_without_what_suv_needs_stays_in_becquerel(changes: dict[str, object]) -> None:
    header = pet(**changes)
    assert suv_factor(header) is None
    assert quantity_of(header).unit == "Bq/mL"
    header.RescaleSlope, header.RescaleIntercept = "2.5", "0"
    assert grey_values(np.array([[4]]), header).tolist() == [[10]]


def test_pet_that_is_suv_already_is_left_alone() -> None:
    header = pet(Units="GML")
    assert suv_factor(header) is None
    assert quantity_of(header).unit == "g/mL"


def test_pet_in_counts_has_no_unit() -> None:
    assert quantity_of(pet(Units="CNTS")).unit == "[arb'U]"


def test_body_in_air_passes_for_hounsfield() -> None:
    body = np.full((4, 8, 8), -1000, np.float32)
    body[:, 2:6, 2:6] = 40
    assert check_hounsfield(body) is None


@pytest.mark.parametrize("offset", [1024.0, -1024.0], ids=["forgotten intercept", "intercept applied twice"])
def test_wrong_intercept_is_noticed(offset: float) -> None:
    body = np.full((4, 8, 8), -1000, np.float32)
    body[:, 2:6, 2:6] = 40
    notice = check_hounsfield(body + np.float32(offset))
    assert notice is not None
    assert notice.code == "wrong-rescale"


def test_percentiles_become_zero_and_one() -> None:
    scaled = normalise(np.arange(101.0), low_percent=10, high_percent=90)
    assert (scaled[10], scaled[50], scaled[90], scaled[0], scaled[100]) == (0, 0.5, 1, 0, 1)


def test_flat_image_is_zero_after_normalising() -> None:
    assert not normalise(np.full(9, 7.0)).any()


def test_sixteen_bit_colour_keeps_its_highest_eight() -> None:
    assert to_rgb(np.array([0xFFFF, 0x1234], np.uint16), 16).tolist() == [0xFF, 0x12]
    assert to_rgb(np.array([7], np.uint8), 8).tolist() == [7]
