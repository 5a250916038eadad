"""What all tests share: where the project's data lies, when it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI is set, a skipped test is a failed test: nothing may go unlooked at there."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped where CI is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A folder of the shared data by its name; the test is skipped, with the reason, when it is not there."""

    def folder(name: str) -> Path:
        root = Path(os.environ.get("TAPETUM_DATA", Path(__file__).parents[2] / "shared" / "data"))
        if not (root / name).is_dir():
            pytest.skip(f"no folder {name} in the shared data: set TAPETUM_DATA to where it lies")
        return root / name

    return folder
