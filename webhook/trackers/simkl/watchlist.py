"""The watchlist: what Simkl has as "plan to watch", which is one status of several.

A title with another status is watched, or was put aside: it keeps that. Removing a title takes its plays and its
rating with it, so one is only removed that has none: Simkl is asked before each change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from webhook.client import excerpt
from webhook.domain.event import Action, Item, Kind, Movie, Show
from webhook.domain.outcome import Done, Skip
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Access, Delivery
from webhook.trackers._json import JsonObject, as_int, as_text, as_time, child, expect_object, expect_rows
from webhook.trackers._scrobbler import Scrobbler
from webhook.trackers._watchlist import (
    NOT_ON_IT,
    ON_IT,
    incomplete_list,
    require_listable,
    unknown_title,
)
from webhook.trackers.simkl.lists import LIST_FORMS, stream_rows
from webhook.trackers.simkl.payloads import LABEL, Entry, merge_bodies, name_forms, usable_ids
from webhook.trackers.simkl.responses import lost_entries, parse_ids
from webhook.trackers.simkl.sync import Sync

PLANNED = "plantowatch"
BEGUN = frozenset({"watching", "completed"})
STAMPED_GROUPS = ("tv_shows", "anime", "movies")
STAMP_NAMES = (PLANNED, "watching", "completed", "hold", "dropped", "removed_from_list")
"""The kinds of titles, and their stamps that a change of the list moves; those of ratings and positions say nothing."""

MOST_ASKED = 100


class SimklWatchlist(Sync):
    """The part of the tracker that keeps the watchlist."""

    actions: ClassVar[Mapping[Action, str]] = {
        **Scrobbler.actions,
        Action.WATCHLIST: "list_title",
        Action.UNWATCHLIST: "unlist_title",
    }

    async def watchlist(self, access: Access) -> list[WantedItem]:
        rows = [
            row for name in LIST_FORMS async for row in stream_rows(self, name, {}, access, status=PLANNED)
        ]
        found = [wanted for row in rows if (wanted := read_plan(row)) is not None]
        if len(found) != len(rows):
            raise incomplete_list(LABEL, len(found), len(rows))
        return found

    async def watchlist_stamp(self, access: Access) -> str:
        """When each status of each kind of title was changed last, as far as Simkl says: a title has one of them."""
        said = await self.ask_object(access, "GET", "/sync/activities")
        stamps = [
            f"{group}.{name} {as_text(child(said, group).get(name))}"
            for group in STAMPED_GROUPS
            for name in STAMP_NAMES
        ]
        return "\n".join(stamps)

    async def explain_absence(self, gone: Sequence[WantedItem], access: Access) -> list[Item]:
        """What has been begun or watched since, which is another status of the same title."""
        items = [one.item for one in gone]
        standing = await self.look_up(items, access)
        return [item for item, seen in zip(items, standing, strict=True) if seen.get("list") in BEGUN]

    async def look_up(self, items: Sequence[Movie | Show], access: Access) -> list[JsonObject]:
        """What Simkl has of each title: its list, and whether it was seen."""
        found: list[JsonObject] = []
        for start in range(0, len(items), MOST_ASKED):
            asked = [question_of(item) for item in items[start : start + MOST_ASKED]]
            params = {"extended": "counters"}
            response = await self.ask(access, "POST", "/sync/watched", json=asked, params=params)
            rows = expect_rows(LABEL, self.accept(response))
            if len(rows) != len(asked):
                raise incomplete_list(LABEL, len(rows), len(asked))
            found += rows
        return found

    async def list_title(self, delivery: Delivery, access: Access) -> Done:
        """Plan to watch it, unless it has a status already, which that would replace."""
        item = require_listable(LABEL, delivery.item)
        (seen,) = await self.look_up([item], access)
        if seen.get("list") == PLANNED:
            return Done(answer=ON_IT)
        if seen.get("list") or has_plays(seen):
            raise Skip(f"{LABEL} has it as {seen.get('list') or 'watched'}, which it keeps")
        if seen.get("result") == "not_found":
            raise unknown_title(LABEL, item)
        for entry in title_entries(item, {"to": PLANNED}):
            response = await self.ask(access, "POST", "/sync/add-to-list", json=merge_bodies([entry]))
            body = expect_object(LABEL, self.accept(response), "added")
            if not lost_entries(body) and any(child(body, "added").values()):
                return Done(answer="planned")
        raise unknown_title(LABEL, item)

    async def unlist_title(self, delivery: Delivery, access: Access) -> Done:
        """Remove what is planned and was never watched; anything else stays as it is."""
        item = require_listable(LABEL, delivery.item)
        (seen,) = await self.look_up([item], access)
        if has_plays(seen):
            raise Skip(f"{LABEL} would remove its plays with it, so it stays there")
        if seen.get("list") != PLANNED:
            return Done(answer=NOT_ON_IT)
        for entry in title_entries(item, {}):
            response = await self.ask(access, "POST", "/sync/history/remove", json=merge_bodies([entry]))
            body = expect_object(LABEL, self.accept(response), "deleted")
            if not lost_entries(body):
                return Done(answer="removed")
        return Done(answer=f"{NOT_ON_IT}: {excerpt(response)}")


def read_plan(row: JsonObject) -> WantedItem | None:
    """A film or show that is planned; None where the row names none."""
    film, show = child(row, "movie"), child(row, "show")
    if not film and row.get("anime_type") == "movie":
        film, show = show, {}
    said = film or show
    ids = parse_ids(said)
    if not ids or row.get("status", PLANNED) != PLANNED:
        return None
    make = Movie if film else Show
    item = make(title=as_text(said.get("title")), year=as_int(said.get("year")), ids=ids)
    return WantedItem(item=item, at=as_time(row.get("added_to_watchlist_at")))


def question_of(item: Movie | Show) -> JsonObject:
    named = {"title": item.title, "year": item.year}
    return {
        "type": item.kind.value,
        **usable_ids(item.kind, item.ids),
        **{k: v for k, v in named.items() if v},
    }


def title_entries(item: Movie | Show, fields: JsonObject) -> list[Entry]:
    """The title as a whole, by its ids, else by title and year."""
    group = "movies" if item.kind is Kind.MOVIE else "shows"
    forms = name_forms(item.kind, item.ids, item.title, item.year)
    return [Entry(group, {**form, **fields}) for form in forms]


def has_plays(seen: JsonObject) -> bool:
    """True if anything of the title was watched there."""
    counted = any(as_int(value) for name, value in seen.items() if name.startswith("episodes_watched"))
    return seen.get("result") is True or as_time(seen.get("last_watched_at")) is not None or counted
