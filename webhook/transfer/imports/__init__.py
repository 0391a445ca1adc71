"""Readers of people's export files: one file here is one KIND of `watchmark import KIND FILE`.

A kind's module has two names: `LABEL` (its name for people) and `read(bundle)`, which yields the entries of
a bundle in the same order each time and raises Unusable if nothing can be read. A kind whose files leave
something open, such as the order of day and month, has `questions(bundle)`; the answers are `bundle.options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType

from webhook.system.modules import load_modules


@cache
def modules() -> Mapping[str, ModuleType]:
    """Every import module by its kind: the files of this folder without a leading underscore."""
    return load_modules(__name__)
