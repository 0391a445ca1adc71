"""Lookups: services that know more ids of an item. One file is one service.

A lookup module has `LABEL`, `COST` (the cheapest is asked first), `Settings` and `build`, and a class that
derives from `Lookup`. One with a key of its own has `FOR` (its purpose) and `SETUP` (where to get the key, a
step each), and can `check` the key.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from webhook.lookups._catalogue import Candidate as Candidate
from webhook.lookups._catalogue import Listed as Listed
from webhook.lookups._catalogue import Part as Part
from webhook.lookups._catalogue import pairs as pairs
from webhook.lookups._catalogue import shared as shared
from webhook.lookups._catalogue import without as without
from webhook.lookups._lookup import Checks as Checks
from webhook.lookups._lookup import Lookup as Lookup
from webhook.lookups._matching import chosen as chosen
from webhook.lookups._matching import known_as as known_as
from webhook.lookups._matching import named_alike as named_alike
from webhook.lookups._matching import plainly as plainly
from webhook.lookups._matching import ranked as ranked
from webhook.lookups._matching import wanted_title as wanted_title


def modules() -> dict[str, ModuleType]:
    """Every lookup module by its name, what costs least first."""
    names = (entry.name for entry in pkgutil.iter_modules(__path__))
    found = {name: importlib.import_module(f"{__name__}.{name}") for name in names if name[0] != "_"}
    return dict(sorted(found.items(), key=lambda entry: entry[1].COST))
