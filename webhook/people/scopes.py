"""The scopes of API tokens: what a script that holds one may do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from webhook.texts import texts

EVERYTHING = "everything"
"""How a token without scopes is shown, as all were that are older than scopes."""


NOTHING = "nothing"
"""How one is shown of whose scopes this version knows none."""


class Scope(StrEnum):
    READ = "read"
    CALENDAR = "calendar"
    HISTORY_WRITE = "history:write"
    ADMIN = "admin"


DESCRIPTIONS: Mapping[Scope, str] = texts(
    {
        Scope.READ: "Read the history, the library, webhooks, deliveries, numbers and /metrics, and export.",
        Scope.CALENDAR: "Subscribe to the calendar feed, and nothing else.",
        Scope.HISTORY_WRITE: "Change plays and the library, import, backfill, replay webhooks and retry deliveries.",
        Scope.ADMIN: "Everything, including settings, tokens, sign-ins, people and the backup.",
    }
)

Granted = frozenset[Scope] | None
"""The scopes that a token holds; None is everything."""


def permits(granted: Granted, needed: Scope) -> bool:
    return granted is None or Scope.ADMIN in granted or needed in granted


def exceeds(wanted: Collection[Scope], granted: Granted) -> bool:
    """True where one of the wanted scopes opens something that the granted ones do not."""
    return not all(permits(granted, scope) for scope in wanted)


def parse_scopes(stored: Collection[str] | None) -> Granted:
    """The scopes of a stored token; one that this version does not know opens nothing."""
    return None if stored is None else frozenset(scope for scope in Scope if scope in stored)


def names(granted: Granted) -> list[str] | None:
    return None if granted is None else [scope.value for scope in Scope if scope in granted]


def spell(stored: Collection[str] | None) -> str:
    """The scopes as people read them."""
    return EVERYTHING if stored is None else ", ".join(stored) or NOTHING
