"""Settings that are no flat values: other archives (``[peers]``) and what becomes of arrivals (``[[route]]``).

    [peers]
    PACS = "PACS1@10.0.0.7:104"                 # application entity title @ host : port
    CLOUD = "https://archive.example/dicom-web"

    [[route]]
    modality = "CT"                              # each condition may be left out; all that stand there must hold
    source = "SCANNER7"                          # calling title, name of a peer, or folder
    site = "North"
    description = "(?i)thorax|lung"              # searched for in the descriptions of study, series and protocol
    project = "lung"
    then = ["standardise", "describe:radiomics", "push:CLOUD"]

Start at `peers_of` and `routes_of`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tapetum.errors import InvalidStudy

__all__ = ["Peer", "Route", "peers_of", "routes_of"]

ENTITY = re.compile(r"([^@\\\s]{1,16})@(\[[0-9a-fA-F:.]+\]|[^\s:@]+):(\d{1,5})")
WORK = re.compile(r"standardise|describe:[a-z0-9_-]+|push:(?P<peer>.+)")
CONDITIONS = ("modality", "source", "site", "description")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another archive: an application entity, or a DICOMweb service when ``url`` is there."""

    name: str
    url: str = ""
    ae_title: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """As in the file."""
        return self.url or f"{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """What becomes of series that fit: a project's name, and the work that follows. An empty condition fits all."""

    modality: str = ""
    source: str = ""
    site: str = ""
    description: str = ""
    project: str = ""
    then: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In one line."""
        when = [f"{name} {text}" for name in CONDITIONS if (text := getattr(self, name))]
        project = [f"project {self.project}"] if self.project else []
        return f"{', '.join(when) or 'everything'} -> {', '.join([*project, *self.then])}"


def peers_of(tree: Any) -> dict[str, Peer]:
    """The peers of ``[peers]``.

    Raises
    ------
    InvalidStudy : an address of another form.
    """
    return {name: _peer(name, address) for name, address in _table(tree, "[peers]").items()}


def routes_of(tree: Any, peers: Collection[str]) -> tuple[Route, ...]:
    """The routes of ``[[route]]``, in their order.

    Raises
    ------
    InvalidStudy : an unknown key, an impossible pattern, work that there is not, a peer that is not among ``peers``.
    """
    if not isinstance(tree, list):
        raise InvalidStudy("route is one table", hint="write [[route]] in double brackets")
    return tuple(_route(row, peers) for row in tree)


def _peer(name: str, address: Any) -> Peer:
    text = str(address)
    if re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        return Peer(name, url=text.rstrip("/"))
    found = ENTITY.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 65536:
        hint = 'write "TITLE@host:port" or "https://host/dicom-web"'
        raise InvalidStudy(f"the peer {name!r} has an impossible address", hint=hint)
    return Peer(name, ae_title=found[1], host=found[2].strip("[]"), port=int(found[3]))


def _route(row: Any, peers: Collection[str]) -> Route:
    found = _table(row, "[[route]]")
    unknown = sorted(set(found) - {*CONDITIONS, "project", "then"})
    if unknown:
        raise InvalidStudy(f"[[route]] has the unknown key {unknown[0]!r}", hint="see the documentation of routes")
    then = found.pop("then", [])
    if not isinstance(then, list) or not all(isinstance(text, str) for text in (*then, *found.values())):
        raise InvalidStudy("[[route]] each value must be a text, and then a list of texts", hint="put them in quotes")
    if not then and not found.get("project"):
        raise InvalidStudy("[[route]] has neither project nor then", hint="say what becomes of what fits")
    try:
        re.compile(found.get("description", ""))
    except re.error as error:
        raise InvalidStudy(f"[[route]] description is no regular expression: {error}") from error
    for work in then:
        fits = WORK.fullmatch(work)
        if fits is None or (fits["peer"] and fits["peer"] not in peers):
            hint = "use standardise, describe:RECIPE, or push:NAME with a name in [peers]"
            raise InvalidStudy(f"[[route]] then has {work!r}", hint=hint)
    return Route(**found, then=tuple(then))


def _table(tree: Any, place: str) -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        raise InvalidStudy(f"{place} is not a table", hint="see the documentation of peers and routes")
    return dict(tree)
