"""Media servers that can be asked what was played: one file is one server; its name is its source's.

A server module has `LABEL`, `FOR` (what it is for) and `SETUP` (what to get where, a step each), `Settings`
(what the environment gives it), and `build` (settings and an HTTP client to a server), which fulfils `Server`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Protocol

import httpx

from webhook.domain.event import Event
from webhook.settings import Environ, read


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One entry of a server's own record. `key` is what the server knows it by: the same entry has the same."""

    event: Event
    key: str


class Server(Protocol):
    name: str  # the source whose users these are
    label: str

    def played(self, since: datetime | None) -> AsyncIterator[Found]:
        """What was watched since then, oldest first, as recorded `watched` events; everything for None.

        Raises Retry where the server does not answer and Dead where it refuses or speaks no sense.
        """
        ...

    async def check(self) -> str:
        """The server's own name; raises as `played` does."""
        ...


def modules() -> dict[str, ModuleType]:
    """Every server module by its name: the files of this folder without a leading underscore."""
    names = (entry.name for entry in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names if name[0] != "_"}


def build(environ: Environ, http: httpx.AsyncClient) -> dict[str, Server]:
    """The media servers that are set up to be asked, by name."""
    built: dict[str, Server] = {}
    for name, module in modules().items():
        given = read(module.Settings, f"{name}_", environ)
        if given is not None:
            built[name] = module.build(given, http)
    return built
