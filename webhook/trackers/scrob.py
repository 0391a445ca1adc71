"""Scrob, which a household runs itself: https://github.com/ellite/scrob.

| call | |
|---|---|
| `POST /history` | `{"tmdb_id": 496243, "media_type": "movie", "watched_at": "2026-11-20T21:00:00Z", "completed": true}` |
| | an episode has `series_tmdb_id`, `season_number` and `episode_number`; `tmdb_id` is its own, or 0 |
| `GET /history/item-events` | the plays of one film or episode, by its own TMDB id |
| `GET /history` | all plays, a page at a time, the newest first |
| `DELETE /history/event/{id}` | one play |

A play that is sent twice is there twice. An offset in a time is thrown away, so that every time is in UTC.

| answer | outcome |
|---|---|
| 401 | parked: signed out |
| 404 with a `detail` | unmatched; "TMDB Media not found" is tried again first, since TMDB may be away |
| 404 without, 30x | the address is wrong, or somebody else answers there |
| other 4xx | dead |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

import httpx
from pydantic import Field

from webhook.client import excerpt
from webhook.domain.event import Episode, Ids, Item, Kind, Movie
from webhook.domain.outcome import Park, Unmatched
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens, WatchedItem
from webhook.trackers._base import TrackerSettings, WritesPerSecond
from webhook.trackers._dated import DatedPlays, detail_of
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import (
    JsonObject,
    as_int,
    as_rows,
    as_text,
    as_time,
    child,
    unknown_shape,
)
from webhook.trackers._pages import read_pages
from webhook.trackers._refusals import die_of, park_as, snooze_for
from webhook.trackers._viewings import is_since, is_undated, viewing_date, wire_time

LABEL = "Scrob"
PURPOSE = "Keeps every viewing with its date, in a Scrob of your own. Free."
SETUP: tuple[str, ...] = (
    "Enter the address of your Scrob under Settings below. It mostly ends in /api/proxy.",
    "Copy your API key from Connections in Scrob, paste it into the field for the token, and sign in.",
    "If Scrob passes plays on to Trakt, Simkl or MDBList, switch that off. Otherwise these get each play twice.",
)
NO_SCROB = "No Scrob answers at this address: check SCROB_URL, which mostly ends in /api/proxy"
HISTORY_PAGE_SIZE = 100
GUARD_REST = timedelta(hours=1)
AROUND = timedelta(days=2)


class Settings(TrackerSettings):
    url: Address = Field(description="Address of your Scrob, e.g. http://192.168.1.10:7330/api/proxy")
    writes_per_second: WritesPerSecond = 2.0


def build(settings: Settings, http: httpx.AsyncClient) -> Scrob:
    return Scrob(http, settings.url, settings.writes_per_second)


class Scrob(DatedPlays):
    """Puts each viewing into the history with its date."""

    name = "scrob"
    label = LABEL
    facts = Facts(Cost.SELF_HOSTED, Dates.EACH, Rewatches.EACH, Anime.SERIES)
    token_page = "Connections in Scrob"
    wrong_address = NO_SCROB
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    needs = {Kind.MOVIE: ("tmdb",), Kind.EPISODE: ("show.tmdb",)}
    statuses = {
        **dict.fromkeys((301, 302, 307, 308, 405), die_of(NO_SCROB)),
        401: park_as(Park.SIGNED_OUT),
        403: snooze_for(GUARD_REST),
    }

    # Plays

    async def list_item(self, delivery: Delivery, access: Access, *, fresh: bool) -> Sequence[WatchedItem]:
        """By its own id. An episode may be there under another number, so that it is looked for in the history too."""
        query = self.item_query(delivery)
        held = await self.list_events(query, delivery.item, access) if query["tmdb_id"] != "0" else []
        if held or isinstance(delivery.item, Movie):
            return held
        listing = await self.list_since([delivery], access, fresh=fresh)
        around = listing.between(delivery.at - AROUND, delivery.at + AROUND)
        return listing.undated if is_undated(delivery) else around

    def item_query(self, delivery: Delivery) -> dict[str, str]:
        item = delivery.item
        if not isinstance(item, Episode):
            return {"tmdb_id": str(self.require_film(delivery)), "media_type": "movie"}
        show, _, _ = self.require_place(delivery)
        own = item.ids.tmdb if item.ids.tmdb not in (None, show) else 0
        return {"tmdb_id": str(own), "media_type": "episode", "series_tmdb_id": str(show)}

    async def list_events(self, query: Mapping[str, str], item: Item, access: Access) -> list[WatchedItem]:
        response = await self.ask(access, "GET", "/history/item-events", params=query)
        rows = self.accept_object(response).get("events")
        if not isinstance(rows, list):
            raise unknown_shape(LABEL, response, unsure=False)
        return [
            WatchedItem(item=item, at=as_time(row.get("watched_at")), remote_id=str(row["id"]))
            for row in as_rows(rows)
            if as_int(row.get("id")) is not None
        ]

    async def add_play(self, delivery: Delivery, access: Access) -> str:
        response = await self.ask(access, "POST", "/history", json=self.body(delivery))
        self.require_tmdb(delivery, response, "TMDB Media not found")
        answer = self.accept_object(response)
        if answer.get("status") == "ignored":
            words = as_text(answer.get("reason")) or excerpt(response)
            raise Unmatched(f"{LABEL} ignored it: {words}", answer=excerpt(response))
        if answer.get("status") != "ok":
            raise unknown_shape(LABEL, response, unsure=True)
        return as_text(answer.get("message")) or "ok"

    def body(self, delivery: Delivery) -> JsonObject:
        query, at = self.item_query(delivery), viewing_date(delivery)
        body: JsonObject = {
            "tmdb_id": int(query["tmdb_id"]),
            "media_type": query["media_type"],
            "watched_at": None if at is None else wire_time(at),
            "completed": True,
        }
        if not isinstance(delivery.item, Episode):
            return body
        show, season, number = self.require_place(delivery)
        place = {"series_tmdb_id": show, "season_number": season, "episode_number": number}
        tvdb = delivery.item.show_ids.tvdb
        return {**body, **place, **({} if tvdb is None else {"series_tvdb_id": tvdb})}

    async def remove_play(self, play: int, delivery: Delivery, access: Access) -> bool:
        response = await self.ask(access, "DELETE", f"/history/event/{play}")
        if response.status_code == 404 and detail_of(response) == "Event not found":
            return False
        self.accept(response)
        return True

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        async for rows in self.pages(access):
            for row in rows:
                play = parse_event(row)
                if play is not None and is_since(play.at, since):
                    yield play

    async def plays(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The plays of episodes since a time; what is older, and after it what has no date, is not asked for."""
        async for rows in self.pages(access, type="episode"):
            plays = [play for play in map(parse_event, rows) if play is not None]
            for play in plays:
                yield play
            if since is not None and any(play.at is None or play.at < since for play in plays):
                return

    def pages(self, access: Access, **only: str) -> AsyncIterator[list[JsonObject]]:
        async def read(page: int) -> tuple[list[JsonObject], int | None]:
            asked = {"page": str(page), "page_size": str(HISTORY_PAGE_SIZE), **only}
            response = await self.ask(access, "GET", "/history", params=asked, patient=True)
            body = self.accept_object(response)
            if not isinstance(body.get("results"), list):
                raise unknown_shape(LABEL, response, unsure=False)
            return as_rows(body["results"]), as_int(body.get("total_pages"))

        return read_pages(read, key=lambda row: as_int(row.get("id")))

    # The sign-in

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"X-Api-Key": tokens["token"]} if "token" in tokens else {}

    async def validate(self, tokens: Tokens) -> str | None:
        """The host's name: Scrob does not say whose key it is."""
        response = await self.call("GET", "/profile/me", tokens=tokens)
        if response.status_code == 401:
            return None
        self.accept_object(response)
        return self.host


def parse_event(row: JsonObject) -> WatchedItem | None:
    """A play of the history. The number of an episode may be one of TheTVDB, so that its place alone names it."""
    event, media = as_int(row.get("id")), child(row, "media")
    if event is None:
        return None
    year = as_int((as_text(media.get("release_date")) or "")[:4])
    title = as_text(media.get("title"))
    if media.get("type") == "movie":
        item: Item = Movie(title=title, year=year, ids=Ids(tmdb=as_int(media.get("tmdb_id"))))
    elif media.get("type") == "episode":
        item = Episode(
            title=title,
            show=as_text(media.get("show_title")),
            season=as_int(media.get("season_number")),
            number=as_int(media.get("episode_number")),
            show_ids=Ids(tmdb=as_int(media.get("show_tmdb_id")), tvdb=as_int(media.get("show_tvdb_id"))),
        )
    else:
        return None
    return WatchedItem(item=item, at=as_time(row.get("watched_at")), remote_id=str(event))
