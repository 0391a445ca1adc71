"""The modules of a folder: what there is of a kind, trackers or sources, is what lies in its folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from functools import cache
from types import ModuleType


@cache
def list_modules(package: str) -> Sequence[str]:
    """The names of the package's modules, its files and folders without a leading underscore; none is loaded."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return [entry.name for entry in found if not entry.name.startswith("_")]


def load_modules(package: str, wanted: Iterable[str] | None = None) -> dict[str, ModuleType]:
    """The package's modules of these names, or every one, by name, loaded."""
    return {
        name: load_module(package, name) for name in (list_modules(package) if wanted is None else wanted)
    }


def load_module(package: str, name: str) -> ModuleType:
    """A module of the package, loaded."""
    return importlib.import_module(f"{package}.{name}")
