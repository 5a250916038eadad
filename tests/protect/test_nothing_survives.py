"""The whole path: an object, a table and a damaged file full of words, and then every byte of the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tapetum.acquire import Policy, acquire, read_mapping
from tapetum.protect import Pseudonymiser
from tapetum.store import LocalBlobs, ObservationTable, SqlCatalogue

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # the planted values break their VRs on purpose
MAPPING = """
[columns]
patient = "number"
date = "visit"
[[observation]]
column = "age"
[[observation]]
column = "note"
kind = "text"
"""


def test_no_planted_word_is_in_any_byte_of_the_workspace(planted: Any, tmp_path: Path) -> None:
    inbox, workspace = tmp_path / "Quillfeather^Zebedee", tmp_path / "workspace"
    inbox.mkdir()
    workspace.mkdir()
    (inbox / "MRN7734512.dcm").write_bytes(planted.data)
    (inbox / "Zebedee cut.dcm").write_bytes(planted.data[:3000])
    (inbox / "facts.csv").write_text(
        "number,visit,age,note\nMRN7734512,2020-06-07,86,well\nMRN7734512,2020-06-08,86,MRN7734512 was here\n"
    )
    (tmp_path / "mapping.toml").write_text(MAPPING)
    catalogue = SqlCatalogue(f"sqlite:///{workspace / 'catalogue.db'}")
    tally = acquire(
        [inbox],
        blobs=LocalBlobs(workspace / "blobs"),
        catalogue=catalogue,
        observe=ObservationTable(workspace / "tables").append,
        names=Pseudonymiser(bytes(range(32))),
        policy=Policy(),
        mapping=read_mapping(tmp_path / "mapping.toml"),
    )
    assert tally.outcomes == {"stored": 1, "rejected": 2}
    assert {row.code for row in catalogue.rejected()} == {"truncated", "identifier-survived"}
    catalogue.close()
    assert len(pl.read_parquet(workspace / "tables" / "*.parquet")) == 2
    tables = "".join(pl.read_parquet(part).write_csv() for part in workspace.rglob("*.parquet"))
    written = b"".join(place.read_bytes() for place in workspace.rglob("*") if place.is_file()) + tables.encode()
    for word in (*planted.words, "2020-06-07", "20200607", "General Hospital"):
        for encoding in ("utf-8", "gb18030", "utf-16-le"):
            assert word.encode(encoding).lower() not in written.lower(), (word, encoding)
