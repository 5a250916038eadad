"""Out of the workspace: series as NIfTI, DICOM or OME-Zarr files that other programs read.

In: series of a workspace.  Out: files, and for each series what became of it; one that cannot be written does not stop
the others.  Start reading at `export`; `select` finds the series.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal

from pydicom import Dataset

from tapetum import __version__
from tapetum.errors import InvalidStudy, NotFound, RejectedInput, TapetumError
from tapetum.flow import bids_folder
from tapetum.flow.workspace import Workspace
from tapetum.formats import bids, dicom_out, nifti_out
from tapetum.formats.vendor import add_standard
from tapetum.model import Image, Instance, Query, Series
from tapetum.standardise import open_dataset
from tapetum.store import write_zarr

__all__ = ["Exported", "Form", "export", "select"]

Form = Literal["nifti", "dicom", "zarr"]
CHUNK = 1 << 20
NAMED_BY = ("SeriesInstanceUID", "StudyInstanceUID", "patient_key")


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one series: its files, relative to the folder; or a code and the reason why there are none."""

    series_instance_uid: str
    files: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""


def select(workspace: Workspace, names: Sequence[str], *, modality: str = "") -> list[Series]:
    """Series by name, in the order of patient, study date and series.

    Parameters
    ----------
    names : Series Instance UIDs, Study Instance UIDs or patient keys, mixed; none means all.
    modality : only of this one.

    Raises
    ------
    NotFound : a name is that of no series, study or patient of the workspace.
    """
    if not names:
        return sorted(workspace.catalogue.series(Query("series", {"Modality": modality})), key=_order)
    wanted: dict[str, Series] = {}
    for name in names:
        named = [series for level in NAMED_BY for series in workspace.catalogue.series(Query("series", {level: name}))]
        # A patient's own number may hold what is a wildcard or a separator in a query.
        found = {series.series_instance_uid: series for series in named if name in _names_of(series)}
        if not found:
            raise NotFound("no such series, study or patient", hint="list them: tapetum series", name=name)
        wanted |= found
    return sorted((series for series in wanted.values() if modality in ("", series.modality)), key=_order)


def export(
    workspace: Workspace, wanted: Sequence[Series], *, form: Form, to: Path, bids: bool = False
) -> Iterator[Exported]:
    """Write series one after the other; each is told of as it is done.

    Every file is written beside its place and renamed into it. Running it again writes the same files.

    Parameters
    ----------
    workspace : they are of.
    wanted : see `select`.
    form : ``nifti``, with a JSON and FSL's b-tables beside each volume; ``dicom``, the stored objects as they are, and
        new ones for series that came in another format; ``zarr``, OME-Zarr folders.
    to : a folder; made when it is not there.
    bids : brain scans by their BIDS names (NIfTI only); what has none is told of and not written.

    Raises
    ------
    InvalidStudy : BIDS in another form than NIfTI.
    """
    if bids and form != "nifti":
        raise InvalidStudy("BIDS holds NIfTI", hint="export with --format nifti")
    to.mkdir(parents=True, exist_ok=True)
    write: Callable[[Workspace, Series, Path], Sequence[str]] = {
        "nifti": _bids if bids else _nifti,
        "dicom": _dicom,
        "zarr": _zarr,
    }[form]
    for series in wanted:
        try:
            yield Exported(series.series_instance_uid, tuple(write(workspace, series, to)))
        except _Refused as error:
            yield Exported(series.series_instance_uid, code=error.code, reason=str(error))
        except TapetumError as error:
            yield Exported(series.series_instance_uid, code=error.code, reason=str(error))


