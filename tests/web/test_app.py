from typing import Any

import pytest

from tapetum import __version__


def test_health_says_that_it_serves(hospital: Any) -> None:
    response = hospital.session.get(f"{hospital.address}/health", timeout=20)
    assert response.json() == {"status": "ok", "version": __version__}


def test_the_routes_are_described_as_openapi_and_as_a_page_without_scripts(hospital: Any) -> None:
    described = hospital.session.get(f"{hospital.address}/openapi.json", timeout=20).json()
    assert {"get", "post"} <= described["paths"]["/dicom-web/studies"].keys()
    page = hospital.session.get(f"{hospital.address}/docs", timeout=20).text
    assert "<script" not in page
    assert all(path in page for path in described["paths"])


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/dicom-web/studies", 405),
                                                        ("POST", "/dicom-web/series", 405)])  # fmt: skip
def test_what_is_not_there_is_said_as_json(hospital: Any, method: str, path: str, status: int) -> None:
    response = hospital.session.request(method, hospital.address + path, timeout=20)
    assert response.status_code == status
    assert set(response.json()) == {"code", "message", "hint"}


def test_a_failure_of_ours_tells_nothing_of_patients(hospital: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("Doe^Jane was here")

    monkeypatch.setattr(hospital.workspace.catalogue, "find", fail)
    response = hospital.get("/studies")
    assert (response.status_code, response.json()["code"]) == (500, "error")
    assert "Doe" not in response.text
    assert "Traceback" not in response.text
