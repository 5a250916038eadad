import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from tapetum.testing import dicom_series
from tapetum.web.metadata import MetadataCache


@pytest.mark.parametrize(("level", "count"), [("study", 5), ("series", 3), ("instance", 1)])
def test_headers_of_a_level_come_without_their_bulk(hospital: Any, ct: dict[str, str], level: str, count: int) -> None:
    response = hospital.get(f"{ct[level]}/metadata")
    assert response.headers["content-type"] == "application/dicom+json"
    models = response.json()
    assert len(models) == count
    for model in models:
        found = Dataset.from_json(model, lambda *_: b"")
        assert found.PatientName == "Doe^Jane"
        assert model["7FE00010"] == {"vr": "OW", "BulkDataURI": model["7FE00010"]["BulkDataURI"]}
        assert model["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]


def test_metadata_are_the_same_from_the_disk_compressed_and_not(hospital: Any, ct: dict[str, str]) -> None:
    plain = {"Accept-Encoding": "identity"}
    first = hospital.get(f"{ct['series']}/metadata", **plain)
    assert "Content-Encoding" not in first.headers
    again = hospital.get(f"{ct['series']}/metadata", **plain)
    packed = hospital.get(f"{ct['series']}/metadata", **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert first.json() == again.json() == packed.json()
    kept = list((hospital.workspace.folder / "cache" / "metadata").iterdir())
    assert first.content in [gzip.decompress(path.read_bytes()) for path in kept]


def test_a_series_that_grows_is_told_anew(make_client: Callable[..., Any]) -> None:
    client = make_client()
    first, second = dicom_series(slices=2)
    client.store(first)
    path = f"/studies/{first.StudyInstanceUID}/series/{first.SeriesInstanceUID}/metadata"
    before = client.get(path)
    assert client.get(path, **{"If-None-Match": before.headers["ETag"]}).status_code == 304
    client.store(second)
    after = client.get(path, **{"If-None-Match": before.headers["ETag"]})
    assert (len(before.json()), len(after.json())) == (1, 2)


def test_only_json_is_there(hospital: Any, ct: dict[str, str]) -> None:
    response = hospital.get(f"{ct['series']}/metadata", accept='multipart/related; type="application/dicom+xml"')
    assert response.status_code == 406


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path / "cache", most=4)
    for number in range(5):
        cache.put(str(number), b"x")
    kept = [number for number in range(5) if cache.get(str(number)) == b"x"]
    assert 3 <= len(kept) <= 4
    assert cache.get("nothing") is None


def test_a_disk_that_is_full_is_no_reason_not_to_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = MetadataCache(tmp_path / "file" / "below")
    cache.put("a", b"x")
    assert cache.get("a") is None
