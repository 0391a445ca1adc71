"""Imports: how people's export files are read. One file here is one KIND of `watchmark import KIND FILE`.

A kind's module has two names: `LABEL` (what it is called to people) and `read(bundle)`, which gives the
entries of a bundle one by one, in the same order each time, and raises Unusable when nothing can be read.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def modules() -> dict[str, ModuleType]:
    """Every kind's module by its name: the files of this folder without a leading underscore."""
    names = (entry.name for entry in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names if name[0] != "_"}
