"""The facts by which a person chooses a tracker: what it costs, and what it keeps of a viewing.

Each tracker's class declares its own, after what its service says; None is what the service does not say. What the class
shows by itself is read from it: the kinds it takes, what can be taken back, and how one signs in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, get_type_hints

if TYPE_CHECKING:
    from webhook.trackers import Tracker


class Cost(StrEnum):
    """What it takes to have plays sent there."""

    FREE = "free"
    SELF_HOSTED = "self_hosted"  # free, on a server of one's own
    SUBSCRIPTION = "subscription"


class Dates(StrEnum):
    """The dates that are kept of what was watched."""

    EACH = "each"  # of every viewing
    FIRST = "first"  # of an item's first viewing: a later one is not sent
    LAST = "last"  # of an item's last viewing
    SPAN = "span"  # the first and the last day of a series
    NONE = "none"  # none but the time at which it is sent


class Rewatches(StrEnum):
    """What becomes of an item that is watched again."""

    EACH = "each"  # a viewing of its own
    COUNTED = "counted"
    PAID = "paid"  # a viewing of its own, for who pays
    NONE = "none"


class Anime(StrEnum):
    """How anime is kept."""

    ONLY = "only"  # and nothing else
    ENTRIES = "entries"  # with entries of its own
    SERIES = "series"  # like any series and film
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tracker keeps and costs; `note` is a sentence on what the words for these leave out."""

    cost: Cost | None
    dates: Dates | None
    rewatches: Rewatches | None
    anime: Anime | None
    note: str = ""


UNDECLARED = Facts(None, None, None, None)


def find_class(module: ModuleType) -> type[Tracker]:
    """The class of the tracker that a module's `build` returns."""
    built: type[Tracker] = get_type_hints(module.build)["return"]
    return built
