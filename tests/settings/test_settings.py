from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tapetum.errors import InvalidStudy
from tapetum.settings import FILE_NAME, Settings, load, template


def written(folder: Path, text: str) -> Path:
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    return folder


def test_file_gives_way_to_environment_and_environment_to_flag(tmp_path: Path) -> None:
    written(tmp_path, '[acquire]\nsite = "file"\nmax_pixels = 1\nmax_bytes = 1\n')
    environment = {"TAPETUM_ACQUIRE_MAX_PIXELS": "2", "TAPETUM_ACQUIRE_MAX_BYTES": "2", "HOME": "/root"}
    found = load(tmp_path, environment=environment, flags={"acquire_max_bytes": 3, "acquire_site": None})
    assert (found.acquire_site, found.acquire_max_pixels, found.acquire_max_bytes) == ("file", 2, 3)
    rows = {name: (value, origin) for name, value, origin, _ in found.rows()}
    assert rows["acquire.site"] == ("file", FILE_NAME)
    assert rows["acquire.max_pixels"] == (2, "environment")
    assert rows["acquire.max_bytes"] == (3, "flag")
    assert rows["compute.workers"] == (0, "default")


@pytest.mark.parametrize("text", ["[acquire]\nsit = 1", "site = 'x'", "[nothing]\nat = 'all'", "[acquire.door]\nx = 1"])
def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidStudy, match="unknown setting"):
        load(written(tmp_path, text), environment={})


def test_an_unknown_name_in_the_environment_or_a_flag_is_refused() -> None:
    with pytest.raises(InvalidStudy, match="TAPETUM_ACQUIRE_MAXBYTES"):
        load(None, environment={"TAPETUM_ACQUIRE_MAXBYTES": "1"})
    with pytest.raises(InvalidStudy, match="flag"):
        load(None, environment={}, flags={"speed": 1})


def test_variables_of_others_are_left_alone() -> None:
    assert load(None, environment={"TAPETUM_WORKSPACE": "x", "TAPETUM_DATA": "y"}) == Settings()


@pytest.mark.parametrize("value", ["-1", "1.5", "many", "", "²", "1_0", "--5"])
def test_a_number_that_is_none_is_refused_with_its_origin(value: str) -> None:
    with pytest.raises(InvalidStudy, match=r"acquire\.max_bytes.*environment.*whole number"):
        load(None, environment={"TAPETUM_ACQUIRE_MAX_BYTES": value})


@pytest.mark.parametrize(("text", "value"), [("true", True), ("YES", True), ("1", True), ("no", False), ("0", False)])
def test_a_switch_is_read_from_words(text: str, value: bool) -> None:
    assert load(None, environment={"TAPETUM_ACQUIRE_ALLOW_BURNED_IN": text}).acquire_allow_burned_in is value


def test_a_switch_that_is_neither_yes_nor_no_is_refused() -> None:
    with pytest.raises(InvalidStudy, match="true or false"):
        load(None, environment={"TAPETUM_ACQUIRE_ALLOW_BURNED_IN": "maybe"})


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="cannot be read"):
        load(written(tmp_path, "[acquire"), environment={})


def test_the_template_holds_every_setting_and_reads_back_as_the_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, template()), environment={}).origins == {}
    opened = re.sub(r"(?m)^# (\w+ = )", r"\1", template())
    assert sum(map(len, tomllib.loads(opened).values())) == len(Settings().rows())
    found = load(written(tmp_path, opened), environment={})
    assert found == Settings()
    assert set(found.origins.values()) == {FILE_NAME}
