"""PostgreSQL that is killed and started again while objects arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import Hospital, Sender, objects, written


def test_a_database_that_is_restarted_while_objects_arrive_loses_none(
    hospital: Hospital, postgres: Any, tmp_path: Path
) -> None:
    made = objects(150)
    folder = written(tmp_path / "sent", made)
    hospital.environment["TAPETUM_STORE_CATALOGUE_URL"] = postgres.new_database()
    _, port = hospital.server("listen")
    sender = Sender(port, folder)
    acknowledged = set()
    for count, (name, status) in enumerate(sender.answered()):
        assert status == "Success"  # whoever sends waits for the database, and does not notice
        acknowledged.add(name)
        if count in (20, 60, 100):
            postgres.stop("immediate" if count < 100 else "fast")
            postgres.start()
    assert acknowledged == set(made)
    assert hospital.stored() == sorted(made)
    assert hospital.problems() == set()
    assert Sender(port, folder).wait() == set(made)
    assert hospital.stored() == sorted(made)
