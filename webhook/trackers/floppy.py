"""Floppy, which a household runs itself: https://github.com/dannyvfilms/Floppy/wiki/7.-API-and-MCP-Server.

| call, below `/api/v1` | |
|---|---|
| `POST /media/movie/tmdb/496243/watch` | `{"end_date": "2026-11-20T21:00:00Z", "external_id": "wm-81-1795208400"}` |
| `POST /media/tv/tmdb/1396/2/episodes/5/watch` | `{"end_date": "2026-11-20T21:00:00Z"}`; the id is the show's |
| `GET /media/movie/tmdb/496243/history` | the plays of one film, and so of one episode: `/media/tv/tmdb/1396/2/5/history` |
| `GET /media/episode` | all plays of episodes, a page at a time |
| `GET /media/movie` | all films, each once, with the date of its last play |
| `DELETE …/history/{id}` | one play |

An episode that is sent twice is there twice. A call without a date means now, so that none goes without one. A film that
was ticked by hand has no plays, and its history is the film itself, with a status; to remove that is to remove the film.

| answer | outcome |
|---|---|
| 401, 403 | parked: signed out |
| 404 with a `detail` | unmatched, or no plays; "Could not resolve" is tried again first, since TMDB may be away |
| 404 without, 30x | the address is wrong, or somebody else answers there |
| other 4xx | dead |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import httpx
from pydantic import Field

from webhook.domain.event import Episode, Ids, Item, Kind, Movie
from webhook.domain.outcome import Park
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens, WatchedItem
from webhook.trackers._base import TrackerSettings, WritesPerSecond
from webhook.trackers._dated import DatedPlays, detail_of
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, as_time, child, unknown_shape
from webhook.trackers._pages import read_pages
from webhook.trackers._refusals import die_of, park_as
from webhook.trackers._viewings import is_since, viewing_date, wire_time

LABEL = "Floppy"
PURPOSE = "Keeps every viewing with its date, in a Floppy of your own. Free."
SETUP: tuple[str, ...] = (
    "Enter the address of your Floppy under Settings below, as you open it in the browser.",
    "Copy your API token from Settings → Integrations in Floppy, paste it into the field for the token, and sign in.",
    "If a media server or an outgoing webhook tells Floppy too, switch that off. Otherwise each play is there twice.",
)
NO_FLOPPY = "No Floppy with an API answers at this address: check FLOPPY_URL. A Yamtrack takes an outgoing webhook instead"
API = "/api/v1"
HISTORY_PAGE_SIZE = 200
COMPLETED = 3
"""The status of what was watched to its end."""


class Settings(TrackerSettings):
    url: Address = Field(description="Address of your Floppy (26.9 or later), e.g. http://192.168.1.10:8000")
    writes_per_second: WritesPerSecond = 2.0


def build(settings: Settings, http: httpx.AsyncClient) -> Floppy:
    url = settings.url.rstrip("/").removesuffix(API)
    return Floppy(http, url + API, settings.writes_per_second)


class Floppy(DatedPlays):
    """Adds each play with its date to the history of its film or episode."""

    name = "floppy"
    label = LABEL
    facts = Facts(Cost.SELF_HOSTED, Dates.EACH, Rewatches.EACH, Anime.SERIES)
    token_page = "Settings → Integrations in Floppy"
    wrong_address = NO_FLOPPY
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    needs = {Kind.MOVIE: ("tmdb",), Kind.EPISODE: ("show.tmdb",)}
    undated = False
    statuses = {
        **dict.fromkeys((301, 302, 307, 308, 405), die_of(NO_FLOPPY)),
        **dict.fromkeys((401, 403), park_as(Park.SIGNED_OUT, "it does not accept the token")),
    }

    # Plays

    async def list_item(self, delivery: Delivery, access: Access, *, fresh: bool) -> Sequence[WatchedItem]:
        return await self.list_history(self.item_path(delivery), delivery.item, access)

    async def add_play(self, delivery: Delivery, access: Access) -> str:
        body: JsonObject = {"end_date": wire_time(viewing_date(delivery) or delivery.at)}
        if isinstance(delivery.item, Episode):
            show, season, number = self.require_place(delivery)
            path = f"/media/tv/tmdb/{show}/{season}/episodes/{number}/watch"
        else:
            path = f"{self.item_path(delivery)}/watch"
            body["external_id"] = f"wm-{delivery.id}-{int(delivery.at.timestamp())}"
        response = await self.ask(access, "POST", path, json=body)
        self.require_tmdb(delivery, response, "Could not resolve")
        answer = self.accept_object(response)
        if as_int(answer.get("consumption_id")) is None:
            raise unknown_shape(LABEL, response, unsure=True)
        date = as_text(answer.get("end_date"))
        return f"added, watched at {date}"

    def item_path(self, delivery: Delivery) -> str:
        if not isinstance(delivery.item, Episode):
            return f"/media/movie/tmdb/{self.require_film(delivery)}"
        show, season, number = self.require_place(delivery)
        return f"/media/tv/tmdb/{show}/{season}/{number}"

    async def list_history(self, path: str, item: Item, access: Access) -> list[WatchedItem]:
        """The plays of one item; none where Floppy does not follow it."""
        pages = self.pages(access, f"{path}/history")
        return [parse_play(row, item) async for rows in pages for row in rows if is_viewing(row)]

    async def remove_play(self, play: int, delivery: Delivery, access: Access) -> bool:
        """Only where it is listed as a play: Floppy takes the number of a film, too, and removes all of that."""
        held = await self.list_item(delivery, access, fresh=True)
        if str(play) not in {one.remote_id for one in held}:
            return False
        response = await self.ask(access, "DELETE", f"{self.item_path(delivery)}/history/{play}")
        if response.status_code == 404 and detail_of(response):
            return False
        self.accept(response)
        return True

    # What the account holds

    async def plays(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        async for rows in self.pages(access, "/media/episode"):
            for row in filter(is_viewing, rows):
                episode = parse_episode(child(row, "item"))
                if episode is not None and is_since(as_time(row.get("end_date")), since):
                    yield parse_play(row, episode)
        async for rows in self.pages(access, "/media/movie"):
            for row in filter(is_viewing, rows):
                film = parse_film(child(row, "item"))
                if film is None or not is_since(as_time(row.get("end_date")), since):
                    continue
                for play in await self.list_history(f"/media/movie/tmdb/{film.ids.tmdb}", film, access):
                    if is_since(play.at, since):
                        yield play

    def pages(self, access: Access, path: str) -> AsyncIterator[list[JsonObject]]:
        async def read(page: int) -> tuple[list[JsonObject], int | None]:
            asked = {"limit": str(HISTORY_PAGE_SIZE), "offset": str((page - 1) * HISTORY_PAGE_SIZE)}
            response = await self.ask(access, "GET", path, params=asked, patient=True)
            if response.status_code == 404 and path.endswith("/history") and detail_of(response):
                return [], 0
            body = self.accept_object(response)
            total = as_int(child(body, "pagination").get("total"))
            if total is None or not isinstance(body.get("results"), list):
                raise unknown_shape(LABEL, response, unsure=False)
            return as_rows(body["results"]), -(-total // HISTORY_PAGE_SIZE)

        return read_pages(read, key=lambda row: as_int(row.get("consumption_id")))

    # The sign-in

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {tokens['token']}"} if "token" in tokens else {}

    async def validate(self, tokens: Tokens) -> str | None:
        """The host's name: Floppy does not say whose token it is."""
        response = await self.call("GET", "/lists/", params={"limit": "1"}, tokens=tokens)
        if response.status_code in (401, 403):
            return None
        self.accept_object(response)
        return self.host


