import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
import zarr
from pydicom.sr.codedict import codes

from tapetum.errors import InvalidStudy, NotFound
from tapetum.flow import Workspace
from tapetum.flow.export import Exported, export, select
from tapetum.testing import dicom_series, radiograph, segmentation, siemens_mosaic, to_bytes


def take_in(workspace: Workspace, folder: Path, objects: list) -> Workspace:
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(objects):
        (folder / f"{number}").write_bytes(to_bytes(item))
    workspace.acquire([folder])
    return workspace


def brain(**facts: object) -> list:
    """A T1-weighted series of a head."""
    slices = dicom_series(modality="MR", slices=4)
    t1 = {"BodyPartExamined": "BRAIN", "ScanningSequence": "SE", "EchoTime": "12", "RepetitionTime": "500", **facts}
    for one in slices:
        for keyword, value in t1.items():
            setattr(one, keyword, value)
    return slices


def run(workspace: Workspace, to: Path, form: str, **more: object) -> list[Exported]:
    return list(export(workspace, select(workspace, []), form=form, to=to, **more))


def converted(source: Path, folder: Path) -> Path:
    """What dcm2niix makes of a folder."""
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("no dcm2niix: install it")
    folder.mkdir()
    subprocess.run([program, "-z", "n", "-f", "out", "-o", folder, source], check=True, stdout=subprocess.DEVNULL)
    return folder / "out.nii"


def test_series_are_found_by_series_study_patient_and_modality(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, tmp_path / "in", [*dicom_series(slices=2), *brain()])
    ct = next(series for series in workspace.catalogue.series() if series.modality == "CT")
    assert select(workspace, [ct.series_instance_uid]) == [ct]
    assert len(select(workspace, [ct.patient_key])) == 2
    assert select(workspace, [ct.patient_key], modality="CT") == [ct]
    assert ct in select(workspace, [ct.study_instance_uid])
    assert len(select(workspace, [])) == 2


def test_unknown_name_is_said(workspace: Workspace) -> None:
    with pytest.raises(NotFound) as caught:
        select(workspace, ["1.2.3"])
    assert "tapetum series" in caught.value.hint


def test_nifti_has_every_value_where_dcm2niix_puts_it(workspace: Workspace, tmp_path: Path) -> None:
    slices = dicom_series(direction=((0.0, -0.6, 0.8), (0.0, 0.8, 0.6), (1.0, 0.0, 0.0)), noise=20)
    take_in(workspace, tmp_path / "in", slices)
    (one,) = run(workspace, tmp_path / "out", "nifti")
    ours = nib.load(tmp_path / "out" / one.files[0])
    theirs = nib.load(converted(tmp_path / "in", tmp_path / "theirs"))
    assert np.allclose(ours.affine, theirs.affine, atol=1e-4)
    assert np.array_equal(ours.get_fdata(), theirs.get_fdata())
    read = SimpleITK.ReadImage(str(tmp_path / "out" / one.files[0]))
    assert read.GetSpacing() == pytest.approx((0.8, 0.8, 2.5))


@pytest.mark.parametrize(("folder", "modality"), [("CT", "CT"), ("PET", "PT"), ("MR_T1", "MR")])
@pytest.mark.slow
def test_real_series_is_the_one_of_dcm2niix(
    shared_data: Callable[[str], Path], workspace: Workspace, tmp_path: Path, folder: str, modality: str
) -> None:
    source = shared_data("sts_dicom") / "STS_012" / folder / "image"
    workspace.acquire([source])
    (one,) = run(workspace, tmp_path / "out", "nifti")
    ours = nib.load(tmp_path / "out" / one.files[0])
    theirs = nib.load(converted(source, tmp_path / "theirs"))
    # dcm2niix leaves some stacks in the order in which they were acquired.
    ours, theirs = nib.as_closest_canonical(ours), nib.as_closest_canonical(theirs)
    assert np.allclose(ours.affine, theirs.affine, atol=1e-3)
    found, expected = ours.get_fdata(), theirs.get_fdata()
    if modality == "PT":  # ours are SUV, theirs Bq/mL: one factor for all
        factor = found.sum() / expected.sum()
        assert np.allclose(found, expected * factor, rtol=1e-4, atol=1e-4)
    else:
        assert np.array_equal(found, expected)


