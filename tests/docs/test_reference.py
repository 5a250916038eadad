"""The generated reference says everything: each command, code, setting, key, feature and module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tapetum import cli, errors, settings
from tapetum.describe import RECIPES
from tapetum.describe.radiomics import TERMS

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """The generator of the reference, as Sphinx imports it."""
    pytest.importorskip("sphinx")
    sys.path.insert(0, str(EXTENSIONS))
    try:
        import generate

        yield generate
    finally:
        sys.path.remove(str(EXTENSIONS))


def test_every_command_is_in_the_reference(generate: ModuleType) -> None:
    page = generate.commands_page()
    names = [name for name in cli.app if not name.startswith("-")]
    assert "acquire" in names
    assert not [name for name in names if f"## tapetum {name}\n" not in page]
    assert "### tapetum study run" in page


def test_every_error_and_code_is_in_the_reference(generate: ModuleType) -> None:
    page = generate.errors_page()
    kinds = [thing for name in errors.__all__ if isinstance(thing := getattr(errors, name), type)]
    assert all(f"`{kind.__name__}`" in page for kind in kinds)
    assert all(f"`{code}`" in page for code in errors.REJECTIONS)


def test_every_kind_of_leakage_that_is_raised_is_in_the_reference(generate: ModuleType) -> None:
    source = (EXTENSIONS.parents[1] / "src" / "tapetum" / "learn" / "leakage.py").read_text(encoding="utf-8")
    kinds = generate.leakage_kinds()
    assert {"patient", "site", "identical-image", "outcome-as-feature"} <= set(kinds)
    assert all(f'"{kind}"' in source for kind in kinds)


def test_every_setting_is_in_the_reference(generate: ModuleType) -> None:
    page = generate.settings_page()
    for name, *_ in settings.Settings().rows():
        assert f"`{name}`" in page
        assert f"`TAPETUM_{name.replace('.', '_').upper()}`" in page


def test_every_key_of_a_study_is_explained(generate: ModuleType) -> None:
    page = generate.study_page()
    for table, item, _ in generate.study_keys():
        assert f"`{item.name}`" in page.split(f"## [{table}]\n")[1].split("\n## ")[0]


def test_a_key_that_no_study_has_stops_the_build(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    real = generate.tomllib.loads
    monkeypatch.setattr(generate.tomllib, "loads", lambda text: real(text + '\ngone = "no such key"\n'))
    with pytest.raises(ValueError, match="gone"):
        generate.study_page()


def test_a_key_without_explanation_stops_the_build(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    real = generate.tomllib.loads
    monkeypatch.setattr(generate.tomllib, "loads", lambda text: real(text.replace("seed =", "sead =")))
    with pytest.raises(ValueError, match=r"\[study\] seed"):
        generate.study_page()


def test_every_feature_of_every_recipe_is_in_the_reference(generate: ModuleType) -> None:
    page = generate.features_page()
    assert all(f"`{term.name}`" in page and term.code.value in page for terms in TERMS.values() for term in terms)
    assert all(f"## Recipe `{name}`" in page for name in RECIPES)


def test_every_public_name_is_in_the_reference(generate: ModuleType) -> None:
    pages = "\n".join(generate.api_pages().values())
    assert all(f".. automodule:: {name}\n" in pages for name in generate.modules())
    assert "tapetum.learn.validate\n   :members: run_study" in pages


def test_sections_of_a_docstring_become_definition_lists() -> None:
    sys.path.insert(0, str(EXTENSIONS))
    docstrings = pytest.importorskip("docstrings")
    lines = ["Do it.", "", "Parameters", "----------", "a, b : what it is", "    and more.", "", "Source: a book."]
    text = "\n".join(docstrings.rewritten(lines))
    assert ".. rubric:: Parameters\n\n``a``, ``b``\n    what it is\n    and more." in text
    assert text.endswith("\nSource: a book.")
