from xml.etree import ElementTree as ET

from tapetum.learn.result import FlowStep
from tapetum.report.flowchart import describe_flow, flowchart, is_split

STEPS = [
    FlowStep("Photographs", 10, 20),
    FlowStep("Readable", 9, 17, 5, {"too dark & blurred": 3}),
    FlowStep("Development set", 6, 12, 3),
    FlowStep("Test set", 3, 5, 2),
]


def test_every_box_and_every_reason_is_in_the_diagram() -> None:
    said = " ".join("".join(element.itertext()) for element in ET.fromstring(flowchart(STEPS)))
    for words in ("Photographs", "10 patients, 20 units", "Dropped: 3", "too dark & blurred", "Test set"):
        assert words in said


def test_development_and_test_set_stand_side_by_side_only_when_they_add_up() -> None:
    assert is_split(STEPS)
    assert not is_split([*STEPS[:-1], FlowStep("Test set", 3, 4, 2)])
    assert not is_split(STEPS[:2])


def test_the_sites_of_a_set_are_named_in_its_box_and_aloud() -> None:
    steps = [*STEPS[:-1], FlowStep("Test set", 3, 5, 2, sites=["East", "West"])]
    assert "Sites: East, West" in "".join(ET.fromstring(flowchart(steps)).itertext())
    assert "2 with the outcome; sites: East, West." in describe_flow(steps)
    many = FlowStep("Test set", 3, 5, 2, sites=[f"S{number:02}" for number in range(30)])
    assert "S19 and 10 more" in describe_flow([many])


def test_the_diagram_can_be_read_aloud() -> None:
    assert "Readable: 9 patients, 17 units, 5 with the outcome; dropped: too dark & blurred, 3." in describe_flow(STEPS)
