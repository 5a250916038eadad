"""The only place that reads the settings file and the environment. Start at `load`.

A value comes from its default, from ``tapetum.toml`` in the workspace, from the environment or from a flag of the
command; the later one counts, and `Settings.origins` remembers which it was. Peers and routes (`settings.network`) come
from the file only.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tapetum.errors import InvalidStudy
from tapetum.settings.network import Peer, Route, peers_of, routes_of

__all__ = [
    "ENVIRONMENT_PREFIX",
    "FILE_NAME",
    "Peer",
    "Route",
    "Settings",
    "load",
    "template",
    "workspace_from_environment",
]

FILE_NAME = "tapetum.toml"
ENVIRONMENT_PREFIX = "TAPETUM_"


NETWORK = (
    "",
    "# Other archives, by a name of your own, and what becomes of series when they have arrived:",
    "#",
    "#   [peers]",
    '#   PACS = "PACS1@10.0.0.7:104"',
    '#   CLOUD = "https://archive.example/dicom-web"',
    "#",
    "#   [[route]]",
    '#   modality = "CT"',
    '#   project = "lung"',
    '#   then = ["standardise", "describe:radiomics", "push:CLOUD"]',
)
KINDS = {int: "a whole number, 0 or more", bool: "true or false", str: "a text"}


def _setting(default: Any, explanation: str) -> Any:
    return field(default=default, metadata={"explanation": explanation})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting. The name before the first underscore is its table in ``tapetum.toml``."""

    acquire_max_bytes: int = _setting(16 << 30, "largest file, unpacked, that is taken in (bytes)")
    acquire_max_pixels: int = _setting(1 << 28, "largest picture that is unfolded (pixels)")
    acquire_allow_burned_in: bool = _setting(False, "store objects whose pixels may show a name")
    acquire_site: str = _setting("", "name of the institution; empty: a pseudonym of each object's own")
    acquire_issuer: str = _setting("", "Issuer of Patient ID whose numbers those are that name no issuer")
    protect_key_file: str = _setting("key", "file with the 32 byte key of the pseudonyms, relative to the workspace")
    protect_deidentify: bool = _setting(True, "replace identities on the way in; off: an archive that stays inside")
    store_blobs_url: str = _setting("", "where objects are kept (s3://bucket/prefix); empty: in the workspace")
    store_catalogue_url: str = _setting("", "SQLAlchemy URL of the catalogue; empty: SQLite in the workspace")
    dimse_ae_title: str = _setting("TAPETUM", "application entity title that `tapetum listen` answers to")
    dimse_host: str = _setting("127.0.0.1", "address that `tapetum listen` listens on")
    dimse_port: int = _setting(11112, "port that `tapetum listen` listens on")
    web_host: str = _setting("127.0.0.1", "address that `tapetum serve` listens on")
    web_port: int = _setting(8042, "port that `tapetum serve` listens on")
    compute_workers: int = _setting(0, "worker processes; 0: one for each core")
    peers: Mapping[str, Peer] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def rows(self) -> list[tuple[str, Any, str, str]]:
        """(name as in the file, value, origin, explanation) of every setting, then of each peer and route."""
        flat = [
            (_dotted(item.name), getattr(self, item.name), self.origins.get(item.name, "default"), explanation)
            for item in fields(self)
            if (explanation := item.metadata.get("explanation"))
        ]
        peers = [(f"peers.{name}", str(peer), FILE_NAME, "another archive") for name, peer in self.peers.items()]
        numbered = enumerate(self.routes, start=1)
        routes = [(f"route.{number}", str(one), FILE_NAME, "what becomes of arrivals") for number, one in numbered]
        return [*flat, *peers, *routes]


def load(
    workspace: Path | None, *, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Read the settings of a workspace (None: only environment and flags).

    Raises
    ------
    InvalidStudy : an unknown name or a value of the wrong kind, with the place it came from.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    kinds = {item.name: type(item.default) for item in fields(Settings) if item.metadata}
    tree = _tree(workspace)
    peers = peers_of(tree.pop("peers", {}))
    routes = routes_of(tree.pop("route", []), peers)
    layers = [
        (FILE_NAME, _flat(tree)),
        ("environment", _from_environment(environment, kinds)),
        ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
    ]
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in kinds:
                raise InvalidStudy(f"unknown setting {_dotted(name)!r} ({origin})", hint="see `tapetum config`")
            values[name] = _converted(name, value, kinds[name], origin)
            origins[name] = origin
    return Settings(**values, peers=peers, routes=routes, origins=origins)


def template() -> str:
    """A ``tapetum.toml`` with every setting, its default and explanation, commented out."""
    lines, table = ["# Settings of this workspace. Remove the # before a line to change it."], ""
    for name, value, _, explanation in Settings().rows():
        if name.split(".")[0] != table:
            table = name.split(".")[0]
            lines += ["", f"[{table}]"]
        shown = str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else value
        lines += [f"# {explanation}", f"# {name.split('.', 1)[1]} = {shown}"]
    return "\n".join([*lines, *NETWORK]) + "\n"


def workspace_from_environment() -> str:
    """TAPETUM_WORKSPACE, the workspace of commands that name none; empty when unset."""
    return os.environ.get("TAPETUM_WORKSPACE", "")


def _dotted(name: str) -> str:
    return name.replace("_", ".", 1)


def _tree(workspace: Path | None) -> dict[str, Any]:
    path = workspace / FILE_NAME if workspace else None
    if path is None or not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidStudy(f"{FILE_NAME} cannot be read: {error}", hint="it must be a TOML file") from error


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    loose = sorted(name for name, rows in tree.items() if not isinstance(rows, dict))
    if loose:
        raise InvalidStudy(f"unknown setting {loose[0]!r} ({FILE_NAME})", hint="see `tapetum config`")
    return {f"{table}_{name}": value for table, rows in tree.items() for name, value in rows.items()}


def _from_environment(environment: Mapping[str, str], kinds: Mapping[str, type]) -> dict[str, Any]:
    names = {f"{ENVIRONMENT_PREFIX}{name.upper()}": name for name in kinds}
    tables = tuple({f"{ENVIRONMENT_PREFIX}{name.split('_')[0].upper()}_" for name in kinds})
    for variable in sorted(environment):
        if variable.startswith(tables) and variable not in names:
            raise InvalidStudy(f"unknown setting {variable} (environment)", hint="see `tapetum config`")
    return {names[variable]: value for variable, value in environment.items() if variable in names}


def _converted(name: str, value: Any, kind: type, origin: str) -> Any:
    if kind is bool and str(value).lower() in ("true", "1", "yes", "false", "0", "no"):
        return str(value).lower() in ("true", "1", "yes")
    if kind is int and str(value).isdecimal():
        return int(value)
    if kind is str and isinstance(value, str):
        return value
    raise InvalidStudy(f"setting {_dotted(name)!r} ({origin}) must be {KINDS[kind]}", hint="see `tapetum config`")
