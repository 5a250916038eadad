from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.flow.ledger import Ledger
from tapetum.testing.contracts import arrival_of


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


def catalogue(*numbers: int) -> Any:
    """One that names these blobs, of so many bytes each."""
    rows = [arrival_of(number).instance for number in numbers]
    return SimpleNamespace(select=lambda _query: iter(rows), rejected=list)


def blobs(*numbers: int) -> Any:
    """A store that holds these."""
    return SimpleNamespace(keys=lambda: iter([f"{number:064x}" for number in numbers]))


def keys(ledger: Ledger) -> list[int]:
    return [int(key, 16) for page in ledger.pages(2) for key, _ in page]


def test_what_the_catalogue_names_is_looked_at_in_the_order_of_the_keys(ledger: Ledger) -> None:
    ledger.fill(blobs(5, 1, 3), catalogue(3, 5, 1))
    assert keys(ledger) == [1, 3, 5]
    assert ledger.left() == (3, 9)
    assert list(ledger.wrong()) == []


def test_what_only_the_store_holds_is_an_orphan_until_it_is_named(ledger: Ledger) -> None:
    ledger.fill(blobs(1, 2), catalogue(1))
    assert [int(key, 16) for key in ledger.orphans()] == [2]
    ledger.name(catalogue(1, 2))
    assert list(ledger.orphans()) == []


def test_what_was_found_stays_found_when_names_come_later(ledger: Ledger) -> None:
    ledger.fill(blobs(1, 2), catalogue(1, 2))
    ledger.enter([(f"{1:064x}", "missing"), (f"{2:064x}", "whole")])
    ledger.name(catalogue(1, 2))
    assert [(row["problem"], row["sop_instance_uid"]) for row in ledger.wrong()] == [("missing", "2.25.1")]
    assert ledger.count("whole") == 1


def test_the_next_run_looks_again_at_all_that_was_not_whole(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.fill(blobs(1, 2, 3), catalogue(1, 2))
    ledger.enter([(f"{1:064x}", "missing"), (f"{2:064x}", "whole")])
    ledger.close()
    again = Ledger(tmp_path / "ledger.db")
    again.fill(blobs(1, 2), catalogue(1, 2))
    assert keys(again) == [1]
    assert list(again.orphans()) == []
    again.close()
