"""Plex: https://developer.plex.tv/pms

| call | effect for the person of the token |
|---|---|
| `PUT /:/scrobble?identifier=com.plexapp.plugins.library&key=4711` | `viewCount` + 1, watched now, no position |
| `PUT /:/unscrobble?identifier=…&key=4711` | no longer watched |
| `PUT /:/progress?identifier=…&key=4711&time=1540000&state=stopped` | where it goes on, in ms, from a minute on |
| `PUT /:/rate?identifier=…&key=4711&rating=8` | 0 to 10; -1 removes it |

Plex takes no date, and counts each call anew: what is watched is left alone. A call on a show or a season would mark
every episode, so only films and episodes are. Each person's token is their own; one signs in at https://plex.tv/link.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, cast

import httpx
from pydantic import Field

from webhook.domain import values
from webhook.domain.copies import Copy
from webhook.domain.event import Action, Episode, Ids, Item, Kind, Movie
from webhook.settings import BY_ITSELF, Address
from webhook.sources import _plexlike
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import TrackerSettings
from webhook.trackers._changes import ItemState, States
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child
from webhook.trackers._media_server import MediaServer
from webhook.trackers._viewings import is_since
from webhook.trackers.plex.sign_in import LABEL, PlexSignIn
from webhook.trackers.plex.watchlist import PlexWatchlist, read_ids_of

PURPOSE = "Is told what you watched elsewhere, so that it is marked watched there too."
SETUP: tuple[str, ...] = (
    "The address of your Plex Media Server is the one that its owner has set up here.",
    "Sign in with your own Plex account: enter the code at https://plex.tv/link",
    "Nothing is sent before you switch on what Plex is told.",
)
LIBRARY = "com.plexapp.plugins.library"
PAGE_SIZE, HISTORY_PAGE_SIZE = 500, 200
SECTION_TYPES: Mapping[str, tuple[str, ...]] = {"movie": ("1",), "show": ("4",)}
SHOWS = "2"
WRITES: Mapping[Action, str] = {Action.WATCHED: "/:/scrobble", Action.UNWATCHED: "/:/unscrobble"}


class Settings(TrackerSettings):
    url: Address = Field(description="Address of your Plex Media Server, e.g. http://192.168.1.10:32400")
    account_url: Address = Field(
        "https://plex.tv", description="Address of the sign-in to Plex", json_schema_extra=BY_ITSELF
    )
    discover_url: Address = Field(
        "https://discover.provider.plex.tv",
        description="Address of Plex's watchlists",
        json_schema_extra=BY_ITSELF,
    )
    metadata_url: Address = Field(
        "https://metadata.provider.plex.tv",
        description="Address at which Plex finds titles by their ids",
        json_schema_extra=BY_ITSELF,
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Plex:
    return Plex(settings, http)


class Plex(PlexSignIn, PlexWatchlist):
    """Marks what is watched elsewhere, for one person of a server."""

    name = "plex"
    label = LABEL
    facts = Facts(Cost.SELF_HOSTED, Dates.NONE, Rewatches.NONE, Anime.SERIES)
    batch = 200
    actions: ClassVar[Mapping[Action, str]] = {
        **MediaServer.actions,
        Action.WATCHLIST: "list_title",
        Action.UNWATCHLIST: "unlist_title",
    }

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.url)
        self.account_api = settings.account_url.rstrip("/")
        self.discover, self.metadata = settings.discover_url.rstrip("/"), settings.metadata_url.rstrip("/")
        self.known_ids = {}

    # What is on the server

    async def copies(self, access: Access) -> AsyncIterator[Sequence[Copy]]:
        for section in await self.sections(access):
            title = as_text(section.get("title"))
            shows: dict[str, Ids] = {}
            if section.get("type") == "show":
                async for page in self.pages(access, section, SHOWS, PAGE_SIZE):
                    shows |= {
                        key: ids
                        for row in page
                        if (key := key_of(row)) and (ids := read_ids_of(row, Kind.SHOW))
                    }
            for kind in SECTION_TYPES[section["type"]]:
                async for page in self.pages(access, section, kind, PAGE_SIZE):
                    yield [copy for row in page if (copy := read_copy(row, title, shows)) is not None]

    async def sections(self, access: Access) -> list[JsonObject]:
        """The libraries of films and shows."""
        container = await self.container(access, "/library/sections")
        return [row for row in as_rows(container.get("Directory")) if row.get("type") in SECTION_TYPES]

    async def pages(
        self, access: Access, section: JsonObject, kind: str, size: int, **more: str
    ) -> AsyncIterator[list[JsonObject]]:
        """The items of a library, a page at a time; what moves to another page meanwhile comes once."""
        path, start, known = f"/library/sections/{section['key']}/all", 0, set[str]()
        while True:
            query = {"type": kind, "includeGuids": "1", **more}
            paging = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
            container = await self.container(access, path, params=query, extra_headers=paging)
            rows = as_rows(container.get("Metadata"))
            yield [row for row in rows if (key := key_of(row)) and key not in known]
            known.update(key for row in rows if (key := key_of(row)))
            start += len(rows)
            total = as_int(container.get("totalSize"))
            if not rows or (len(rows) < size if total is None else start >= total):
                return

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """What is marked watched, with the time of its last viewing."""
        newest_first = {"unwatched": "0", "sort": "lastViewedAt:desc"}
        for section in await self.sections(access):
            for kind in SECTION_TYPES[section["type"]]:
                async for page in self.pages(access, section, kind, HISTORY_PAGE_SIZE, **newest_first):
                    for row in page:
                        item, at = read_item(row), second_of(row, "lastViewedAt")
                        if item is not None and is_since(at, since):
                            yield WatchedItem(item=item, at=at, remote_id=key_of(row))

    # Marks

    async def read_states(self, access: Access, keys: Sequence[str]) -> States:
        path = f"/library/metadata/{','.join(keys)}"
        response = await self.ask(access, "GET", path, params={"includeGuids": "1"})
        if response.status_code == 404:  # of one, or of all of them: that depends on the server's version
            half = len(keys) // 2
            parts = (keys[:half], keys[half:]) if half else ()
            return {
                key: state for part in parts for key, state in (await self.read_states(access, part)).items()
            }
        rows = as_rows(
            child(self.accept_object(response, "MediaContainer"), "MediaContainer").get("Metadata")
        )
        return {state.key: state for row in rows if (state := read_state(row)) is not None}

    async def write(self, access: Access, state: ItemState, action: Action, delivery: Delivery) -> None:
        query = {"identifier": LIBRARY, "key": state.key}
        if action in WRITES:
            self.accept(await self.ask(access, "PUT", WRITES[action], params=query))
            return
        if action is Action.PROGRESS:
            position = {**query, "time": str(delivery.position_ms), "state": "stopped"}
            self.accept(await self.ask(access, "PUT", "/:/progress", params=position))
            return
        rating = "-1" if action is Action.UNRATE else str(delivery.rating)
        self.accept(await self.ask(access, "PUT", "/:/rate", params={**query, "rating": rating}))

    async def read_open_keys(self, access: Access) -> Collection[str]:
        """What plays; a person who shares the server is not told that."""
        response = await self.ask(access, "GET", "/status/sessions")
        if response.status_code in (401, 403):
            return ()
        container = child(self.accept_object(response, "MediaContainer"), "MediaContainer")
        return [key for row in as_rows(container.get("Metadata")) if (key := key_of(row)) is not None]

    async def container(self, access: Access, path: str, **more: Any) -> JsonObject:
        body = await self.ask(access, "GET", path, **more)
        return child(self.accept_object(body, "MediaContainer"), "MediaContainer")

    # The sign-in

    async def check(self, access: Access) -> str:
        await self.container(access, "/library/sections")
        return as_text(access.tokens.get("name")) or LABEL


def read_state(row: JsonObject) -> ItemState | None:
    key, item = key_of(row), read_item(row)
    if key is None or item is None:
        return None
    return ItemState(
        key=key,
        items=[item],
        played=bool(as_int(row.get("viewCount"))),
        rating=values.rating(row.get("userRating")),
        position_ms=values.position(row.get("viewOffset")) or 0,
        at=second_of(row, "lastViewedAt"),
    )


def read_copy(row: JsonObject, library: str | None, shows: Mapping[str, Ids]) -> Copy | None:
    """A film or an episode of a page, with the ids of its show."""
    key, item, show_key = key_of(row), read_item(row), as_text(row.get("grandparentRatingKey"))
    if key is None or item is None:
        return None
    if isinstance(item, Episode) and (show := shows.get(show_key or "")):
        item = replace(item, show_ids=show.merge(item.show_ids))
    return Copy(item=item, item_key=key, show_key=show_key, library=library)


def read_item(row: JsonObject) -> Item | None:
    item = _plexlike.read_item(cast(_plexlike.PlexMetadata, row)) if row.get("type") else None
    return item if isinstance(item, Movie | Episode) else None


def key_of(row: JsonObject) -> str | None:
    return values.text(row.get("ratingKey"))


def second_of(row: JsonObject, name: str) -> datetime | None:
    return values.moment(row.get(name))
