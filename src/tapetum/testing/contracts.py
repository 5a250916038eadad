"""What every adapter of a port must do: subclass a contract, give the fixture it asks for, inherit its tests.

    class TestMyBlobs(BlobStoreContract):
        @pytest.fixture
        def store(self, tmp_path): return MyBlobs(tmp_path)

Start at `BlobStoreContract`. pytest is needed only here.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tapetum.errors import NotFound
from tapetum.model import Arrival, Instance, Rejected
from tapetum.ports import BlobStore, Catalogue, Engine

__all__ = ["BlobStoreContract", "CatalogueContract", "EngineContract", "arrival_of", "rejected_of"]

SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example of SHA-256


class BlobStoreContract:
    """For `ports.BlobStore`: give the fixture ``store``, an empty one."""

    def test_the_key_is_the_sha256_of_the_content(self, store: BlobStore) -> None:
        """FIPS 180-4's example."""
        assert store.put(b"abc") == SHA256_OF_ABC

    def test_what_was_put_is_returned_and_can_be_sought_in(self, store: BlobStore) -> None:
        """Readers jump to the pixels."""
        with store.open(store.put(b"0123456789")) as file:
            file.seek(4)
            assert file.read(3) == b"456"

    def test_a_file_is_stored_as_its_bytes_are(self, store: BlobStore) -> None:
        """Streams and bytes have one key."""
        data = bytes(range(256)) * 9000
        assert store.put(io.BytesIO(data)) == store.put(data)

    def test_putting_twice_changes_nothing(self, store: BlobStore) -> None:
        """A second time is free."""
        key = store.put(b"x")
        assert store.put(b"x") == key
        with store.open(key) as file:
            assert file.read() == b"x"

    def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        """Nothing has a key, too."""
        with store.open(store.put(b"")) as file:
            assert file.read() == b""

    def test_an_unknown_key_is_a_key_error_and_not_contained(self, store: BlobStore) -> None:
        """The guard says no."""
        assert "0" * 64 not in store
        with pytest.raises(KeyError):
            store.open("0" * 64)

    def test_a_flush_keeps_what_was_put(self, store: BlobStore) -> None:
        """Called once a batch."""
        key = store.put(b"kept")
        store.flush()
        assert key in store

    def test_keys_come_in_ascending_order(self, store: BlobStore) -> None:
        """So that a long check goes on where it was."""
        put = {store.put(bytes([number])) for number in range(20)}
        assert list(store.keys()) == sorted(put)

    def test_a_file_that_was_read_in_part_is_stored_from_there(self, store: BlobStore) -> None:
        """Put reads on, as copying does."""
        file = io.BytesIO(b"skipped abc")
        file.seek(8)
        assert store.put(file) == SHA256_OF_ABC
        with store.open(SHA256_OF_ABC) as found:
            assert found.read() == b"abc"

    def test_the_end_can_be_sought_and_lines_and_buffers_be_read(self, store: BlobStore) -> None:
        """What parsers do with a file, whatever it lies on, across the borders of what is read ahead."""
        data = b"".join(b"%07d\n" % number for number in range(300_000))
        with store.open(store.put(data)) as file:
            assert file.seek(-16, io.SEEK_END) == len(data) - 16
            assert file.read() == data[-16:]
            assert file.read(1) == b""
            file.seek(1_048_570)
            buffer = bytearray(4096)
            assert file.readinto(buffer) == 4096  # type: ignore[attr-defined]
            assert bytes(buffer) == data[1_048_570:][:4096]
            file.seek(8 * 150_000)
            assert file.readline() == b"0150000\n"
            assert file.tell() == 8 * 150_001

    def test_a_store_can_be_sent_to_a_worker(self, store: BlobStore) -> None:
        """Stages run in other processes."""
        key = store.put(b"abc")
        assert key in pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes

    def test_threads_put_the_same_and_other_blobs_at_once(self, store: BlobStore) -> None:
        """Servers do; each is there once, whole."""
        blobs = [bytes([number % 10]) * 70_000 for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            put = list(pool.map(store.put, blobs))
        store.flush()
        assert list(store.keys()) == sorted(set(put))
        for key, blob in zip(put[:10], blobs, strict=False):
            with store.open(key) as file:
                assert file.read() == blob

    def test_notes_come_back_in_order_and_are_no_blobs(self, store: BlobStore) -> None:
        """The journal."""
        assert list(store.notes()) == []
        store.note(b'{"a": 1}\n{"a": 2}\n')
        store.note(b'{"a": 3}\n')
        assert list(store.notes()) == [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}']
        assert list(store.keys()) == []

    def test_nothing_is_swept_after_a_clean_run(self, store: BlobStore) -> None:
        """The guard says no."""
        key = store.put(b"x")
        assert store.sweep() == 0
        assert key in store


def arrival_of(number: int, *, series: str = "2.25.100", **changes: Any) -> Arrival:
    """A stored arrival with the spare row that it becomes when the catalogue refuses it."""
    instance = Instance(
        sop_instance_uid=f"2.25.{number}",
        series_instance_uid=series,
        study_instance_uid="2.25.10",
        patient_key="P-A",
        blob=f"{number:064x}",
        source_digest=f"{number + 1_000_000:064x}",
        format="dicom",
        size_bytes=number,
        attributes={"Modality": "CT", "InstanceNumber": str(number), "site": "S-1"},
    )
    spare = rejected_of(number, "mixed-series")
    return Arrival("stored", replace(instance, **changes), spare, spare.arrived)


def rejected_of(number: int, code: str, *, locator: bytes = b"sealed") -> Rejected:
    """A row of the quarantine for the same file as `arrival_of` with this number."""
    return Rejected(f"{number + 2_000_000:064x}", code, code, locator, 7)


class CatalogueContract:
    """For `ports.Catalogue`: give the fixture ``catalogue``, an empty one."""

    def test_stored_instances_are_found_under_their_series(self, catalogue: Catalogue) -> None:
        """In the order of their UIDs."""
        arrivals = [arrival_of(number) for number in (3, 1, 2)]
        assert [item.outcome for item in catalogue.record(arrivals)] == ["stored"] * 3
        (series,) = catalogue.series()
        assert (series.instances, series.modality, series.site, series.patient_key) == (3, "CT", "S-1", "P-A")
        found = catalogue.instances("2.25.100")
        assert found == [arrival_of(number).instance for number in (1, 2, 3)]

    def test_series_are_ordered_by_patient_and_uid(self, catalogue: Catalogue) -> None:
        """So that a report is the same every time."""
        catalogue.record(
            [
                arrival_of(1, series="2.25.9", patient_key="P-B"),
                arrival_of(2, series="2.25.8", patient_key="P-B"),
                arrival_of(3, series="2.25.9", patient_key="P-A", sop_instance_uid="2.25.30"),
                arrival_of(4, series="2.25.95"),
            ]
        )
        keys = [(item.patient_key, item.series_instance_uid) for item in catalogue.series()]
        assert keys == [("P-A", "2.25.95"), ("P-B", "2.25.8"), ("P-B", "2.25.9")]

    def test_an_unknown_series_is_not_found(self, catalogue: Catalogue) -> None:
        """The guard says no."""
        with pytest.raises(NotFound):
            catalogue.instances("2.25.404")

    def test_known_tells_stored_digests_from_others_however_many_are_asked(self, catalogue: Catalogue) -> None:
        """Databases limit the variables of a statement."""
        arrival = arrival_of(1)
        catalogue.record([arrival])
        assert arrival.instance is not None
        digests = [arrival.instance.source_digest, *(f"{number:064x}" for number in range(40_000))]
        assert catalogue.known(digests) == {arrival.instance.source_digest}
        assert catalogue.known([]) == set()

    def test_the_same_object_again_is_a_duplicate_and_adds_nothing(self, catalogue: Catalogue) -> None:
        """In one batch and in two."""
        assert [item.outcome for item in catalogue.record([arrival_of(1), arrival_of(1)])] == ["stored", "duplicate"]
        assert catalogue.record([arrival_of(1)])[0].outcome == "duplicate"
        assert catalogue.series()[0].instances == 1

    def test_another_object_under_the_same_uid_is_in_conflict(self, catalogue: Catalogue) -> None:
        """The first one stays."""
        catalogue.record([arrival_of(1)])
        other = arrival_of(1, blob="f" * 64, source_digest="e" * 64)
        (ended,) = catalogue.record([other])
        assert ended.outcome == "rejected"
        assert [row.code for row in catalogue.rejected()] == ["conflicting-instance"]
        assert catalogue.instances("2.25.100")[0] == arrival_of(1).instance

    @pytest.mark.parametrize(
        "change", [{"patient_key": "P-B"}, {"study_instance_uid": "2.25.11"}, {"attributes": {"Modality": "MR"}}]
    )
    def test_a_series_of_two_patients_studies_or_modalities_is_mixed(
        self, catalogue: Catalogue, change: dict[str, Any]
    ) -> None:
        """The second one is refused."""
        catalogue.record([arrival_of(1)])
        assert catalogue.record([arrival_of(2, **change)])[0].outcome == "rejected"
        assert [row.code for row in catalogue.rejected()] == ["mixed-series"]
        assert catalogue.series()[0].instances == 1

    def test_a_file_leaves_the_quarantine_when_it_is_stored_at_last(self, catalogue: Catalogue) -> None:
        """By its place."""
        catalogue.record([Arrival("rejected", rejected=rejected_of(1, "truncated"))])
        assert len(catalogue.rejected()) == 1
        catalogue.record([arrival_of(1)])
        assert catalogue.rejected() == []

    def test_the_quarantine_holds_one_row_a_file_and_the_last_reason(self, catalogue: Catalogue) -> None:
        """A row that says the same stays as it was, seal included."""
        catalogue.record([Arrival("rejected", rejected=rejected_of(1, "truncated", locator=b"first"))])
        catalogue.record([Arrival("rejected", rejected=rejected_of(1, "truncated", locator=b"second"))])
        assert [(row.code, row.locator) for row in catalogue.rejected()] == [("truncated", b"first")]
        catalogue.record([Arrival("rejected", rejected=rejected_of(1, "unreadable"))])
        assert [row.code for row in catalogue.rejected()] == ["unreadable"]


def _square(number: int) -> int:
    return number * number


def _refuse(number: int) -> int:
    raise ValueError(number)


class EngineContract:
    """For `ports.Engine`: give the fixture ``engine``."""

    def test_every_item_comes_back_once_with_its_result(self, engine: Engine) -> None:
        """In whatever order."""
        assert sorted(engine.map(_square, range(25))) == [(number, number * number) for number in range(25)]

    def test_no_items_give_no_results(self, engine: Engine) -> None:
        """And no waiting."""
        assert list(engine.map(_square, [])) == []

    def test_an_error_of_the_function_reaches_the_caller(self, engine: Engine) -> None:
        """It is not swallowed."""
        with pytest.raises(ValueError, match="3"):
            list(engine.map(_refuse, [3]))

    def test_a_long_list_is_not_read_ahead_of_the_work(self, engine: Engine) -> None:
        """Items can be large."""
        taken: list[int] = []

        def items() -> object:
            for number in range(10_000):
                taken.append(number)
                yield number

        results = engine.map(_square, items())  # type: ignore[arg-type]
        next(results)
        assert len(taken) < 200
        results.close()  # type: ignore[attr-defined]
