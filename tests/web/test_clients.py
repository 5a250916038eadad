"""Clients of others, as they come: dicomweb-client with its defaults, and Orthanc in both directions."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image as Pillow
from pydicom import Dataset, dcmread

from tapetum.testing import dicom_series

ORTHANC_PLUGINS = Path("/usr/share/orthanc/plugins")


@pytest.fixture(scope="module")
def stored(make_client: Callable[..., Any]) -> tuple[Any, DICOMwebClient, list[Any]]:
    client = make_client()
    objects = dicom_series(slices=3, noise=10.0)
    other = DICOMwebClient(client.root)
    answer = other.store_instances(objects)
    assert len(answer.ReferencedSOPSequence) == 3
    return client, other, objects


def test_dicomweb_client_finds_what_it_stored(stored: tuple[Any, DICOMwebClient, list[Any]]) -> None:
    _, other, objects = stored
    for filters in ({"PatientID": "PAT*"}, {"PatientName": "Doe^*"}, {"00100020": "PAT-?"}, {}):
        (row,) = other.search_for_studies(search_filters=filters)
        assert Dataset.from_json(row).StudyInstanceUID == objects[0].StudyInstanceUID
    assert other.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    assert len(other.search_for_series(study_instance_uid=objects[0].StudyInstanceUID)) == 1
    found = other.search_for_instances(limit=2, offset=1, fields=["KVP"])
    assert [Dataset.from_json(row).KVP for row in found] == [120, 120]
    assert len(other.search_for_instances(get_remaining=True, limit=1)) == 3


def test_dicomweb_client_retrieves_with_its_defaults(stored: tuple[Any, DICOMwebClient, list[Any]]) -> None:
    _, other, objects = stored
    study, series = objects[0].StudyInstanceUID, objects[0].SeriesInstanceUID
    sent = {each.SOPInstanceUID: each for each in objects}
    for found in (other.retrieve_study(study), other.retrieve_series(study, series), [
        other.retrieve_instance(study, series, uid) for uid in sent
    ]):  # fmt: skip
        assert {each.SOPInstanceUID: each.PixelData for each in found} == {
            uid: each.PixelData for uid, each in sent.items()
        }


def test_dicomweb_client_retrieves_frames_bulk_data_and_pictures(
    stored: tuple[Any, DICOMwebClient, list[Any]],
) -> None:
    _, other, objects = stored
    uids = (objects[1].StudyInstanceUID, objects[1].SeriesInstanceUID, objects[1].SOPInstanceUID)
    assert other.retrieve_instance_frames(*uids, frame_numbers=[1]) == [objects[1].PixelData]
    plain = (("application/octet-stream", "*"),)
    assert other.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=plain) == [objects[1].PixelData]
    (model, *_) = other.retrieve_series_metadata(*uids[:2])
    assert len(other.retrieve_series_metadata(*uids[:2])) == len(other.retrieve_study_metadata(uids[0])) == 3
    assert other.retrieve_instance_metadata(*uids)["00080018"]["Value"] == [uids[2]]
    (bulk,) = other.retrieve_bulkdata(model["7FE00010"]["BulkDataURI"])
    assert bulk == next(each.PixelData for each in objects if each.SOPInstanceUID == model["00080018"]["Value"][0])
    for picture in (
        other.retrieve_instance_rendered(*uids),
        other.retrieve_instance_rendered(*uids, media_types=("image/png",), params={"window": "40,400,linear"}),
        other.retrieve_instance_frames_rendered(*uids, frame_numbers=[1]),
    ):
        assert np.asarray(Pillow.open(BytesIO(picture))).shape == (32, 32)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def orthanc(stored: tuple[Any, DICOMwebClient, list[Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Orthanc that knows our server as `tapetum`."""
    command = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if command is None or not list(ORTHANC_PLUGINS.glob("*DicomWeb*")):
        pytest.skip("no Orthanc with its DICOMweb plugin: apt-get install orthanc orthanc-dicomweb")
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    settings = {
        "Name": "peer", "StorageDirectory": str(folder), "HttpPort": port, "DicomServerEnabled": False,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [str(path) for path in ORTHANC_PLUGINS.glob("*DicomWeb*")],
        "DicomWeb": {"Enable": True, "Servers": {"tapetum": [f"{stored[0].root}/"]}},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([command, str(folder / "orthanc.json")], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                requests.get(f"{address}/system", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def test_orthanc_sends_to_us_and_fetches_from_us(stored: tuple[Any, DICOMwebClient, list[Any]], orthanc: str) -> None:
    _, other, objects = stored
    study = objects[0].StudyInstanceUID
    answer = requests.post(
        f"{orthanc}/dicom-web/servers/tapetum/retrieve", json={"Resources": [{"Study": study}]}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    kept = requests.get(f"{orthanc}/instances", timeout=20).json()
    assert len(kept) == 3
    file = requests.get(f"{orthanc}/instances/{kept[0]}/file", timeout=20).content
    assert dcmread(BytesIO(file)).StudyInstanceUID == study

    (new,) = dicom_series(slices=1, patient_id="PAT-9", study="9")
    peer = DICOMwebClient(f"{orthanc}/dicom-web")
    peer.store_instances([new])
    (found,) = [each for each in requests.get(f"{orthanc}/instances", timeout=20).json() if each not in kept]
    sent = requests.post(f"{orthanc}/dicom-web/servers/tapetum/stow", json={"Resources": [found]}, timeout=60)
    assert sent.status_code == 200, sent.text
    (row,) = other.search_for_studies(search_filters={"PatientID": "PAT-9"})
    assert Dataset.from_json(row).StudyInstanceUID == new.StudyInstanceUID


def test_orthanc_searches_and_looks_through_us(stored: tuple[Any, DICOMwebClient, list[Any]], orthanc: str) -> None:
    _, _, objects = stored
    answer = requests.post(
        f"{orthanc}/dicom-web/servers/tapetum/qido",
        json={"Uri": "/studies", "Arguments": {"PatientName": "Doe*"}},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert objects[0].StudyInstanceUID in answer.text
