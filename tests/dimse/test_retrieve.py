"""C-MOVE and C-GET as dcmtk's movescu and getscu ask for them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelGet as PatientGet
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyMove

from tapetum.dimse import Peer
from tapetum.formats.pixels import decode

from .conftest import Hospital, free_port

Fill = Callable[..., Hospital]
Dcmtk = Callable[..., subprocess.CompletedProcess[str]]


def _keys(**keys: str) -> list[str]:
    return [word for name, value in keys.items() for word in ("-k", f"{name}={value}")]


def _uids(folder: Path) -> list[str]:
    return sorted(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.iterdir())


def _sent(filled: Hospital, **wanted: str) -> list[str]:
    """SOP Instance UIDs of what was sent and has these values."""
    objects = [pydicom.dcmread(path, stop_before_pixels=True) for path in filled.files]
    return sorted(
        str(one.SOPInstanceUID) for one in objects if all(str(one[key].value) == value for key, value in wanted.items())
    )


def _levels(filled: Hospital) -> dict[str, dict[str, str]]:
    one = pydicom.dcmread(filled.files[0], stop_before_pixels=True)
    keys = {
        "PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID",
    }  # fmt: skip
    return {level: {key: str(one[key].value)} for level, key in keys.items()}


@pytest.mark.parametrize(("level", "expected"), [("PATIENT", 5), ("STUDY", 5), ("SERIES", 3), ("IMAGE", 1)])
def test_each_level_is_got_back_byte_for_byte(
    level: str, expected: int, hospital: Fill, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    filled = hospital()
    wanted = _levels(filled)[level]
    out = tmp_path / "got"
    out.mkdir()
    ran = dcmtk("getscu", "-P", "-od", out, *_keys(QueryRetrieveLevel=level, **wanted), "localhost", filled.server.port)
    assert ran.returncode == 0, ran.stderr
    assert _uids(out) == _sent(filled, **wanted)
    assert len(_uids(out)) == expected
    for path in out.iterdir():
        got = pydicom.dcmread(path)
        (original,) = (
            whole for one in filled.files if (whole := pydicom.dcmread(one)).SOPInstanceUID == got.SOPInstanceUID
        )
        assert got == original


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_each_level_is_moved_to_a_peer(level: str, hospital: Fill, dcmtk: Dcmtk, receiving: tuple[Peer, Path]) -> None:
    peer, folder = receiving
    filled = hospital(VIEWER=peer)
    wanted = _levels(filled)[level]
    keys = _keys(QueryRetrieveLevel=level, **wanted)
    ran = dcmtk("movescu", "-P", "-aem", "VIEWER", *keys, "localhost", filled.server.port)
    assert ran.returncode == 0, ran.stderr
    assert _uids(folder) == _sent(filled, **wanted)


def _move(filled: Hospital, destination: str, **keys: str) -> list[Dataset]:
    """The answers of a C-MOVE by pynetdicom, the last one with its identifier as ``identifier``."""
    ae = AE("ASKER")
    ae.add_requested_context(StudyMove)
    association = ae.associate("127.0.0.1", filled.server.port)
    asked = Dataset()
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    answers = []
    for status, identifier in association.send_c_move(asked, destination, StudyMove):
        status.identifier = identifier
        answers.append(status)
    association.release()
    return answers


def test_an_unknown_destination_is_answered_a801(hospital: Fill) -> None:
    filled = hospital()
    answers = _move(filled, "NOBODY", QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2")
    assert [one.Status for one in answers] == [0xA801]


def test_a_retrieval_that_names_nothing_is_refused_with_a900(hospital: Fill) -> None:
    filled = hospital(VIEWER=Peer("127.0.0.1", 1))
    for keys in ({"StudyInstanceUID": ""}, {"StudyInstanceUID": "1.2", "PatientID": "47*"}, {"PatientID": "4711"}):
        answers = _move(filled, "VIEWER", QueryRetrieveLevel="STUDY", **keys)
        assert [one.Status for one in answers] == [0xA900], keys


def test_what_is_not_there_is_moved_successfully_in_zero_pieces(hospital: Fill) -> None:
    filled = hospital(VIEWER=Peer("127.0.0.1", 1))
    (answer,) = _move(filled, "VIEWER", QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
    assert (answer.Status, answer.NumberOfCompletedSuboperations) == (0, 0)


def test_a_peer_that_cannot_be_reached_fails_every_object_by_name(hospital: Fill) -> None:
    filled = hospital(VIEWER=Peer("127.0.0.1", free_port()))
    wanted = _levels(filled)["STUDY"]
    (answer,) = _move(filled, "VIEWER", QueryRetrieveLevel="STUDY", **wanted)
    assert (answer.Status, answer.NumberOfFailedSuboperations) == (0xA702, 5)
    assert sorted(answer.identifier.FailedSOPInstanceUIDList) == _sent(filled, **wanted)


def test_progress_is_told_after_each_object(hospital: Fill, receiving: tuple[Peer, Path]) -> None:
    filled = hospital(VIEWER=receiving[0])
    answers = _move(filled, "VIEWER", QueryRetrieveLevel="STUDY", **_levels(filled)["STUDY"])
    assert [one.Status for one in answers] == [0xFF00] * 4 + [0]
    assert [one.NumberOfRemainingSuboperations for one in answers[:-1]] == [4, 3, 2, 1]
    assert answers[-1].NumberOfCompletedSuboperations == 5


def test_the_bytes_of_an_object_that_are_gone_are_a_failed_sub_operation(
    hospital: Fill, receiving: tuple[Peer, Path], tmp_path: Path
) -> None:
    filled = hospital(VIEWER=receiving[0])
    blob = next(path for path in sorted((tmp_path / "kept").rglob("*")) if path.is_file() and path.stat().st_size > 900)
    blob.unlink()
    statuses = [
        _move(filled, "VIEWER", QueryRetrieveLevel="STUDY", StudyInstanceUID=uid)[-1]
        for uid in {str(pydicom.dcmread(path).StudyInstanceUID) for path in filled.files}
    ]
    assert sorted(one.Status for one in statuses) == [0, 0xB000]
    assert sum(one.NumberOfFailedSuboperations for one in statuses) == 1


def _get(
    filled: Hospital, classes: dict[str, list[str]], *, patient: str = "4711", cancel: bool = False
) -> tuple[list[Dataset], int, Dataset]:
    """What a C-GET of a patient by pynetdicom brings, its last status and answer."""
    got: list[Dataset] = []
    ae = AE("ASKER")
    ae.add_requested_context(PatientGet)
    for sop_class, syntaxes in classes.items():
        ae.add_requested_context(sop_class, syntaxes)

    def keep(event: evt.Event) -> int:
        one = event.dataset
        one.file_meta = event.file_meta
        got.append(one)
        if cancel and len(got) == 1:
            event.assoc.send_c_cancel(9, query_model=PatientGet)
        return 0

    roles = [build_role(sop_class, scp_role=True) for sop_class in classes]
    association = ae.associate("127.0.0.1", filled.server.port, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, keep)])
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.PatientID = "PATIENT", patient
    answers = [status for status, _ in association.send_c_get(asked, PatientGet, msg_id=9)]
    association.release()
    return got, answers[-1].Status, answers[-1]


def test_a_class_that_the_peer_does_not_store_is_counted_as_failed(hospital: Fill) -> None:
    got, status, answer = _get(hospital(), {CTImageStorage: ["1.2.840.10008.1.2.1"]})
    assert {one.Modality for one in got} == {"CT"}
    assert status == 0xB000
    assert (answer.NumberOfCompletedSuboperations, answer.NumberOfFailedSuboperations) == (3, 2)


def test_a_cancelled_get_ends_with_fe00_and_says_what_is_left(hospital: Fill) -> None:
    plain = ["1.2.840.10008.1.2.1"]
    got, status, answer = _get(hospital(), {CTImageStorage: plain, MRImageStorage: plain}, cancel=True)
    assert status == 0xFE00
    assert answer.NumberOfRemainingSuboperations == 5 - len(got)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_a_compressed_object_is_decoded_for_a_peer_that_takes_no_compressed_ones(
    name: str, syntax: str, hospital: Fill
) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom comes without {name}")
    filled = hospital([Path(path)])
    original = pydicom.dcmread(path)
    got, status, _ = _get(filled, {MRImageStorage: [syntax]}, patient=original.PatientID)
    assert (status, len(got)) == (0, 1)
    assert got[0].file_meta.TransferSyntaxUID == syntax
    assert (decode(got[0]) == decode(original)).all()
