"""Writes the reference from the code, so that it cannot say anything else: commands, errors, settings, study, API.

Each `..._page` function returns one page as text; `write_all` puts them below `docs/reference/generated/`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import tapetum
from tapetum import cli, errors, settings
from tapetum.describe import RECIPES
from tapetum.describe.radiomics import TERMS
from tapetum.learn.study import Study
from tapetum.model import Image, Quantity

DOCS = Path(__file__).parents[1]
GENERATED = DOCS / "reference" / "generated"
NOT_IN_API = ("tapetum.cli", "tapetum.store.migrations")
LONGEST_VALUE = 200
KINDS = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def commands_page() -> str:
    """What ``tapetum --help`` and the help of each command say."""
    text = cli.app.generate_docs(output_format="markdown")
    body = re.sub(r"Example: (tapetum .+)", r"Example: `\1`", text[text.index("## tapetum ") :])
    return f"# Commands\n\n{inspect.getdoc(cli)}\n\n{body}"


def errors_page() -> str:
    """Every error and every code of the quarantine."""
    kinds = [thing for name in errors.__all__ if isinstance(thing := getattr(errors, name), type)]
    kinds.sort(key=lambda kind: (len(kind.__mro__), kind.exit_status))  # the base first
    tree = [[f"`{kind.__name__}`", _codes(kind), str(kind.exit_status), _first_line(kind)] for kind in kinds]
    rejections = [[f"`{code}`", hint] for code, hint in errors.REJECTIONS.items()]
    return (
        "# Errors and codes\n\nA command that fails prints `error[code]: message - hint` on stderr and exits with the "
        "status below. Codes are stable; messages hold no patient data.\n\n"
        + table(["error", "code", "exit status", "when"], tree)
        + "\n## Codes of the quarantine\n\nA file that cannot be used never stops a batch: it gets one of these codes, "
        "and `tapetum quarantine` lists it with its hint.\n\n"
        + table(["code", "what to do"], rejections)
        + "\n## Codes of leakage\n\nA study in which training and test data know each other is refused with exit "
        "status 4. The kinds, after `leakage-`, are described in `tapetum.learn.leakage`:\n\n"
        + "\n".join(f"- `leakage-{kind}`" for kind in leakage_kinds())
        + "\n"
    )


def leakage_kinds() -> list[str]:
    """The kinds that the guards name in their module's docstring."""
    text = inspect.getdoc(importlib.import_module("tapetum.learn.leakage")) or ""
    return re.findall(r"[a-z-]+", re.search(r"Kinds: ([^.]+)\.", text)[1])  # type: ignore[index]


def settings_page() -> str:
    """Every setting with its default."""
    rows = [
        [f"`{name}`", f"`{settings.ENVIRONMENT_PREFIX}{name.replace('.', '_').upper()}`", _toml(value), text]
        for name, value, _, text in settings.Settings().rows()
    ]
    return (
        "# Settings\n\nA value comes from its default, from `tapetum.toml` in the workspace, from the environment or "
        "from a flag of the command; the later one counts. `tapetum config` prints each value with its origin.\n\n"
        + table(["in tapetum.toml", "in the environment", "default", "meaning"], rows)
        + "\n`TAPETUM_WORKSPACE` names the workspace of commands that are given none.\n"
    )


def study_keys() -> Iterator[tuple[str, Field[Any], Any]]:
    """(table, field, type) of every key that a study file can have."""
    for name, kind in get_type_hints(Study).items():
        hints = get_type_hints(kind)
        for item in fields(kind):
            yield name, item, hints[item.name]


def study_page() -> str:
    """Every table and key of a study file."""
    meanings = tomllib.loads((DOCS / "reference" / "study-keys.toml").read_text(encoding="utf-8"))
    parts = [
        "# Study file\n",
        "Every table and key. The tables `[study]`, `[outcome]` and `[features]` must be there.\n",
    ]
    rows: dict[str, list[list[str]]] = {}
    for name, item, hint in study_keys():
        if item.name not in meanings.get(name, {}):
            raise ValueError(f"study-keys.toml does not explain [{name}] {item.name}")
        meaning = meanings[name].pop(item.name)
        rows.setdefault(name, []).append([f"`{item.name}`", _kind(hint), _default(item), meaning])
    left = {name: keys for name, keys in meanings.items() if keys}
    if left:
        raise ValueError(f"study-keys.toml explains keys that a study file does not have: {left}")
    for name, lines in rows.items():
        parts += [f"## [{name}]\n", table(["key", "kind", "default", "meaning"], lines)]
    return "\n".join(parts)


