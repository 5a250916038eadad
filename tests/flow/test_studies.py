import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tapetum.errors import InvalidStudy, LeakageFound, NotFound
from tapetum.flow import Workspace
from tapetum.flow.predictions import predict_paths
from tapetum.flow.studies import check_study, run_study
from tapetum.testing import dicom_series, to_bytes


@pytest.fixture
def study(pictures: Path) -> Path:
    path = pictures.parent / "study.toml"
    path.write_text(path.read_text() + '\n[data]\npaths = ["pictures"]\nmapping = "mapping.toml"\n')
    return path


def test_one_file_leads_from_pictures_to_report_and_model(workspace: Workspace, study: Path) -> None:
    finished = run_study(workspace, study)
    assert finished.result.test is not None
    assert finished.result.test.metrics["roc_auc"].value > 0.7
    page = finished.report.read_text()
    assert "Red or not" in page
    assert "not a certified medical device" in page.lower()
    assert "Person" not in page
    assert (finished.model / "card.json").exists()
    assert json.loads((finished.folder / "result.json").read_text())["chosen"] == finished.result.chosen


def test_the_same_study_twice_gives_the_same_figures(workspace: Workspace, study: Path) -> None:
    first, second = run_study(workspace, study).result, run_study(workspace, study).result
    assert first.predictions == second.predictions
    assert first.lineage["data_digest"] == second.lineage["data_digest"]


def test_another_workspace_with_another_key_gives_the_same_figures(
    workspace: Workspace, study: Path, tmp_path: Path
) -> None:
    first = run_study(workspace, study).result
    second = run_study(Workspace.create(tmp_path / "elsewhere", compute_workers=1), study).result
    assert first.predictions[0].patient_key != second.predictions[0].patient_key
    assert first.test == second.test
    assert first.lineage["data_digest"] == second.lineage["data_digest"]


@pytest.mark.parametrize("copy", ["copy.png", "copy.tif"])
def test_one_picture_under_two_patients_is_refused_by_name(workspace: Workspace, study: Path, copy: str) -> None:
    table = study.parent / "pictures" / "spots.csv"
    Image.open(study.parent / "pictures" / "0.png").save(study.parent / "pictures" / copy)
    table.write_text(table.read_text() + f"Somebody else,{copy},N,red\n")
    with pytest.raises(LeakageFound) as caught:
        run_study(workspace, study)
    assert caught.value.code == "leakage-identical-image"


def test_new_pictures_get_a_probability_and_strange_ones_an_abstention(
    workspace: Workspace, study: Path, tmp_path: Path, spot: Callable[..., None]
) -> None:
    model = run_study(workspace, study).model
    new = tmp_path / "new"
    new.mkdir()
    spot(new / "a_red.png", red=True, seed=1001)
    spot(new / "b_brown.png", red=False, seed=1002)
    (new / "c_text.png").write_text("no picture")
    red, brown, text = predict_paths(model, [new])
    assert red.files[0].endswith("a_red.png")
    assert red.risk is not None
    assert brown.risk is not None
    assert red.risk.probability is not None
    assert brown.risk.probability is not None
    assert red.risk.probability > brown.risk.probability
    assert red.risk.awaits_signature
    assert text.rejected == "unknown-format"


def test_an_image_of_another_modality_is_not_judged(workspace: Workspace, study: Path, tmp_path: Path) -> None:
    model = run_study(workspace, study).model
    for number, item in enumerate(dicom_series(slices=3)):
        (tmp_path / f"{number}.dcm").write_bytes(to_bytes(item))
    (row,) = predict_paths(model, [tmp_path / f"{number}.dcm" for number in range(3)])
    assert row.risk is not None
    assert row.risk.probability is None
    assert "other-modality" in [reason.code for reason in row.risk.abstentions]
    assert len(row.files) == 3


def test_a_model_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        predict_paths(tmp_path / "nothing", [tmp_path])


def test_studies_of_other_names_never_share_a_folder(workspace: Workspace, study: Path) -> None:
    text = study.read_text()
    folders = set()
    for name in ("糖尿病视网膜病变", "肺癌", "Red: or not", "Red or (not)"):
        study.write_text(text.replace("Red or not", name))
        folders.add(run_study(workspace, study).folder.name)
    assert len(folders) == 4
    assert "肺癌" in folders


def test_a_checked_study_is_the_one_that_runs(study: Path) -> None:
    assert check_study(study).data.mapping == "mapping.toml"


def test_a_recipe_that_does_not_exist_is_found_before_anything_runs(study: Path) -> None:
    study.write_text(study.read_text().replace('recipes = ["picture"]', 'recipes = ["pictures"]'))
    with pytest.raises(InvalidStudy, match="did you mean 'picture'"):
        check_study(study)


@pytest.mark.parametrize(("right", "wrong"), [('kind = "text"', 'kind = "txet"'), ("[columns]", "[colums]")])
def test_a_wrong_word_in_the_mapping_is_found_before_anything_runs(study: Path, right: str, wrong: str) -> None:
    mapping = study.parent / "mapping.toml"
    mapping.write_text(mapping.read_text().replace(right, wrong))
    with pytest.raises(InvalidStudy):
        check_study(study)


def test_a_mapping_that_is_not_there_is_found_before_anything_runs(study: Path) -> None:
    (study.parent / "mapping.toml").unlink()
    with pytest.raises(InvalidStudy, match="mapping"):
        check_study(study)


def test_files_of_a_study_that_were_rejected_are_counted(workspace: Workspace, study: Path) -> None:
    (study.parent / "pictures" / "empty.png").touch()
    assert run_study(workspace, study).rejected == 1
