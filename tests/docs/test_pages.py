"""What the pages show can be done: commands exist, files parse, Python runs, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from tapetum import cli
from tapetum.acquire import read_mapping
from tapetum.learn import parse_study

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = ("_build", "gallery", "generated")
PAGES = [
    *(path for path in sorted(DOCS.rglob("*.md")) if not set(GENERATED) & set(path.relative_to(DOCS).parts)),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]
BLOCK = re.compile(r"^([ ]*)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[Path, str]]:
    """Every block of a language with its page."""
    return [
        (path, text)
        for path in PAGES
        for _, kind, text in BLOCK.findall(path.read_text(encoding="utf-8"))
        if kind == language
    ]


COMMANDS = [
    (path.name, part.strip())
    for path, text in blocks("console")
    for line in text.splitlines()
    for part in line.strip().removeprefix("$ ").split(" #")[0].split("&&")
    if part.strip().startswith("tapetum ")
]


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {line}" for page, line in COMMANDS])
def test_a_command_on_a_page_is_one_that_exists(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    if words == ["--help"]:
        return
    try:
        cli.app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"{page}: {command}: {error}")


@pytest.mark.parametrize(("page", "text"), blocks("toml"), ids=lambda value: getattr(value, "name", ""))
def test_a_study_or_mapping_on_a_page_is_valid(page: Path, text: str, tmp_path: Path) -> None:
    tree = tomllib.loads(text)
    if "study" in tree:
        assert parse_study(tree).study.name
    else:
        file = tmp_path / "mapping.toml"
        file.write_text(text, encoding="utf-8")
        assert read_mapping(file)


@pytest.mark.parametrize("page", sorted({path for path, _ in blocks("python")}), ids=lambda path: path.name)
def test_python_on_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tapetum import Workspace

    monkeypatch.chdir(tmp_path)
    if page.name == "what-was-removed.md":
        Workspace.create("hospital")
    names: dict[str, object] = {"__name__": "page"}
    for path, text in blocks("python"):
        if path == page:
            exec(compile(text, page.name, "exec"), names)
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    here = [target for target in targets if target and not set(GENERATED) & set(Path(target).parts)]
    assert not [target for target in here if not (page.parent / target).exists()]


def test_the_readme_is_short_and_names_both_commands_and_every_source_of_images() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    demo = (ROOT / "tools" / "demo.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    assert "make demo" in text
    assert "make test" in text
    sources = re.findall(r'^    "([\w-]+ [\d.]+) \((?:PyPI|npm)', demo, re.MULTILINE)
    assert sources
    assert not [source for source in sources if source not in text]
