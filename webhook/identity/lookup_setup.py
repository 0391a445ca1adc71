"""The lookups that are set up, of which only those that a setting mentions are imported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import orjson

from webhook import lookups, trackers
from webhook.lookups import Lookup
from webhook.settings import Environ, is_mentioned, read_settings, set_values
from webhook.system.modules import list_modules, load_module, load_modules

if TYPE_CHECKING:
    import httpx
    from pydantic import BaseModel


def build_lookups(environ: Environ, http: httpx.AsyncClient) -> Sequence[Lookup]:
    """The configured lookups, cheapest first."""
    return [
        module.build(read_settings(module.Settings, f"{name}_", environ), http)
        for name, module in lookup_modules(environ).items()
    ]


def lookup_modules(environ: Environ) -> dict[str, ModuleType]:
    """The modules of the configured lookups, by name, the cheapest first.

    One at a tracker's service uses that tracker's settings, which must be complete.
    """
    package = lookups.__name__
    mentioned = [name for name in list_modules(package) if is_mentioned(name, environ)]
    found = lookups.by_cost(load_modules(package, mentioned))
    return {
        name: module
        for name, module in found.items()
        if read_settings(settings_of(name, module), f"{name}_", environ) is not None
    }


def settings_of(name: str, lookup: ModuleType) -> type[BaseModel]:
    """The settings of a lookup, or those of the tracker at the same service."""
    package = trackers.__name__
    module = load_module(package, name) if name in list_modules(package) else lookup
    settings: type[BaseModel] = module.Settings
    return settings


def lookup_settings(environ: Environ) -> dict[str, str]:
    """A digest of each configured lookup's settings, by name."""
    found: dict[str, str] = {}
    for name, module in lookup_modules(environ).items():
        given = set_values(module.Settings, f"{name}_", environ)
        found[name] = hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    return found
