import json

import numpy as np
import pytest
from pydicom import Dataset

from tapetum.formats.bids import BidsName, Unnamed, contrast_of, label, name_of, sidecar
from tapetum.model import Geometry, Image, Quantity

SIGNAL = Quantity("MR signal", "[arb'U]")


def image(points: int = 1, **more: object) -> Image:
    shape = (points, 2, 3, 4) if points > 1 else (2, 3, 4)
    facts = {"modality": "MR", "series_instance_uid": "1.2", **more}
    return Image(
        np.zeros(shape, np.float32), "tzyx" if points > 1 else "zyx", SIGNAL, Geometry((2, 3, 4), (1, 1, 1)), **facts
    )


def header(**facts: object) -> Dataset:
    made = Dataset()
    for keyword, value in facts.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("facts", "suffix"),
    [
        (
            {"ScanningSequence": ["GR", "IR"], "EchoTime": "2.98", "RepetitionTime": "2300", "InversionTime": "900"},
            "T1w",
        ),
        ({"ScanningSequence": "GR", "EchoTime": "4", "RepetitionTime": "9", "FlipAngle": "20"}, "T1w"),
        ({"ScanningSequence": "SE", "EchoTime": "12", "RepetitionTime": "500"}, "T1w"),
        ({"ScanningSequence": "SE", "EchoTime": "12", "RepetitionTime": "3000"}, "PDw"),
        ({"ScanningSequence": "SE", "EchoTime": "98", "RepetitionTime": "5000"}, "T2w"),
        (
            {"ScanningSequence": ["SE", "IR"], "EchoTime": "120", "RepetitionTime": "9000", "InversionTime": "2500"},
            "FLAIR",
        ),
        ({"ScanningSequence": "GR", "EchoTime": "20", "RepetitionTime": "700"}, "T2starw"),
    ],
)
def test_contrast_of_a_brain_scan_follows_from_what_the_scanner_did(facts: dict[str, object], suffix: str) -> None:
    assert contrast_of(header(BodyPartExamined="BRAIN", **facts), image()) == ("anat", suffix)


def test_diffusion_is_known_by_its_weighting() -> None:
    weighted = image(2, b_values=(0.0, 1000.0))
    assert contrast_of(header(ScanningSequence="EP"), weighted) == ("dwi", "dwi")


def test_functional_scan_is_echo_planar_and_timed() -> None:
    film = image(12, times_s=tuple(2.0 * at for at in range(12)))
    assert contrast_of(header(ScanningSequence="EP"), film) == ("func", "bold")


@pytest.mark.parametrize(
    ("facts", "changes", "reason"),
    [
        ({}, {"modality": "CT"}, "MR only"),
        ({"BodyPartExamined": "KNEE"}, {}, "not the head"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, {}, "localiser"),
        ({"SeriesDescription": "3-plane scout"}, {}, "localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "ADC"]}, {}, "derived"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "ASL"]}, {}, "spin labelling"),
        ({}, {}, "does not say enough"),
        ({"ScanningSequence": "SE", "EchoTime": "45", "RepetitionTime": "1500"}, {}, "no contrast"),
        ({"ScanningSequence": "GR"}, {"points": 12}, "no functional"),
        ({"ScanningSequence": "EP", "ContrastBolusAgent": "Gd"}, {"points": 12}, "no functional"),
    ],
)
def test_series_that_the_rule_does_not_know_has_no_name_but_a_reason(
    facts: dict[str, object], changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(Unnamed, match=reason):
        contrast_of(header(**facts), image(**changes))


def test_name_has_subject_session_and_what_the_suffix_needs() -> None:
    film = image(12, times_s=tuple(2.0 * at for at in range(12)))
    functional = header(ScanningSequence="EP", SeriesDescription="fMRI task-nback run")
    name = name_of(functional, film, patient_key="p1", study_date="20200607")
    assert name.path() == "sub-p1/ses-20200607/func/sub-p1_ses-20200607_task-nback_bold"
    assert name.path(2).endswith("_task-nback_run-2_bold")


def test_contrast_agent_and_rest_are_said() -> None:
    facts = {"ScanningSequence": "SE", "EchoTime": "12", "RepetitionTime": "500", "ContrastBolusAgent": "Gd"}
    name = name_of(header(**facts), image(), patient_key="p1", study_date="")
    assert name == BidsName("p1", "", "anat", "T1w", (("ce", "contrast"),))
    assert name.path() == "sub-p1/anat/sub-p1_ce-contrast_T1w"
    film = image(12, times_s=tuple(2.0 * at for at in range(12)))
    resting = header(ScanningSequence="EP", ProtocolName="Resting state")
    assert dict(name_of(resting, film, patient_key="p", study_date="").entities) == {"task": "rest"}


def test_labels_that_lose_characters_stay_apart() -> None:
    assert label("a1") == "a1"
    assert label("a-1") != label("a_1")
    assert label("a-1").isalnum()


def test_sidecar_is_in_seconds_and_knows_the_repetition_of_the_volumes() -> None:
    film = image(12, times_s=tuple(2.0 * at for at in range(12)))
    facts = {"EchoTime": "30", "RepetitionTime": "66", "FlipAngle": "77", "ManufacturerModelName": "Prisma"}
    found = sidecar(
        header(ImageType=["ORIGINAL", "PRIMARY"], **facts), film, BidsName("p", "", "func", "bold", (("task", "rest"),))
    )
    assert (found["EchoTime"], found["RepetitionTime"], found["FlipAngle"]) == (0.03, 2.0, 77)
    assert (found["TaskName"], found["ManufacturersModelName"], found["Units"]) == ("rest", "Prisma", "[arb'U]")
    assert json.dumps(found)


def test_uneven_volumes_have_a_timing_and_no_repetition() -> None:
    found = sidecar(header(RepetitionTime="5"), image(3, times_s=(0.0, 1.0, 9.0)))
    assert found["VolumeTiming"] == [0, 1, 9]
    assert "RepetitionTime" not in found


def test_enhanced_object_says_it_in_its_functional_groups() -> None:
    echo, shared = Dataset(), Dataset()
    echo.EffectiveEchoTime = 85.0
    shared.MREchoSequence = [echo]
    found = sidecar(header(SharedFunctionalGroupsSequence=[shared]), image())
    assert found["EchoTime"] == 0.085