def is_viewing(row: JsonObject) -> bool:
    """False for what is planned, begun or dropped."""
    return as_time(row.get("end_date")) is not None or row.get("status") == COMPLETED


def parse_play(row: JsonObject, item: Item) -> WatchedItem:
    """A row of a history. That of a film has a status only where it is the film itself, which must not be removed."""
    removable = not isinstance(item, Movie) or row.get("status") is None
    number = as_int(row.get("consumption_id")) if removable else None
    return WatchedItem(
        item=item, at=as_time(row.get("end_date")), remote_id=None if number is None else str(number)
    )


def parse_film(item: JsonObject) -> Movie | None:
    """The film of a row; None for one that TMDB does not have."""
    number = as_int(item.get("media_id"))
    if item.get("source") != "tmdb" or number is None:
        return None
    return Movie(title=as_text(item.get("title")), ids=Ids(tmdb=number))


def parse_episode(item: JsonObject) -> Episode | None:
    """The episode of a row, whose number is that of its show; None for one that TMDB does not have."""
    number = as_int(item.get("media_id"))
    if item.get("source") != "tmdb" or number is None:
        return None
    return Episode(
        season=as_int(item.get("season_number")),
        number=as_int(item.get("episode_number")),
        show_ids=Ids(tmdb=number),
    )