def features_page() -> str:
    """Every feature of every recipe."""
    parts = [
        "# Features\n",
        "Each recipe gives the same names for every image. Where the Image Biomarker Standardisation Initiative (IBSI) "
        "defines a feature, the code is IBSI's; `{u}` is the unit of the image's values.\n",
        "## Recipe `radiomics`\n",
    ]
    for family, terms in TERMS.items():
        heading = terms[0].code.meaning.rsplit("(", 1)[1].rstrip(")")
        rows = [[f"`{t.name}`", t.code.value, f"`{t.unit}`"] for t in terms]
        parts += [f"### {heading} (`{family}`)\n", table(["feature", "IBSI", "unit"], rows)]
    for name, recipe in RECIPES.items():
        if name != "radiomics":
            rows = [[f"`{f.name}`", f"{f.code.value} ({f.code.scheme})", f"`{f.unit}`"] for f in _of_a_photograph(name)]
            parts += [f"## Recipe `{name}`, version {recipe.version}\n", table(["feature", "code", "unit"], rows)]
    return "\n".join(parts)


def _of_a_photograph(recipe: str) -> list[Any]:
    """The features of a made-up photograph: a disc with grain. Names do not depend on the image."""
    y, x = np.mgrid[-1:1:192j, -1:1:256j]
    grain = np.random.default_rng(0).integers(0, 30, (192, 256, 1))
    pixels = np.where((x**2 + y**2 < 0.9)[..., None], np.array([170, 90, 50]) + grain, 4).astype(np.uint8)
    return RECIPES[recipe].describe(Image(pixels, "yxc", Quantity("colour", "1"), modality="OP"), None)


def modules() -> Iterator[str]:
    """Every public module of the package, in alphabetical order."""
    for found in pkgutil.walk_packages(tapetum.__path__, "tapetum."):
        if not found.name.startswith(NOT_IN_API) and not found.name.rsplit(".", 1)[1].startswith("_"):
            yield found.name


def api_pages() -> dict[str, str]:
    """One page a package: what it exports, and each of its modules."""
    pages: dict[str, list[str]] = {}
    for name in modules():
        top = name.split(".")[1]
        if top not in pages:
            pages[top] = [f"tapetum.{top}", "=" * (len(top) + 8), "", *_module(name)]
        else:
            pages[top] += [name, "-" * len(name), "", *_module(name)]
    return {top: "\n".join(lines) for top, lines in pages.items()}


def _module(name: str) -> list[str]:
    module = importlib.import_module(name)
    public = list(getattr(module, "__all__", []))
    package = hasattr(module, "__path__")
    explained = {n for _, n in ModuleAnalyzer.for_module(name).find_attr_docs()}
    homes = {n: _home(getattr(module, n), name if n in explained else "") for n in public}
    own = [n for n, home in homes.items() if home == name]
    borrowed = [f":py:obj:`~{home}.{n}`" for n, home in homes.items() if package and home not in ("", name)]
    large = [n for n in own if len(repr(getattr(module, n))) > LONGEST_VALUE]
    shown = ", ".join(n for n in own if n not in large)
    members = f"   :members: {shown}" if shown else "   :no-members:"
    data = [line for n in large for line in (f".. autodata:: {name}.{n}", "   :no-value:", "")]
    exports = [f"Import from here: {', '.join(borrowed)}.", ""] if borrowed else []
    return [f".. automodule:: {name}", members, "", *data, *exports]


def _home(thing: object, otherwise: str) -> str:
    """The module that defines a class or function; a constant does not know."""
    return str(getattr(thing, "__module__", otherwise)) if hasattr(thing, "__name__") else otherwise


def _codes(kind: type[errors.TapetumError]) -> str:
    if kind is errors.RejectedInput:
        return "one of the quarantine's"
    return "`leakage-...`" if kind is errors.LeakageFound else f"`{kind.code}`"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0].replace("``", "`")


def _kind(hint: Any) -> str:
    words = str(hint) if not isinstance(hint, type) else hint.__name__
    for name, word in (("tuple[str, ...]", "list"), ("collections.abc.Mapping[str, str]", "table"), *KINDS.items()):
        words = words.replace(name, word)
    return words.replace(" | None", "").replace(" | ", " or ")


def _default(item: Field[Any]) -> str:
    if item.default_factory is not MISSING:
        return _toml(item.default_factory())
    return "**required**" if item.default is MISSING else _toml(item.default)


def _toml(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return "`[" + ", ".join(f'"{one}"' for one in value) + "]`"
    return "`{}`" if value == {} else f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def write_all() -> None:
    """Write each page that changed, so that Sphinx builds only those again."""
    pages = {
        "commands.md": commands_page(),
        "errors.md": errors_page(),
        "settings.md": settings_page(),
        "study.md": study_page(),
        "features.md": features_page(),
        **{f"api/{name}.rst": text for name, text in api_pages().items()},
    }
    for path in [*GENERATED.rglob("*.md"), *GENERATED.rglob("*.rst")]:
        if path.relative_to(GENERATED).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        place = GENERATED / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("config-inited", lambda _app, _config: write_all())
    return {"parallel_read_safe": True}
