from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom.sr.codedict import codes

from tapetum.acquire import Door, Intake, Policy
from tapetum.acquire.reports import measurements
from tapetum.acquire.walk import Source
from tapetum.protect import RealNames
from tapetum.testing import dicom_series, to_bytes


def report(*diameters_mm: float) -> Any:
    """A TID 1500 report of lesions, written by highdicom."""
    slices = dicom_series(slices=2)
    reader = highdicom.sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=highdicom.sr.PersonObserverIdentifyingAttributes(name="Reader^One"),
    )
    groups = [
        highdicom.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=highdicom.sr.TrackingIdentifier(uid=highdicom.UID(), identifier=f"lesion {number}"),
            referenced_region=highdicom.sr.ImageRegion(
                graphic_type=highdicom.sr.GraphicTypeValues.POLYLINE,
                graphic_data=np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 5.0], [1.0, 1.0]]),
                source_image=highdicom.sr.SourceImageForRegion.from_source_image(slices[0]),
            ),
            measurements=[highdicom.sr.Measurement(name=codes.SCT.Diameter, value=size, unit=codes.UCUM.Millimeter)],
            qualitative_evaluations=[
                highdicom.sr.QualitativeEvaluation(name=codes.DCM.LevelOfSignificance, value=codes.SCT.Present)
            ],
        )
        for number, size in enumerate(diameters_mm, start=1)
    ]
    return highdicom.sr.Comprehensive3DSR(
        evidence=slices,
        content=highdicom.sr.MeasurementReport(
            observation_context=highdicom.sr.ObservationContext(observer_person_context=reader),
            procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
            imaging_measurements=groups,
        ),
        series_number=1,
        series_instance_uid=highdicom.UID(),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="m",
    )


@pytest.fixture
def inside(hospital: Any) -> Any:
    hospital.names = RealNames(bytes(32))
    return hospital


def test_measurements_of_a_report_become_observations_and_its_words_do_not(inside: Any, inbox: Path) -> None:
    data = to_bytes(report(12.5, 7.25))
    (inbox / "report").write_bytes(data)
    assert inside.take(inbox, deidentify=False).outcomes["stored"] == 1
    rows = inside.table.read()
    assert dict(rows.select("region", "value").iter_rows()) == {"lesion 1": 12.5, "lesion 2": 7.25}
    (series,) = inside.catalogue.series()
    (stored,) = inside.catalogue.instances(series.series_instance_uid)
    assert set(rows["source"]) == {stored.source_digest}
    assert set(rows["patient_key"]) == {series.patient_key}
    assert (set(rows["unit"]), set(rows["method"])) == ({"mm"}, {"sr"})


def test_a_report_that_comes_again_adds_nothing(inside: Any, inbox: Path) -> None:
    (inbox / "report").write_bytes(to_bytes(report(12.5)))
    inside.take(inbox, deidentify=False)
    before = inside.table.read().rows()
    inside.take(inbox, deidentify=False)
    assert inside.table.read().rows() == before


def test_a_second_report_about_a_series_leaves_the_first(inside: Any, inbox: Path) -> None:
    for number, sizes in enumerate([(12.5,), (1.0, 7.25)]):
        made = report(*sizes)
        made.ContentDate = f"2020010{number + 1}"
        (inbox / str(number)).write_bytes(to_bytes(made))
    inside.take(inbox, deidentify=False)
    assert sorted(inside.table.read()["value"]) == [1.0, 7.25, 12.5]


def test_a_report_that_comes_through_the_door_is_read_as_well(inside: Any) -> None:
    policy = Policy(deidentify=False)
    intake = Intake(inside.blobs, inside.catalogue, inside.names, policy, None, observe=inside.table.append)
    data = to_bytes(report(12.5))
    with Door(intake, inside.catalogue) as door:
        door.take(Source("dimse://SR/1", "", "dicom", len(data), 0, lambda: io.BytesIO(data)))
    assert inside.table.read()["value"].to_list() == [12.5]


def test_a_report_that_cannot_be_understood_has_no_measurements_and_is_kept(inside: Any, inbox: Path) -> None:
    made = report(12.5)
    del made.ContentSequence
    (inbox / "report").write_bytes(to_bytes(made))
    assert inside.take(inbox, deidentify=False).outcomes["stored"] == 1
    assert inside.table.read().is_empty()
    (series,) = inside.catalogue.series()
    (stored,) = inside.catalogue.instances(series.series_instance_uid)
    assert measurements(io.BytesIO(b"no report"), stored) == []