class _Refused(Exception):
    """A series that the form has no place for."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _names_of(series: Series) -> set[str]:
    return {series.series_instance_uid, series.study_instance_uid, series.patient_key}


def _order(series: Series) -> tuple[str, str, float, str]:
    number = str(series.attributes.get("SeriesNumber") or "")
    date = str(series.attributes.get("StudyDate") or "")
    return (series.patient_key, date, float(number) if number.isdigit() else 0.0, series.series_instance_uid)


def _nifti(workspace: Workspace, series: Series, to: Path) -> list[str]:
    image = _volume(workspace, series)
    header = _header(workspace, series)
    return _write_nifti(image, to, _place(series), bids.sidecar(header, image))


def _bids(workspace: Workspace, series: Series, to: Path) -> list[str]:
    image = _volume(workspace, series)
    header = _header(workspace, series)
    date = str(series.attributes.get("StudyDate") or "")
    try:
        name = bids.name_of(header, image, patient_key=series.patient_key, study_date=date)
    except bids.Unnamed as error:
        raise _Refused("no-bids-name", str(error)) from error
    run = bids_folder.free_run(to, name, series.series_instance_uid)
    files = _write_nifti(image, to, name.path(run), bids.sidecar(header, image, name))
    facts = {keyword: str(series.attributes.get(keyword) or "") for keyword in ("PatientSex", "PatientAge")}
    bids_folder.describe(to, version=__version__)
    bids_folder.add_participant(to, name.subject, sex=facts["PatientSex"], age=facts["PatientAge"])
    return files


def _write_nifti(image: Image, to: Path, stem: str, facts: dict[str, object]) -> list[str]:
    (to / stem).parent.mkdir(parents=True, exist_ok=True)
    texts = {
        ".json": json.dumps(
            {**facts, "ConversionSoftware": "tapetum", "ConversionSoftwareVersion": __version__}, indent=2
        )
        + "\n"
    }
    if image.b_values:
        values, vectors = nifti_out.b_tables(image)
        texts |= {".bval": values, **({".bvec": vectors} if vectors else {})}
    with _renamed(to / f"{stem}.nii.gz") as out:
        nifti_out.write(image, out)
    for ending, text in texts.items():
        with _renamed(to / f"{stem}{ending}") as out:
            out.write(text.encode())
    return [f"{stem}.nii.gz", *(stem + ending for ending in texts)]


def _zarr(workspace: Workspace, series: Series, to: Path) -> list[str]:
    image = _volume(workspace, series)
    place = f"{_place(series)}.ome.zarr"
    (to / place).parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=(to / place).parent, prefix=".new-"))
    try:
        write_zarr(image, part / "volume")
        if (to / place).exists():
            shutil.rmtree(to / place)
        (part / "volume").rename(to / place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [place]


def _dicom(workspace: Workspace, series: Series, to: Path) -> list[str]:
    folder = _place(series)
    (to / folder).mkdir(parents=True, exist_ok=True)
    instances = workspace.catalogue.instances(series.series_instance_uid)
    if series.format != "dicom":
        if series.role == "mask":
            raise _Refused("unsupported", "a mask that came in another format than DICOM")
        return _made(workspace.image(series.series_instance_uid), series, to, folder)
    files = []
    for instance in instances:
        name = f"{folder}/{_safe(instance.sop_instance_uid)}.dcm"
        with _renamed(to / name) as out, _blob(workspace, instance) as source:
            shutil.copyfileobj(source, out, CHUNK)
        files.append(name)
    return files


def _made(image: Image, series: Series, to: Path, folder: str) -> list[str]:
    owner = dicom_out.Owner(
        series.patient_key,
        series.study_instance_uid,
        series.series_instance_uid,
        str(series.attributes.get("StudyDate") or ""),
        str(series.attributes.get("PatientSex") or ""),
    )
    files = []
    for made in dicom_out.objects_of(image, owner, version=__version__):
        files.append(f"{folder}/{made.SOPInstanceUID}.dcm")
        with _renamed(to / files[-1]) as out:
            made.save_as(out, enforce_file_format=True)
    return files


def _volume(workspace: Workspace, series: Series) -> Image:
    """The image of a series, if it has a place in the patient."""
    if series.role == "mask":
        raise _Refused("mask", "a mask; export it as dicom, or its image with `Workspace.regions`")
    image = workspace.image(series.series_instance_uid)
    if image.geometry is None or image.axes not in ("zyx", "tzyx"):
        raise _Refused("no-volume", "an image without a place in the patient; export it as dicom")
    return image


def _header(workspace: Workspace, series: Series) -> Dataset:
    """The header of the first object of a series; the little that is known where it came as no DICOM."""
    if series.format == "dicom":
        instances = workspace.catalogue.instances(series.series_instance_uid)
        header = open_dataset(workspace.blobs.open, instances[0].blob, pixels=False)
        add_standard(header)
        return header
    header = Dataset()
    header.Modality = series.modality
    header.BodyPartExamined = str(series.attributes.get("BodyPartExamined") or "")
    return header


def _blob(workspace: Workspace, instance: Instance) -> BinaryIO:
    try:
        return workspace.blobs.open(instance.blob)
    except KeyError as error:
        raise RejectedInput("unreadable", "a stored object is gone", blob=instance.blob) from error


def _place(series: Series) -> str:
    """Patient, study, series: a path without an ending."""
    return "/".join(map(_safe, (series.patient_key, series.study_instance_uid, series.series_instance_uid)))


def _safe(name: str) -> str:
    """A name as one part of a path. One that had to be changed gets a digest, so that two never become one."""
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:120]
    return kept if kept and kept == name else f"{kept}-{sha256(name.encode()).hexdigest()[:8]}"


@contextmanager
def _renamed(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at its place when it is whole, or never."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
