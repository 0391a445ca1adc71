"""Lookups: services that know more ids of an item. One file is one service.

A lookup module has `LABEL`, `COST` (the cheapest is asked first), `Settings` and `build`, and a class that
derives from `Lookup`. One with a key of its own has `PURPOSE` (its purpose) and `SETUP` (where to get the key, a
step each), and can `check` the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType

from webhook.lookups._catalogue import Candidate as Candidate
from webhook.lookups._catalogue import FoundEpisode as FoundEpisode
from webhook.lookups._catalogue import ListedEpisode as ListedEpisode
from webhook.lookups._catalogue import common_ids as common_ids
from webhook.lookups._catalogue import id_pairs as id_pairs
from webhook.lookups._catalogue import subtract_ids as subtract_ids
from webhook.lookups._lookup import Checks as Checks
from webhook.lookups._lookup import Lookup as Lookup
from webhook.lookups._matching import apply_match as apply_match
from webhook.lookups._matching import choose_candidate as choose_candidate
from webhook.lookups._matching import has_title as has_title
from webhook.lookups._matching import normalize_title as normalize_title
from webhook.lookups._matching import rank as rank
from webhook.lookups._matching import split_title_suffix as split_title_suffix
from webhook.lookups._matching import wanted_title as wanted_title
from webhook.system.modules import load_modules


@cache
def modules() -> Mapping[str, ModuleType]:
    """Every lookup module by its name, the cheapest first."""
    return by_cost(load_modules(__name__))


def by_cost(found: Mapping[str, ModuleType]) -> Mapping[str, ModuleType]:
    """These lookup modules, the cheapest first."""
    return dict(sorted(found.items(), key=lambda entry: entry[1].COST))
