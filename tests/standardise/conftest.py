"""A catalogue of one series in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import BinaryIO

import pytest
from pydicom import FileDataset

from tapetum.model import Instance, Series
from tapetum.testing import to_bytes

Stored = tuple[Series, list[Instance], Callable[[str], BinaryIO]]


@pytest.fixture
def stored() -> Callable[..., Stored]:
    """Store files as one series: what `to_image` and `to_regions` take."""

    def store(files: Sequence[FileDataset | bytes], *, format: str = "dicom", modality: str = "CT") -> Stored:  # noqa: A002
        blobs, instances = {}, []
        for index, file in enumerate(files):
            blobs[str(index)] = file if isinstance(file, bytes) else to_bytes(file)
            uid = f"1.2.{index}" if isinstance(file, bytes) else str(file.SOPInstanceUID)
            facts = {} if isinstance(file, bytes) else {"InstanceNumber": file.get("InstanceNumber")}
            instances.append(
                Instance(uid, "1", "1", "p", str(index), str(index), format, len(blobs[str(index)]), attributes=facts)
            )
        series = Series("1", "1", "p", modality, "image", "here", format, len(files))
        return series, instances, lambda key: BytesIO(blobs[key])

    return store
