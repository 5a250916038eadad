"""Exchange with a real peer, Orthanc, in both directions and both protocols, and with peers that misbehave."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import RLELossless

from tapetum.dimse.sending import transcoded
from tapetum.errors import NotFound, PeerFailed
from tapetum.flow import Workspace
from tapetum.flow import exchange as module
from tapetum.flow.exchange import Exchanged, pull, push
from tapetum.testing import dicom_series, to_bytes

ORTHANC = Path("/usr/sbin/Orthanc")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PROTOCOLS = ("DIMSE", "WEB")


@dataclass
class Orthanc:
    """A running Orthanc and what a test asks of it."""

    http: int
    dicom: int

    def call(self, path: str, data: bytes | None = None) -> Any:
        url = f"http://127.0.0.1:{self.http}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as answer:
            return json.loads(answer.read())

    def fill(self, *series: Any) -> None:
        for item in (item for one in series for item in one):
            self.call("/instances", to_bytes(item))

    def clear(self) -> None:
        for one in self.call("/patients"):
            url = f"http://127.0.0.1:{self.http}/patients/{one}"
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


OURS = free_port()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if not (ORTHANC.exists() and DICOMWEB.exists()):
        pytest.skip("Orthanc is not there: apt install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    found = Orthanc(free_port(), free_port())
    settings = {
        "StorageDirectory": str(folder / "db"),
        "HttpPort": found.http,
        "DicomPort": found.dicom,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "AuthenticationEnabled": False,
        "Plugins": [str(DICOMWEB)],
        "DicomModalities": {"us": ["TAPETUM", "127.0.0.1", OURS]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = (folder / "log").open("wb")
    process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], stdout=log, stderr=log)
    deadline = time.monotonic() + 30
    while True:
        try:
            found.call("/system")
            break
        except OSError:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
    yield found
    process.terminate()
    process.wait(20)
    log.close()


@pytest.fixture
def orthanc(running: Orthanc) -> Orthanc:
    running.clear()
    return running


@pytest.fixture
def hospital(tmp_path: Path) -> Callable[..., Workspace]:
    """Make a workspace that knows some peers."""

    def make(orthanc: Orthanc | None = None, name: str = "hospital", **peers: str) -> Workspace:
        if orthanc is not None:
            peers |= {
                "DIMSE": f"ORTHANC@127.0.0.1:{orthanc.dicom}",
                "WEB": f"http://127.0.0.1:{orthanc.http}/dicom-web",
            }
        Workspace.create(tmp_path / name)
        lines = [f'{key} = "{address}"' for key, address in peers.items()]
        text = "[peers]\n" + "\n".join(lines) + f"\n[protect]\ndeidentify = false\n[dimse]\nport = {OURS}\n"
        (tmp_path / name / "tapetum.toml").write_text(text)
        return Workspace(tmp_path / name)

    return make


def pulled(workspace: Workspace, peer: str, match: dict[str, str] | None = None, **more: Any) -> Exchanged:
    return pull(workspace, peer, match or {}, transcode=transcoded, wait=lambda _: None, **more)


def pushed(workspace: Workspace, peer: str) -> Exchanged:
    return push(workspace, peer, workspace.catalogue.series(), transcode=transcoded, wait=lambda _: None)


@pytest.mark.parametrize("peer", PROTOCOLS)
def test_what_a_peer_has_comes_in_once(orthanc: Orthanc, hospital: Callable[..., Workspace], peer: str) -> None:
    orthanc.fill(dicom_series(slices=5), dicom_series(slices=3, patient_id="P2"))
    workspace = hospital(orthanc)
    first, second = pulled(workspace, peer), pulled(workspace, peer)
    assert (first.series, first.present, first.outcomes) == (2, 0, {"stored": 8})
    assert (second.series, second.present, second.outcomes) == (2, 8, {})
    assert sorted(series.instances for series in workspace.catalogue.series()) == [3, 5]


@pytest.mark.parametrize("peer", PROTOCOLS)
def test_only_what_is_missing_is_fetched(orthanc: Orthanc, hospital: Callable[..., Workspace], peer: str) -> None:
    everything = dicom_series(slices=6)
    orthanc.fill(everything[:4])
    workspace = hospital(orthanc)
    pulled(workspace, peer)
    orthanc.fill(everything[4:])
    done = pulled(workspace, peer)
    assert (done.present, done.outcomes) == (4, {"stored": 2})


@pytest.mark.parametrize("peer", PROTOCOLS)
def test_a_query_chooses_what_comes(orthanc: Orthanc, hospital: Callable[..., Workspace], peer: str) -> None:
    orthanc.fill(dicom_series(slices=1, patient_id="P1"), dicom_series(slices=2, patient_id="P2"))
    workspace = hospital(orthanc)
    modality = workspace_modality()
    assert pulled(workspace, peer, {"Modality": "PT"}).series == 0
    assert pulled(workspace, peer, {"PatientID": "P2", "Modality": modality}).outcomes == {"stored": 2}


def workspace_modality() -> str:
    return str(dicom_series(slices=1)[0].Modality)


def test_objects_come_by_c_move_too(orthanc: Orthanc, hospital: Callable[..., Workspace]) -> None:
    orthanc.fill(dicom_series(slices=4))
    assert pulled(hospital(orthanc), "DIMSE", by_move=True).outcomes == {"stored": 4}


@pytest.mark.parametrize("peer", PROTOCOLS)
def test_what_was_compressed_comes_compressed(orthanc: Orthanc, hospital: Callable[..., Workspace], peer: str) -> None:
    items = dicom_series(slices=2)
    for item in items:
        item.compress(RLELossless, generate_instance_uid=False)
    orthanc.fill(items)
    workspace = hospital(orthanc)
    pulled(workspace, peer)
    (series,) = workspace.catalogue.series()
    found = {one.attributes["TransferSyntaxUID"] for one in workspace.catalogue.instances(series.series_instance_uid)}
    assert found == {str(RLELossless)}


@pytest.mark.parametrize("peer", PROTOCOLS)
def test_pseudonyms_are_compared_where_identities_are_replaced(
    orthanc: Orthanc, hospital: Callable[..., Workspace], peer: str, tmp_path: Path
) -> None:
    orthanc.fill(dicom_series(slices=3))
    workspace = hospital(orthanc)
    text = (tmp_path / "hospital" / "tapetum.toml").read_text()
    (tmp_path / "hospital" / "tapetum.toml").write_text(text.replace("deidentify = false", "deidentify = true"))
    workspace = Workspace(tmp_path / "hospital")
    assert pulled(workspace, peer).outcomes == {"stored": 3}
    assert pulled(workspace, peer).present == 3
    assert workspace.catalogue.series()[0].patient_key.startswith("P-")


@pytest.mark.parametrize("peer", PROTOCOLS)
def test_what_we_have_goes_out_once_and_is_counted_at_the_peer(
    orthanc: Orthanc, hospital: Callable[..., Workspace], peer: str, tmp_path: Path
) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    for number, item in enumerate((*dicom_series(slices=4), *dicom_series(slices=3, patient_id="P2"))):
        if number % 2:
            item.compress(RLELossless, generate_instance_uid=False)
        (inbox / str(number)).write_bytes(to_bytes(item))
    workspace = hospital(orthanc)
    workspace.acquire([inbox])
    first, second = pushed(workspace, peer), pushed(workspace, peer)
    assert (first.outcomes, first.confirmed, first.is_whole) == ({"sent": 7}, 7, True)
    assert (second.present, second.outcomes, second.is_whole) == (7, {}, True)
    assert orthanc.call("/statistics")["CountInstances"] == 7


def test_a_peer_commits_itself_to_what_it_keeps(
    orthanc: Orthanc, hospital: Callable[..., Workspace], tmp_path: Path
) -> None:
    (tmp_path / "1.dcm").write_bytes(to_bytes(dicom_series(slices=1)[0]))
    workspace = hospital(orthanc)
    workspace.acquire([tmp_path / "1.dcm"])
    assert pushed(workspace, "DIMSE").committed == 1


def test_another_title_than_the_peers_is_refused(orthanc: Orthanc, hospital: Callable[..., Workspace]) -> None:
    workspace = hospital(WRONG=f"NOBODY@127.0.0.1:{orthanc.dicom}")
    with pytest.raises(PeerFailed) as caught:
        pulled(workspace, "WRONG")
    assert caught.value.code == "peer-refused"


@pytest.mark.parametrize("address", ["NOBODY@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_a_peer_that_is_not_there_is_said_so(hospital: Callable[..., Workspace], address: str) -> None:
    with pytest.raises(PeerFailed) as caught:
        pulled(hospital(GONE=address.format(free_port())), "GONE")
    assert (caught.value.code, caught.value.exit_status) == ("peer-unreachable", 1)


def test_a_peer_that_is_not_named_is_not_found(hospital: Callable[..., Workspace]) -> None:
    with pytest.raises(NotFound, match="PACS"):
        pulled(hospital(PACS="A@b:1"), "CLOUD")


class Breaking:
    """Passes bytes on to a server and hangs up, so many times, after so many bytes of answers."""

    def __init__(self, port: int, *, after: int, times: int) -> None:
        self._target, self._after, self.left = port, after, times
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                if is_answer and self.left > 0 and passed > self._after:
                    self.left -= 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        self._listening.close()


@pytest.mark.parametrize("address", ["ORTHANC@127.0.0.1:{}", "http://127.0.0.1:{}/dicom-web"])
def test_a_peer_that_hangs_up_is_asked_again_for_the_rest(
    orthanc: Orthanc, hospital: Callable[..., Workspace], address: str
) -> None:
    orthanc.fill(dicom_series(slices=12, rows=128, columns=128))
    line = Breaking(orthanc.dicom if "@" in address else orthanc.http, after=20_000, times=2)
    try:
        done = pulled(hospital(LINE=address.format(line.port)), "LINE")
    finally:
        line.close()
    assert done.retries > 0
    assert done.outcomes["stored"] == 12
    assert done.outcomes["rejected"] == 0


def test_a_peer_that_hangs_up_always_is_given_up_and_what_came_is_kept(
    orthanc: Orthanc, hospital: Callable[..., Workspace]
) -> None:
    orthanc.fill(dicom_series(slices=12, rows=128, columns=128))
    line = Breaking(orthanc.dicom, after=100_000, times=99)
    waits: list[float] = []
    workspace = hospital(orthanc, LINE=f"ORTHANC@127.0.0.1:{line.port}")
    try:
        with pytest.raises(PeerFailed) as caught:
            pull(workspace, "LINE", {}, transcode=transcoded, wait=waits.append)
    finally:
        line.close()
    assert caught.value.code == "peer-lost"
    assert waits == [1, 2, 4]
    kept = sum(series.instances for series in workspace.catalogue.series())
    done = pulled(workspace, "DIMSE")
    assert (done.present, done.outcomes["stored"]) == (kept, 12 - kept)


def test_a_peer_that_takes_no_compression_gets_plain_objects(
    hospital: Callable[..., Workspace], tmp_path: Path
) -> None:
    from pynetdicom import AE, evt

    got: list[str] = []
    entity = AE("PLAIN")
    item = dicom_series(slices=1)[0]
    entity.add_supported_context(item.SOPClassUID, "1.2.840.10008.1.2")

    def keep(event: Any) -> int:
        assert event.dataset.PixelData
        got.append(event.context.transfer_syntax)
        return 0

    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    item.compress(RLELossless, generate_instance_uid=False)
    (tmp_path / "1.dcm").write_bytes(to_bytes(item))
    workspace = hospital(PLAIN=f"PLAIN@127.0.0.1:{server.server_address[1]}")
    workspace.acquire([tmp_path / "1.dcm"])
    try:
        done = pushed(workspace, "PLAIN")
    finally:
        server.shutdown()
    assert (done.outcomes, done.confirmed, done.is_whole) == ({"sent": 1}, None, True)
    assert got == ["1.2.840.10008.1.2"]


def test_an_object_that_the_peer_does_not_take_is_counted(hospital: Callable[..., Workspace], tmp_path: Path) -> None:
    from pynetdicom import AE

    entity = AE("OTHER")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    (tmp_path / "1.dcm").write_bytes(to_bytes(dicom_series(slices=1)[0]))
    workspace = hospital(OTHER=f"OTHER@127.0.0.1:{server.server_address[1]}")
    workspace.acquire([tmp_path / "1.dcm"])
    try:
        done = pushed(workspace, "OTHER")
    finally:
        server.shutdown()
    assert (done.outcomes, done.is_whole) == ({"failed": 1}, False)
    assert module.TRIES == 4
