from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydicom import FileDataset

from tapetum.acquire import TableMapping
from tapetum.acquire.mapping import MappedObservation
from tapetum.errors import InvalidStudy, NotFound
from tapetum.flow import Workspace
from tapetum.testing import dicom_series, segmentation, structure_set, to_bytes


def write(folder: Path, objects: list) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(objects):
        (folder / f"{number}").write_bytes(to_bytes(item))
    return folder


def ellipsoid(images: list) -> FileDataset:
    """A structure set of an ellipsoid in the middle of a series."""
    x, y, z = (float(value) for value in images[len(images) // 2].ImagePositionPatient)
    return structure_set(images, centre_mm=(x + 12.0, y + 12.0, z), radii_mm=(8.0, 6.0, 6.0))


def test_a_new_workspace_has_a_key_only_its_owner_reads_and_explained_settings(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "hospital")
    key = workspace.folder / "key"
    assert key.stat().st_mode & 0o077 == 0
    assert len(bytes.fromhex(key.read_text().strip())) == 32
    assert "acquire" in (workspace.folder / "tapetum.toml").read_text()


def test_making_a_workspace_again_keeps_the_key(tmp_path: Path) -> None:
    first = Workspace.create(tmp_path / "hospital")
    assert Workspace.create(tmp_path / "hospital").names.patient("1") == first.names.patient("1")


def test_a_folder_that_holds_something_else_is_no_place_for_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(InvalidStudy) as caught:
        Workspace.create(tmp_path)
    assert caught.value.hint


def test_a_folder_that_is_no_workspace_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        Workspace(tmp_path)
    assert "tapetum init" in caught.value.hint


def test_a_lost_key_is_said_and_not_replaced(workspace: Workspace) -> None:
    (workspace.folder / "key").unlink()
    with pytest.raises(NotFound) as caught:
        Workspace(workspace.folder)
    assert "backup" in caught.value.hint
    assert not (workspace.folder / "key").exists()


def test_a_dicom_series_becomes_an_image_in_hounsfield_units(workspace: Workspace, tmp_path: Path) -> None:
    tally = workspace.acquire([write(tmp_path / "ct", dicom_series(slices=5, spacing_mm=(2.5, 0.8, 0.8)))])
    assert tally.outcomes["stored"] == 5
    (row,) = workspace.series().to_dicts()
    image = workspace.image(row["series_instance_uid"])
    assert image.axes == "zyx"
    assert image.quantity.unit == "[hnsf'U]"
    assert image.geometry is not None
    assert np.allclose(image.geometry.spacing_mm, (2.5, 0.8, 0.8))


def test_an_unknown_series_is_not_found(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        workspace.image("1.2.3")


def test_stages_run_once_and_take_up_what_is_new(workspace: Workspace, tmp_path: Path) -> None:
    workspace.acquire([write(tmp_path / "a", dicom_series(slices=4))])
    assert workspace.describe("radiomics").done == 1
    again = workspace.describe("radiomics")
    assert (again.done, again.skipped) == (0, 1)
    workspace.acquire([write(tmp_path / "b", dicom_series(slices=4, patient_id="PAT-2"))])
    more = workspace.describe("radiomics")
    assert (more.done, more.skipped) == (1, 1)


def test_quality_is_measured_and_a_missing_slice_is_noted(workspace: Workspace, tmp_path: Path) -> None:
    slices = dicom_series(slices=6)
    workspace.acquire([write(tmp_path / "gap", [*slices[:3], *slices[4:]])])
    workspace.standardise()
    rows = workspace.observations()
    assert "missing-slice" in rows.filter(pl.col("name") == "notice")["region"].to_list()
    assert len(rows.filter(pl.col("name").str.starts_with("quality_")))


def test_an_unknown_recipe_is_refused_with_the_known_ones(workspace: Workspace) -> None:
    with pytest.raises(InvalidStudy) as caught:
        workspace.describe("horoscope")
    assert "radiomics" in caught.value.hint


def test_a_series_that_cannot_be_built_is_counted_and_the_others_are_described(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.acquire([write(tmp_path / "good", dicom_series(slices=4, patient_id="PAT-1"))])
    (kept,) = workspace.series()["series_instance_uid"]
    workspace.acquire([write(tmp_path / "bad", dicom_series(slices=1, patient_id="PAT-9"))])
    (rotten,) = (s for s in workspace.catalogue.series() if s.series_instance_uid != kept)
    blob = workspace.catalogue.instances(rotten.series_instance_uid)[0].blob
    place = workspace.folder / "blobs" / blob[:2] / blob[2:]
    place.chmod(0o600)
    place.write_bytes(place.read_bytes()[:600])
    tally = workspace.describe("radiomics")
    assert (tally.done, tally.failed) == (2, 1)
    assert len(workspace.observations().filter(pl.col("name") == "stat_mean")) == 1


def test_the_same_stage_gives_the_same_rows_in_process_and_in_workers(tmp_path: Path) -> None:
    folders = [
        write(tmp_path / f"in{n}", dicom_series(slices=3, patient_id=f"P{n}", rows=8, columns=8)) for n in range(9)
    ]
    frames = []
    key = None
    for name, below in (("serial", 100), ("workers", 1)):
        workspace = Workspace.create(tmp_path / name, compute_workers=2)
        key = key or (workspace.folder / "key").read_text()
        (workspace.folder / "key").chmod(0o600)
        (workspace.folder / "key").write_text(key)
        workspace = Workspace(tmp_path / name, compute_workers=2)
        workspace.serial_below = below
        workspace.acquire(folders)
        workspace.standardise()
        frames.append(workspace.observations())
    assert frames[0].equals(frames[1])


def test_features_of_a_mask_carry_its_name_and_what_was_noticed_about_it(workspace: Workspace, tmp_path: Path) -> None:
    images = dicom_series(slices=8)
    drawn = ellipsoid(images)
    workspace.acquire([write(tmp_path / "ct", [*images, drawn])])
    workspace.describe("radiomics")
    rows = workspace.observations().filter(pl.col("method") == "radiomics/1")
    (uid,) = workspace.series().filter(pl.col("role") == "image")["series_instance_uid"]
    (region,) = workspace.regions(uid)
    assert set(rows["region"]) == {region.label}
    volume = rows.filter(pl.col("name") == "morph_volume_voxel_counting")["value"].item()
    assert volume == pytest.approx(region.volume_mm3)


def test_what_was_noticed_about_a_mask_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    images = dicom_series(slices=8)
    drawn = ellipsoid(images)
    contours = drawn.ROIContourSequence[0].ContourSequence
    del contours[len(contours) // 2]
    workspace.acquire([write(tmp_path / "ct", [*images, drawn])])
    workspace.describe("radiomics")
    noticed = workspace.observations().filter(pl.col("name") == "notice")
    assert "contour-gap" in noticed["text"].item()


def test_a_mask_in_another_frame_of_reference_belongs_to_no_image(workspace: Workspace, tmp_path: Path) -> None:
    images = dicom_series(slices=8)
    drawn = ellipsoid(images)
    drawn.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3.4"
    drawn.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3.4"
    workspace.acquire([write(tmp_path / "ct", [*images, drawn])])
    (uid,) = workspace.series().filter(pl.col("role") == "image")["series_instance_uid"]
    assert workspace.regions(uid) == []


def test_a_mask_that_comes_later_is_described_and_the_whole_image_no_longer(
    workspace: Workspace, tmp_path: Path
) -> None:
    images = dicom_series(slices=8)
    workspace.acquire([write(tmp_path / "ct", images)])
    workspace.describe("radiomics")
    workspace.acquire([write(tmp_path / "mask", [ellipsoid(images)])])
    assert workspace.describe("radiomics").done == 1
    rows = workspace.observations().filter(pl.col("method") == "radiomics/1")
    assert set(rows["region"]) == {"GTV"}
    assert workspace.describe("radiomics").skipped == 1


def test_slices_that_come_later_make_the_quality_new(workspace: Workspace, tmp_path: Path) -> None:
    slices = dicom_series(slices=6)
    workspace.acquire([write(tmp_path / "first", [*slices[:2], slices[4], slices[5]])])
    workspace.standardise()
    workspace.acquire([write(tmp_path / "rest", slices[2:4])])
    assert workspace.standardise().done == 1
    assert "missing-slice" not in workspace.observations()["region"].to_list()


def test_two_masks_of_one_name_are_told_apart(workspace: Workspace, tmp_path: Path) -> None:
    images = dicom_series(slices=8)
    second = ellipsoid(images)
    second.SOPInstanceUID, second.SeriesInstanceUID = "2.25.77", "2.25.78"
    second.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    workspace.acquire([write(tmp_path / "ct", [*images, ellipsoid(images), second])])
    workspace.describe("radiomics")
    volumes = workspace.observations().filter(pl.col("name") == "morph_volume_mesh")
    assert sorted(volumes["region"]) == ["GTV", "GTV~2"]


def test_a_mask_that_fits_nowhere_does_not_spoil_the_others(workspace: Workspace, tmp_path: Path) -> None:
    images = dicom_series(slices=8)
    good = ellipsoid(images)
    other = dicom_series(slices=8, patient_id="PAT-1", spacing_mm=(2.5, 0.5, 0.5))
    bad = segmentation(other, {"lesion": np.ones((8, 32, 32), bool)})
    bad.ReferencedSeriesSequence[0].SeriesInstanceUID = images[0].SeriesInstanceUID
    bad.StudyInstanceUID = images[0].StudyInstanceUID
    workspace.acquire([write(tmp_path / "ct", [*images, good, bad])])
    tally = workspace.describe("radiomics")
    rows = workspace.observations().filter(pl.col("method") == "radiomics/1")
    assert rows.filter(pl.col("name") == "morph_volume_mesh")["region"].to_list() == ["GTV"]
    assert tally.failed == 1
    assert rows.filter(pl.col("name") == "failed")["text"].item() == "invalid-geometry"


def test_a_volume_is_built_once_and_not_again(workspace: Workspace, tmp_path: Path) -> None:
    workspace.acquire([write(tmp_path / "in", dicom_series(slices=3))])
    uid = workspace.series()["series_instance_uid"][0]
    first = workspace.image(uid)
    assert len(list((workspace.folder / "volumes").rglob("*.ome.zarr"))) == 1
    for blob in (workspace.folder / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    again = workspace.image(uid)
    assert np.array_equal(again.array, first.array)
    assert (again.geometry, again.instances, again.notices) == (first.geometry, first.instances, first.notices)


def test_a_slice_that_comes_later_makes_another_volume(workspace: Workspace, tmp_path: Path) -> None:
    slices = dicom_series(slices=4)
    workspace.acquire([write(tmp_path / "in", slices[:3])])
    uid = workspace.series()["series_instance_uid"][0]
    assert workspace.image(uid).array.shape[0] == 3
    workspace.acquire([write(tmp_path / "more", slices[3:])])
    assert workspace.image(uid).array.shape[0] == 4


@pytest.mark.parametrize("deidentify", [True, False])
def test_a_number_of_our_own_issuer_is_the_same_patient_in_a_table_without_issuer(
    tmp_path: Path, deidentify: bool
) -> None:
    images = dicom_series(slices=2)
    for item in images:
        item.IssuerOfPatientID = "North"
    folder = write(tmp_path / "in", images)
    (folder / "age.csv").write_text(f"id,age,date\n{images[0].PatientID},61,2020-02-29\n")
    columns = {"patient": "id", "date": "date"}
    mapping = TableMapping(columns=columns, observations=(MappedObservation("age", "age"),))
    flags = {"protect_deidentify": deidentify, "acquire_issuer": "North"}
    workspace = Workspace.create(tmp_path / "w", **flags)
    workspace.acquire([folder], mapping=mapping)
    (key,) = workspace.observations()["patient_key"]
    assert [series.patient_key for series in workspace.catalogue.series()] == [key]
    assert (key == images[0].PatientID) is not deidentify
    assert (workspace.observations()["effective_at"].item() == "2020-02-29") is not deidentify
