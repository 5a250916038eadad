"""S3 that answers 503, loses requests and loses answers now and then while objects arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import Hospital, Sender, objects, written


def test_objects_arrive_over_dimse_and_from_a_folder_on_a_line_that_fails(
    hospital: Hospital, bucket: str, line: Any, tmp_path: Path
) -> None:
    made = objects(24)
    names = sorted(made)
    first = written(tmp_path / "first", {name: made[name] for name in names[:12]})
    rest = written(tmp_path / "rest", {name: made[name] for name in names[12:]})
    hospital.environment["TAPETUM_STORE_BLOBS_URL"] = bucket
    line.fail(every=5)
    _, port = hospital.server("listen")
    assert Sender(port, first).wait() == set(names[:12])
    assert hospital.run("acquire", rest)[0] == 0
    assert line.failures > 5
    line.fail(every=0)
    assert hospital.stored() == names
    assert hospital.problems() == set()
    assert list((hospital.folder / "blobs").glob("??/*")) == []
