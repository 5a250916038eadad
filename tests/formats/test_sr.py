from typing import Any

import highdicom
import highdicom.sr
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from tapetum.errors import RejectedInput
from tapetum.formats.sr import is_report, read
from tapetum.testing import dicom_series

SLICES = dicom_series(slices=2)


def person() -> Any:
    return highdicom.sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=highdicom.sr.PersonObserverIdentifyingAttributes(name="Reader^One"),
    )


def group(label: str, diameter_mm: float, *, derived: Any = None) -> Any:
    """One lesion, measured by a line."""
    return highdicom.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(uid=highdicom.UID(), identifier=label),
        referenced_region=highdicom.sr.ImageRegion(
            graphic_type=highdicom.sr.GraphicTypeValues.POLYLINE,
            graphic_data=np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 5.0], [1.0, 1.0]]),
            source_image=highdicom.sr.SourceImageForRegion.from_source_image(SLICES[0]),
        ),
        finding_type=codes.SCT.Lesion,
        finding_sites=[highdicom.sr.FindingSite(anatomic_location=codes.SCT.Lung)],
        measurements=[
            highdicom.sr.Measurement(
                name=codes.SCT.Diameter, value=diameter_mm, unit=codes.UCUM.Millimeter, derivation=derived
            )
        ],
        qualitative_evaluations=[
            highdicom.sr.QualitativeEvaluation(name=codes.DCM.LevelOfSignificance, value=codes.SCT.Present)
        ],
    )


@pytest.fixture(scope="module")
def report() -> Any:
    """A TID 1500 report of two lesions, written by highdicom."""
    content = highdicom.sr.MeasurementReport(
        observation_context=highdicom.sr.ObservationContext(observer_person_context=person()),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group("lesion 1", 12.5), group("lesion 2", 7.25, derived=codes.SCT.Maximum)],
    )
    made = highdicom.sr.Comprehensive3DSR(
        evidence=SLICES,
        content=content,
        series_number=1,
        series_instance_uid=highdicom.UID(),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="m",
    )
    made.ContentDate, made.ContentTime = "20200607", "101530"
    return made


def test_report_is_known_by_its_class(report: Any) -> None:
    assert is_report(report)
    assert not is_report(SLICES[0])


def test_every_measurement_has_its_number_unit_code_and_lesion(report: Any) -> None:
    first, second = [one for one in read(report) if one.value is not None]
    assert (first.name, first.value, first.unit, first.region) == ("diameter", 12.5, "mm", "lesion 1")
    assert first.code is not None
    assert (first.code.value, first.code.scheme) == ("81827009", "SCT")
    assert (second.value, second.region) == (7.25, "lesion 2")


def test_derivation_is_part_of_the_name(report: Any) -> None:
    assert [one.name for one in read(report) if one.value == 7.25] == ["diameter_maximum"]


def test_measurement_names_its_patient_series_report_and_day(report: Any) -> None:
    first = next(one for one in read(report) if one.value is not None)
    assert first.patient_key == "PAT-1"
    assert first.series_instance_uid == SLICES[0].SeriesInstanceUID
    assert (first.source, first.method) == (report.SOPInstanceUID, "sr/TID1500")
    assert first.effective_at == "2020-06-07T10:15:30"


def test_coded_answers_are_words(report: Any) -> None:
    answers = {(one.name, one.text, one.region) for one in read(report) if one.text is not None}
    assert ("finding", "Lesion", "lesion 1") in answers
    assert ("level_of_significance", "Present", "lesion 2") in answers
    assert ("finding_site", "Lung", "lesion 1") in answers


def test_name_of_the_reader_is_no_observation(report: Any) -> None:
    assert "Reader" not in "".join(f"{one.name}{one.text}" for one in read(report))


def number(value: Any) -> Dataset:
    item, measured = Dataset(), Dataset()
    item.ValueType = "NUM"
    item.ConceptNameCodeSequence = [code("81827009", "SCT", "Diameter")]
    measured.NumericValue = value
    item.MeasuredValueSequence = [measured] if value is not None else []
    return item


def code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def test_number_without_a_value_is_left_out() -> None:
    plain = Dataset()
    plain.ContentSequence = [number(None), number("3")]
    assert [one.value for one in read(plain)] == [3]


def test_report_without_end_is_refused() -> None:
    inner = number("1")
    for _ in range(80):
        outer = Dataset()
        outer.ValueType, outer.ContentSequence = "CONTAINER", [inner]
        inner = outer
    with pytest.raises(RejectedInput) as caught:
        read(inner)
    assert caught.value.code == "unreadable"
