"""Readers of people's export files: one file here is one KIND of `watchmark import KIND FILE`.

A kind's module has two names: `LABEL` (its name for people) and `read(bundle)`, which yields the entries of
a bundle in the same order each time and raises Unusable if nothing can be read. A kind whose files leave
something open, such as the order of day and month, has `questions(bundle)`; the answers are `bundle.options`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def modules() -> dict[str, ModuleType]:
    """Every import module by its kind: the files of this folder without a leading underscore."""
    names = (entry.name for entry in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names if name[0] != "_"}
