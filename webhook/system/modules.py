"""The modules of a folder: what there is of a kind, trackers or sources, is what lies in its folder."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def load_modules(package: str) -> dict[str, ModuleType]:
    """Every module of the package by its name, loaded: its files and folders without a leading underscore."""
    folder = importlib.import_module(package).__path__
    names = (entry.name for entry in pkgutil.iter_modules(folder))
    return {name: importlib.import_module(f"{package}.{name}") for name in names if name[0] != "_"}