def test_functional_series_keeps_its_seconds_and_gets_its_bids_name(workspace: Workspace, tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).integers(0, 4000, (10, 5, 8, 10), dtype=np.uint16)
    files = [siemens_mosaic(one, number=at + 1, seconds=2.0 * at) for at, one in enumerate(volumes)]
    for one in files:
        one.BodyPartExamined, one.SeriesDescription = "BRAIN", "task rest"
    take_in(workspace, tmp_path / "in", files)
    (one,) = run(workspace, tmp_path / "out", "nifti", bids=True)
    assert not one.code, one.reason
    assert "/func/" in one.files[0]
    assert one.files[0].endswith("_bold.nii.gz")
    ours, theirs = nib.load(tmp_path / "out" / one.files[0]), nib.load(converted(tmp_path / "in", tmp_path / "theirs"))
    assert ours.header.get_zooms()[3] == theirs.header.get_zooms()[3] == 2
    assert np.allclose(ours.affine, theirs.affine, atol=1e-4)
    assert np.array_equal(ours.get_fdata(), theirs.get_fdata())
    facts = json.loads((tmp_path / "out" / one.files[0].replace(".nii.gz", ".json")).read_text())
    theirs_json = json.loads((tmp_path / "theirs" / "out.json").read_text())
    for key in ("RepetitionTime", "EchoTime", "MagneticFieldStrength", "ScanningSequence"):
        assert facts[key] == theirs_json[key], key


def test_diffusion_series_has_the_tables_of_dcm2niix(workspace: Workspace, tmp_path: Path) -> None:
    weights = [(0.0, None), (1000.0, (0.6, 0.0, 0.8)), (1000.0, (0.0, 1.0, 0.0))]
    volumes = np.random.default_rng(0).integers(0, 4000, (3, 5, 8, 10), dtype=np.uint16)
    files = []
    for at, (values, (b, direction)) in enumerate(zip(volumes, weights, strict=True)):
        one = siemens_mosaic(values, number=at + 1, seconds=3.0 * at, b_value=b, gradient=direction)
        one.BodyPartExamined, one.PatientPosition = "BRAIN", "HFS"
        files.append(one)
    take_in(workspace, tmp_path / "in", files)
    (one,) = run(workspace, tmp_path / "out", "nifti", bids=True)
    assert {name.split(".", 1)[1] for name in one.files} == {"nii.gz", "json", "bval", "bvec"}
    stem = tmp_path / "out" / one.files[0].removesuffix(".nii.gz")
    assert stem.parent.name == "dwi"
    converted(tmp_path / "in", tmp_path / "theirs")
    for ending in (".bval", ".bvec"):
        ours = np.loadtxt(stem.with_suffix(ending))
        assert np.allclose(ours, np.loadtxt(tmp_path / "theirs" / f"out{ending}"), atol=1e-4)


def test_bids_folder_says_what_it_is_and_lists_what_has_no_name(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, tmp_path / "in", [*brain(), *dicom_series(slices=2)])
    ct, mr = sorted(run(workspace, tmp_path / "out", "nifti", bids=True), key=lambda one: not one.code)
    assert (ct.code, ct.files) == ("no-bids-name", ())
    assert "MR only" in ct.reason
    subject = mr.files[0].split("/")[0]
    assert mr.files[0].startswith(f"{subject}/ses-")
    assert mr.files[0].endswith("_T1w.nii.gz")
    assert (tmp_path / "out" / "dataset_description.json").exists()
    assert subject in (tmp_path / "out" / "participants.tsv").read_text()


