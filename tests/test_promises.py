"""What CONTRIBUTING and the documents promise about the code, asked of the code."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tapetum

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tapetum"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(SOURCE.rglob("*.py"))
MIGRATIONS = SOURCE / "store" / "migrations"

# Import names of distributions whose names differ.
IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage", "scikit-learn": "sklearn"}

TESTED_ELSEWHERE = {
    # Through the door that everything takes: what a file becomes is seen only there.
    "acquire/intake.py": "acquire/test_ingest.py",
    "acquire/walk.py": "acquire/test_ingest.py",
    "acquire/fhir_patients.py": "acquire/test_fhir.py",
    # Stages and predictions make sense only on a workspace.
    "flow/stages.py": "flow/test_workspace.py",
    # Peers are met in an exchange with them.
    "flow/peer_dimse.py": "flow/test_exchange.py",
    "flow/peer_web.py": "flow/test_exchange.py",
    "flow/predictions.py": "flow/test_studies.py",
    # Strokes and plates are seen in the figures that are made of them.
    "report/drawing.py": "report/test_figures.py",
    "report/plates.py": "report/test_figures.py",
    # Contracts are inherited by the tests of each adapter.
    "testing/contracts.py": "store/test_blobs.py",
    "testing/queries.py": "store/test_catalogue.py",
    # What a query finds and what a batch leaves is seen in a catalogue only, and in each database.
    "store/batch.py": "store/test_catalogue.py",
    "store/matching.py": "store/test_catalogue.py",
    "store/search.py": "store/test_catalogue.py",
    # Run whenever a catalogue is opened.
    "store/migrations/env.py": "store/test_catalogue.py",
    "store/migrations/versions/0001_first.py": "store/test_catalogue.py",
    "store/migrations/versions/0002_levels.py": "store/test_database.py",
    # Commands are tested as a person types them, all in one place.
    **{path.relative_to(SOURCE).as_posix(): "cli/test_commands.py" for path in (SOURCE / "cli").glob("*.py")},
}
"""Sources without a test file of their own, and the file that tests them."""


def rows_of_contract() -> list[set[str]]:
    """The layers of pyproject.toml, foundation first."""
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    assert contract["exhaustive"]
    rows = [set(re.findall(r"\w+", row)) - {"__main__"} for row in reversed(contract["layers"])]
    return [row for row in rows if row]  # __main__ is one line that calls cli


def rows_of_page() -> list[set[str]]:
    """The rows of the architecture page, foundation first."""
    page = (ROOT / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
    rows: dict[int, set[str]] = {}
    for row, package in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE):
        rows.setdefault(int(row), set()).add(package)
    return [rows[row] for row in sorted(rows)]


def packages() -> set[str]:
    """Top-level modules and packages that exist."""
    return {found.name for found in pkgutil.iter_modules([str(SOURCE)])} - {"__main__"}


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def public_modules() -> Iterator[str]:
    """Names of all modules that can be imported. Migrations are left out: Alembic runs them."""
    for path in FILES:
        if MIGRATIONS not in path.parents:
            parts = path.relative_to(SOURCE.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def documents() -> str:
    """All text of the documents that are written by hand, and of the keys that the reference explains."""
    texts = [path.read_text(encoding="utf-8") for path in hand_written()]
    return "\n".join([*texts, (ROOT / "docs" / "reference" / "study-keys.toml").read_text(encoding="utf-8")])


def hand_written() -> list[Path]:
    """The Markdown files of the documents, without what a build generates."""
    docs = ROOT / "docs"
    generated = (docs / "_build", docs / "gallery", docs / "reference" / "generated")
    return [path for path in docs.rglob("*.md") if not set(generated) & set(path.parents)]


def test_no_package_knows_what_stands_above_it() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_contract_names_every_package_and_no_other() -> None:
    assert set().union(*rows_of_contract()) == packages()


def test_the_architecture_page_shows_the_rows_of_the_contract() -> None:
    assert rows_of_page() == rows_of_contract()


def test_planned_packages_do_not_exist_yet() -> None:
    page = (ROOT / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
    planned = page.split("## Planned rooms")[1].split("\n## ")[0]
    assert not set(re.findall(r"(\w+) \(", planned)) & packages()


def test_there_are_at_most_18_packages() -> None:
    assert len(packages()) <= 18


@pytest.mark.parametrize("name", list(public_modules()))
def test_every_module_says_what_it_is_for_and_what_is_public(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip()
    public = getattr(module, "__all__", None)
    assert public is not None or name in ("tapetum.formats",), f"{name} has no __all__"
    for one in public or ():
        assert hasattr(module, one), f"{name}.__all__ names {one}, which is not there"


@pytest.mark.parametrize("name", list(public_modules()))
def test_every_public_function_and_class_is_documented_and_typed(name: str) -> None:
    module = importlib.import_module(name)
    for one in getattr(module, "__all__", ()):
        thing = getattr(module, one)
        if callable(thing) and str(getattr(thing, "__module__", "")).startswith("tapetum"):
            assert (thing.__doc__ or "").strip(), f"{name}.{one} has no docstring"


def test_the_package_says_that_it_is_typed() -> None:
    assert (SOURCE / "py.typed").exists()


def test_no_file_is_longer_than_600_lines() -> None:
    assert not [path.name for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 600]


def test_half_of_the_files_have_at_most_160_lines() -> None:
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
    assert lengths[len(lengths) // 2] <= 160


def test_no_function_is_longer_than_60_lines() -> None:
    functions = [
        (path.name, node)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = [f"{file}: {f.name}" for file, f in functions if (f.end_lineno or 0) - f.lineno - _doc_lines(f) > 60]
    assert not too_long


def _doc_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len((ast.get_docstring(function, clean=False) or "").splitlines())


def test_broad_excepts_stand_in_the_door_alone() -> None:
    broad = {
        path.name
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or "Exception" in _names(node.type))
    }
    assert broad <= {"door.py"}  # whoever waits there must be answered, whatever it was


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def test_no_module_imports_ours_inside_a_function() -> None:
    inside = [
        f"{path.relative_to(SOURCE)}: {function.name}"
        for path in FILES
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tapetum"))
        or (isinstance(node, ast.Import) and any(alias.name.startswith("tapetum") for alias in node.names))
    ]
    assert not inside


def test_nothing_is_left_to_do_and_no_machine_is_named() -> None:
    places = [ROOT / "src", ROOT / "examples", ROOT / "tools", ROOT / "docs" / "gallery_src", ROOT / "docs" / "_ext"]
    texts = {
        path: path.read_text(encoding="utf-8")
        for place in places
        for path in place.rglob("*")
        if path.suffix in (".py", ".toml", ".html", ".css", ".md", ".rst")
    }
    unwanted = re.compile(r"\b(TODO|FIXME|XXX)\b|/(home|root|work|Users)/\w|/tmp/\w")
    assert not [
        f"{path.relative_to(ROOT)}: {found[0]}" for path, text in texts.items() if (found := unwanted.search(text))
    ]


def test_every_dependency_of_the_core_is_imported_somewhere() -> None:
    imported = {name.split(".")[0] for path in FILES for name in _imports(path)}
    assert not [name for name in dependencies() if IMPORTED_AS.get(name, name) not in imported]


def test_nothing_is_imported_that_is_not_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    ours = [name for extra in ("postgres", "s3") for name in _names_of(extras[extra])]
    declared = {IMPORTED_AS.get(name, name) for name in [*dependencies(), *ours]}
    # Contract tests in tapetum.testing are for people who have pytest.
    files = [path for path in FILES if SOURCE / "testing" not in path.parents]
    imported = {name.split(".")[0] for path in files for name in _imports(path)}
    assert not imported - declared - sys.stdlib_module_names - {"tapetum"}


def test_the_decision_on_dependencies_names_each_of_them() -> None:
    (page,) = (ROOT / "docs" / "decisions").glob("*-dependencies.md")
    text = page.read_text(encoding="utf-8").lower()
    assert not [name for name in dependencies() if name not in text]


def dependencies() -> list[str]:
    """Names of what the core installs."""
    return _names_of(PROJECT["project"]["dependencies"])


def _names_of(requirements: list[str]) -> list[str]:
    return [re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_every_setting_is_explained_and_there_are_at_most_40() -> None:
    from tapetum.settings import Settings

    rows = Settings().rows()
    assert all(explanation for *_, explanation in rows)
    assert len(rows) <= 40


def test_every_source_file_has_its_test_file() -> None:
    assert not [place for place, test in mirror() if not (ROOT / "tests" / test).exists()]


def mirror() -> Iterator[tuple[str, str]]:
    """Each source file with public code, and the file that should test it."""
    for path in FILES:
        place = path.relative_to(SOURCE)
        stem = place.parent.name if place.name == "__init__.py" else place.stem
        own = (place.parent / f"test_{stem}.py").as_posix()
        if _has_public_code(path):
            yield place.as_posix(), TESTED_ELSEWHERE.get(place.as_posix(), own)


def _has_public_code(path: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and not _is_protocol(node)
        for node in tree_of(path).body
    )


def _is_protocol(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any("Protocol" in _names(base) for base in node.bases)


def test_exceptions_from_the_mirror_are_of_files_that_exist() -> None:
    assert not [place for place in TESTED_ELSEWHERE if not (SOURCE / place).exists()]


def test_the_version_is_one() -> None:
    assert tapetum.__version__ == PROJECT["project"]["version"]


def test_every_decision_says_context_decision_and_consequence() -> None:
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        text = path.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequence")), path.name


def test_every_changelog_fragment_is_of_a_known_kind() -> None:
    kinds = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
    for path in (ROOT / "changelog").iterdir():
        if path.name != "README.md":
            assert path.name.split(".")[-2] in kinds, path.name
            assert path.read_text(encoding="utf-8").strip(), path.name


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.toml")), ids=lambda path: path.parent.name)
def test_every_example_file_can_be_read(path: Path) -> None:
    from tapetum.acquire import read_mapping
    from tapetum.learn import read_study

    reader: Any = read_mapping if path.stem == "mapping" else read_study
    assert reader(path)


def test_every_notice_is_named_in_the_documents() -> None:
    codes = {code for path in FILES for code in re.findall(r'Notice\("([a-z-]+)"', path.read_text(encoding="utf-8"))}
    assert codes
    assert not [code for code in codes if code not in documents()]
