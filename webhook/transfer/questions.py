"""Questions about imported items: what is looked up for plays that came without an id, and under which key it waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, insert, select, update

from webhook.domain.event import Episode, Item, Track, item_to_json
from webhook.domain.items import fold_title, keys
from webhook.identity import matches
from webhook.storage.tables import unresolved
from webhook.transfer import imports

CHUNK_SIZE = 500
"""The number of keys in one statement."""


PRIVATE_IDS = frozenset({"plex", "tvtime"})
"""The ids that only the service knows which gives them."""


@cache
def text_sources() -> frozenset[str]:
    """The sources of plays that are known by their titles alone: kinds of import that say `BY_TITLE`."""
    return frozenset(kind for kind, module in imports.modules().items() if getattr(module, "BY_TITLE", False))


def has_ids(item: Item) -> bool:
    """True if the item has an id that other services or a lookup know."""
    if isinstance(item, Track):
        return True  # music is identified by its names
    known = item.ids.by_namespace().keys()
    return not known <= PRIVATE_IDS or (isinstance(item, Episode) and bool(item.show_ids))


def is_open(item: Item) -> bool:
    """True if it is still to be found out what the item is, or which episode of its show."""
    return not has_ids(item) or is_unplaced(item)


def is_unplaced(item: Item) -> bool:
    """True for an episode that is known by its title in its show, and not by its number."""
    return (
        isinstance(item, Episode) and item.number is None and bool(item.show and item.title) and not item.ids
    )


def question(item: Item) -> str | None:
    """The key of the lookup for an item's plays; an episode's is that of its show."""
    if isinstance(item, Episode) and item.show and is_unplaced(item):
        return f"show:title:{fold_title(item.show)}"[:300]
    return next(iter(matches.match_keys(item)), None)


def search_keys(item: Item) -> tuple[str, ...]:
    """The keys of a play; a film without year and ids has its title alone, an unplaced episode its show and title."""
    if isinstance(item, Episode) and item.show and is_unplaced(item):
        # A figure follows the show's title, as in the keys of numbered episodes: see lookup_queue.plays_of.
        place = f"{item.season or 0}~{fold_title(item.title or '')}"
        return (f"episode:title:{fold_title(item.show)}:{place}"[:300],)
    return keys(item) or matches.match_keys(item)


def ask_about(
    connection: Connection,
    items: Iterable[Item],
    now: datetime,
    languages: Mapping[str, str | None] | None = None,
) -> int:
    """Queue the items that are open for a lookup, in the language by their keys; returns the number of plays.

    An episode of a show that was asked about in vain is asked about anew, since another title may tell.
    """
    open_ones = [item for item in items if is_open(item)]
    asked = {key: item for item in open_ones if (key := question(item)) is not None}
    again = {key for key, item in asked.items() if is_unplaced(item)}
    for some in split_keys(sorted(asked)):
        have = set(connection.execute(select(unresolved.c.key).where(unresolved.c.key.in_(some))).scalars())
        rows = [
            {
                "key": key,
                "kind": asked[key].kind.value,
                "item": item_to_json(asked[key]),
                "state": "waiting",
                "due_at": now,
                "created_at": now,
                "language": (languages or {}).get(key),
            }
            for key in some
            if key not in have
        ]
        if rows:
            connection.execute(insert(unresolved), rows)
        if anew := have & again:
            stuck = (unresolved.c.key.in_(anew), unresolved.c.state == "unmatched")
            connection.execute(update(unresolved).where(*stuck).values(state="waiting", due_at=now))
    return len(open_ones)


def split_keys(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + CHUNK_SIZE] for start in range(0, len(values), CHUNK_SIZE))