def test_exporting_again_writes_the_same_files(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, tmp_path / "in", brain())
    first = run(workspace, tmp_path / "out", "nifti", bids=True)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert run(workspace, tmp_path / "out", "nifti", bids=True) == first
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_stored_objects_come_out_byte_for_byte_by_patient_study_and_series(
    workspace: Workspace, tmp_path: Path
) -> None:
    take_in(workspace, tmp_path / "in", dicom_series(slices=3))
    (one,) = run(workspace, tmp_path / "out", "dicom")
    (series,) = workspace.catalogue.series()
    assert len(one.files) == 3
    for name, instance in zip(one.files, workspace.catalogue.instances(series.series_instance_uid), strict=True):
        assert name == (
            f"{series.patient_key}/{series.study_instance_uid}/{series.series_instance_uid}"
            f"/{instance.sop_instance_uid}.dcm"
        )
        with workspace.blobs.open(instance.blob) as blob:
            assert (tmp_path / "out" / name).read_bytes() == blob.read()


def test_volume_that_came_as_nifti_goes_out_as_dicom(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    array = np.random.default_rng(0).integers(0, 900, (5, 6, 7)).astype(np.int16)
    nib.Nifti1Image(array, np.diag([-1.0, -1.0, 2.0, 1.0])).to_filename(tmp_path / "in" / "p1.nii.gz")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text("[image]\nmodality = 'MR'\n[files]\npattern = '(?P<patient>p\\d+)'\n")
    workspace.acquire([tmp_path / "in"], mapping=mapping)
    (one,) = run(workspace, tmp_path / "out", "dicom")
    slices = [pydicom.dcmread(tmp_path / "out" / name) for name in one.files]
    assert [each.Modality for each in slices] == ["MR"] * 7
    assert np.array_equal(np.stack([each.pixel_array for each in slices]), array.T)


def test_zarr_opens_with_its_axes(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, tmp_path / "in", dicom_series())
    (one,) = run(workspace, tmp_path / "out", "zarr")
    assert zarr.open_group(tmp_path / "out" / one.files[0]).attrs["ome"]["version"] == "0.5"
    assert run(workspace, tmp_path / "out", "zarr") == [one]


def test_what_makes_no_volume_is_told_and_does_not_stop_the_rest(workspace: Workspace, tmp_path: Path) -> None:
    slices = dicom_series()
    mask = segmentation(slices, {"lesion": np.ones((8, 32, 32), bool)})
    take_in(workspace, tmp_path / "in", [*slices, mask, radiograph()])
    done = run(workspace, tmp_path / "out", "nifti")
    assert sorted(one.code for one in done) == ["", "mask", "no-volume"]
    assert not list((tmp_path / "out").rglob(".new-*"))


def test_object_that_is_gone_is_told(workspace: Workspace, tmp_path: Path) -> None:
    take_in(workspace, tmp_path / "in", dicom_series(slices=1))
    for blob in (workspace.folder / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    (one,) = run(workspace, tmp_path / "out", "dicom")
    assert one.code == "unreadable"


def test_patient_number_cannot_lead_out_of_the_folder(workspace: Workspace, tmp_path: Path) -> None:
    from tapetum.flow.export import _safe

    names = ["../../etc", "..", "a/b", "a_b", ""]
    assert not any("/" in _safe(name) or _safe(name).startswith(".") for name in names)
    assert len({_safe(name) for name in names}) == len(names)


def test_bids_in_another_form_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy):
        run(workspace, tmp_path / "out", "dicom", bids=True)


def test_label_map_segmentation_is_a_mask_of_its_image(workspace: Workspace, tmp_path: Path) -> None:
    slices = dicom_series()
    labels = np.zeros((8, 32, 32), np.uint8)
    labels[3:5, 10:20, 10:20] = 1
    organ = highdicom.seg.SegmentDescription(
        1, "liver", codes.SCT.Organ, codes.SCT.Liver, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
    )
    drawn = highdicom.seg.Segmentation(
        slices, labels, "LABELMAP", [organ], highdicom.UID(), 7, highdicom.UID(), 1, "m", "m", "1", "1"
    )
    take_in(workspace, tmp_path / "in", [*slices, drawn])
    (region,) = workspace.regions(next(one for one in select(workspace, []) if one.role == "image").series_instance_uid)
    assert region.label == "liver"
    assert np.array_equal(region.array, labels == 1)
