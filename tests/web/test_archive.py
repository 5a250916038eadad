from pathlib import Path

import pytest
from fastapi import Request

from tapetum import Workspace
from tapetum.acquire.walk import Source
from tapetum.errors import TapetumError
from tapetum.web.archive import Archive, base_url


def test_a_closed_archive_takes_nothing(tmp_path: Path) -> None:
    archive = Archive.open(Workspace.create(tmp_path / "w"))
    archive.close()
    with pytest.raises(TapetumError, match="closed"):
        archive.door.submit(Source("a", "a", "dicom", 0, 0, lambda: (tmp_path / "none").open("rb")))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("pacs.example:8042", "https://pacs.example:8042/dicom-web"),
        ("pacs.example", "https://pacs.example/dicom-web"),
        ("192.0.2.1:99", "https://192.0.2.1:99/dicom-web"),
        # The client left the port out.
        ("192.0.2.1", "https://192.0.2.1:8042/dicom-web"),
    ],
)
def test_the_address_is_the_one_under_which_the_client_came(host: str, address: str) -> None:
    headers = [(b"host", host.encode())]
    scope = {"type": "http", "scheme": "https", "path": "/x", "headers": headers, "server": ("192.0.2.1", 8042)}
    assert base_url(Request(scope)) == address
