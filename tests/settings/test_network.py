from __future__ import annotations

from pathlib import Path

import pytest

from tapetum import settings
from tapetum.errors import InvalidStudy
from tapetum.settings.network import Peer, Route, peers_of, routes_of

FILE = """
[peers]
PACS = "PACS1@10.0.0.7:104"
SIX = "P@[::1]:104"
CLOUD = "https://archive.example/dicom-web/"

[[route]]
modality = "CT"
source = "SCANNER7"
site = "North"
description = "(?i)thorax"
project = "lung"
then = ["standardise", "describe:radiomics", "push:CLOUD"]

[[route]]
then = ["standardise"]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / settings.FILE_NAME).write_text(FILE, encoding="utf-8")
    return tmp_path


def test_peers_and_routes_are_read_and_shown(workspace: Path) -> None:
    found = settings.load(workspace, environment={})
    assert found.peers == {
        "PACS": Peer("PACS", ae_title="PACS1", host="10.0.0.7", port=104),
        "SIX": Peer("SIX", ae_title="P", host="::1", port=104),
        "CLOUD": Peer("CLOUD", url="https://archive.example/dicom-web"),
    }
    assert found.routes[0].then == ("standardise", "describe:radiomics", "push:CLOUD")
    assert found.routes[1] == Route(then=("standardise",))
    shown = {name: value for name, value, *_ in found.rows()}
    assert shown["peers.PACS"] == "PACS1@10.0.0.7:104"
    assert shown["route.1"].startswith(
        "modality CT, source SCANNER7, site North, description (?i)thorax -> project lung"
    )
    assert shown["route.2"] == "everything -> standardise"


@pytest.mark.parametrize(
    "address",
    ["10.0.0.7:104", "TITLE@host", "TITLE@host:0", "TITLE@host:70000", "A TITLE THAT IS LONG@h:1", "ftp://x", 5, ""],
)
def test_an_impossible_address_is_refused_by_the_name_of_its_peer(address: object) -> None:
    with pytest.raises(InvalidStudy, match="'PACS'"):
        peers_of({"PACS": address})


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ({"then": ["standardise"], "when": "CT"}, "unknown key 'when'"),
        ({"modality": "CT"}, "neither project nor then"),
        ({"modality": 5, "project": "x"}, "must be a text"),
        ({"then": "standardise"}, "list of texts"),
        ({"description": "(", "project": "x"}, "no regular expression"),
        ({"then": ["dance"]}, "'dance'"),
        ({"then": ["push:NOBODY"]}, "'push:NOBODY'"),
        ({"then": ["push:"]}, "'push:'"),
        ("CT", "not a table"),
    ],
)
def test_an_impossible_route_is_refused_with_what_is_wrong(route: object, told: str) -> None:
    with pytest.raises(InvalidStudy, match=told.replace("(", "\\(")):
        routes_of([route], {"CLOUD"})


def test_peers_and_routes_of_another_form_are_refused() -> None:
    with pytest.raises(InvalidStudy, match="not a table"):
        peers_of(["PACS"])
    with pytest.raises(InvalidStudy, match="one table"):
        routes_of({"project": "x"}, ())
