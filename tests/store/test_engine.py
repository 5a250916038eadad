import pytest

from tapetum.store import ProcessEngine, SerialEngine
from tapetum.testing.contracts import EngineContract


class TestSerialEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> SerialEngine:
        return SerialEngine()


class TestProcessEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> ProcessEngine:
        return ProcessEngine(2)


def test_an_engine_without_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="worker"):
        ProcessEngine(0)
