"""Scrob's export (Settings, Export): a zip in the layout of Trakt's, read as that, or single files of it.

| File                                     | What of it is read                                                              |
|------------------------------------------|---------------------------------------------------------------------------------|
| `watched-history-1.json`, …              | `id` (the row's own), `watched_at` (null is unknown), movie or episode and show |
| `ratings-….json`, `lists-watchlist.json` | as in Trakt's                                                                   |
| everything else                          | is not opened: settings may hold secrets                                        |

What tells it from Trakt's export is that no film, episode or show has an id of Trakt's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webhook.domain.event import Episode
from webhook.domain.play import Dated
from webhook.transfer.imports import trakt
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._fields import UNDATED, number, when
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.records import Entry, Unusable, Viewing

LABEL = "Scrob"


def read(bundle: Bundle) -> Iterator[Entry]:
    """The entries of the files, history first; raises Unusable for an export of Trakt's own."""
    for name in trakt.find_files(bundle):
        first = next(bundle.items(name), None)
        if isinstance(first, dict) and trakt.is_trakts(first):
            raise Unusable(f"{bundle.path} is an export of Trakt, whose entries have ids of Trakt's.")
    yield from trakt.read(bundle, partial(scrob_viewing, Repeats("scrob")))


def scrob_viewing(repeats: Repeats, entry: Mapping[str, Any]) -> Viewing:
    """A viewing under its row's id at Scrob; without a date it is one of its own beside others of the item."""
    item, at = trakt.played_item(entry), when(entry["watched_at"])
    of = item.show_ids if isinstance(item, Episode) else item.ids
    place = f":{item.season}x{item.number}" if isinstance(item, Episode) else ""
    row = number(entry.get("id"))
    made = repeats.viewing(
        item,
        (at, Dated.EXACT) if at else UNDATED,
        f"{item.kind}:{of.tmdb or of.tvdb or item.title}{place}",
        str(row) if row else None,
    )
    return replace(made, play=replace(made.play, manual=entry.get("action") == "watch"))
