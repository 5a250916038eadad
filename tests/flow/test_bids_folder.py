import json
from pathlib import Path

from tapetum.flow.bids_folder import add_participant, describe, free_run
from tapetum.formats.bids import BidsName

NAME = BidsName("a", "", "anat", "T1w")


def test_description_says_the_version_and_what_made_it(tmp_path: Path) -> None:
    describe(tmp_path, version="9.9")
    facts = json.loads((tmp_path / "dataset_description.json").read_text())
    assert facts["BIDSVersion"] == "1.10.0"
    assert facts["GeneratedBy"] == [{"Name": "tapetum", "Version": "9.9"}]
    assert (tmp_path / "README").read_text()


def test_description_that_somebody_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    describe(tmp_path, version="9.9")
    assert (tmp_path / "dataset_description.json").read_text() == "{}"


def test_participants_are_listed_once_with_age_in_years_and_sex(tmp_path: Path) -> None:
    add_participant(tmp_path, "b", sex="F", age="063Y")
    add_participant(tmp_path, "a", sex="", age="006M")
    add_participant(tmp_path, "b", sex="M", age="001Y")
    assert (tmp_path / "participants.tsv").read_text().splitlines() == [
        "participant_id\tage\tsex",
        "sub-a\t0.5\tn/a",
        "sub-b\t63\tF",
    ]


def test_another_series_of_one_name_gets_the_next_run_and_the_same_its_own(tmp_path: Path) -> None:
    assert free_run(tmp_path, NAME, "1.1") == 1
    place = tmp_path / f"{NAME.path(1)}.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"SeriesInstanceUID": "1.1"}))
    assert free_run(tmp_path, NAME, "1.1") == 1
    assert free_run(tmp_path, NAME, "1.2") == 2
