"""Lists: an account's history, in three lists of one response each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime

import httpx
import ijson  # type: ignore[import-untyped]
import orjson

from webhook.client import MAX_ANSWER, clean, describe_error
from webhook.domain.event import Episode, Ids, Movie
from webhook.domain.outcome import Retry
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import BaseTracker
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, as_time, child
from webhook.trackers._viewings import is_undated
from webhook.trackers.simkl.payloads import ANIME_IDS, iso
from webhook.trackers.simkl.responses import parse_ids

LIST_FORMS: Mapping[str, str] = {"movies": "full", "shows": "full", "anime": "full_anime_seasons"}
"""The lists, and how each is asked for with its episodes."""

LISTING_TTL = 600.0
"""Seconds for which a list of all that an account holds is believed; our own marks are added to it."""

MAX_ROW = 8 * 1024 * 1024
UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class AccountLists:
    """Reads an account's history and caches it for a while."""

    def __init__(self, api: BaseTracker) -> None:
        self.api = api
        self.known: dict[str, tuple[float, list[WatchedItem]]] = {}

    async def read(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The viewings on the lists, or on those rows of them that were changed since a time."""
        for name, extended in LIST_FORMS.items():
            params = {"extended": extended, "episode_watched_at": "yes"}
            if since is not None:
                params["date_from"] = iso(since)  # what has changed since then, with all its episodes
            async for row in stream_rows(self.api, name, params, access):
                for viewing in parse_row(row, by_season=name == "anime"):
                    yield viewing

    async def changes(self, access: Access, since: datetime) -> list[WatchedItem]:
        return [one async for one in self.read(access, since)]

    async def all(self, access: Access) -> list[WatchedItem]:
        """All that the account holds, read anew after a while only."""
        key = str(access.tokens.get("access_token", ""))
        until, before = self.known.get(key, (0.0, []))
        if time.monotonic() < until:
            return before
        found = [one async for one in self.read(access)]
        self.known = {key: (time.monotonic() + LISTING_TTL, found)}  # one is large enough
        return found

    def remember(self, delivery: Delivery, access: Access) -> None:
        """Add our own mark to the cached history."""
        _, found = self.known.get(str(access.tokens.get("access_token", "")), (0.0, []))
        found.append(WatchedItem(item=delivery.item, at=None if is_undated(delivery) else delivery.at))


def parse_row(row: JsonObject, *, by_season: bool) -> Iterator[WatchedItem]:
    """The viewings in one row of the lists: of a film, or of episodes; `by_season`: of an anime."""
    show, movie = child(row, "show"), child(row, "movie")
    if film := movie or (show if row.get("anime_type") == "movie" else {}):
        at = as_time(row.get("last_watched_at"))
        if at is not None or row.get("status") == "completed":
            item = Movie(title=as_text(film.get("title")), year=as_int(film.get("year")), ids=parse_ids(film))
            yield WatchedItem(item=item, at=at)
        return
    for season in as_rows(row.get("seasons")):
        for one in as_rows(season.get("episodes")):
            placed = parse_episode(show, as_int(season.get("number")), one, by_season=by_season)
            yield WatchedItem(item=placed, at=as_time(one.get("watched_at")))


def parse_episode(show: JsonObject, season: int | None, one: JsonObject, *, by_season: bool) -> Episode:
    """An parse_episode by its place in the show. Of an anime by TheTVDB's, which others count by too, where it is known.

    An anime's entry is a season of it: AniDB's, MyAnimeList's and Simkl's own ids belong to Simkl's numbers,
    those of the as_int show to TheTVDB's.
    """
    number, ids = as_int(one.get("number")), parse_ids(show)
    tvdb = (as_int(child(one, "tvdb").get("season")), as_int(child(one, "tvdb").get("episode")))
    if by_season and tvdb != (season, number):
        own = ("simkl", *ANIME_IDS)
        mapped = None not in tvdb
        season, number = tvdb if mapped else (season, number)
        known = {name: value for name, value in ids.by_namespace().items() if (name in own) != mapped}
        ids = Ids.from_json(known)
    return Episode(
        title=as_text(one.get("title")),
        show=as_text(show.get("title")),
        season=season,
        number=number,
        year=as_int(show.get("year")),
        show_ids=ids,
    )


# A list of any length


async def stream_rows(
    api: BaseTracker, name: str, params: Mapping[str, str], access: Access, status: str | None = None
) -> AsyncIterator[JsonObject]:
    """The rows of a list that comes without pages, {"name": [{...}, ...]}, each as it comes in.

    Where a status is given only those that have it. No more than a row is held. Retry is raised where the list breaks off or is none.
    """
    parser = RowParser(api.label, name)
    url, headers = f"{api.api}/sync/all-items/{name}", api.headers(access.tokens)
    url = url if status is None else f"{url}/{status}"
    query = {**api.sign_address(access.tokens), **params}
    try:
        async with api.http.stream("GET", url, headers=headers, params=query) as response:
            if not response.is_success:
                api.accept(await read_head(response))
            async for piece in response.aiter_text():
                for row in parser.feed(piece):
                    yield row
    except UNREACHABLE as error:
        raise Retry(f"{api.label} cannot be reached ({describe_error(error)})") from error
    except httpx.HTTPError as error:
        raise Retry(f"{api.label} broke off ({describe_error(error)})", after=UNSURE_PAUSE) from error
    parser.close()


async def read_head(response: httpx.Response) -> httpx.Response:
    """The answer, read no further than is worth showing."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER:
            break
    return httpx.Response(response.status_code, headers=clean(response.headers), content=bytes(body))


class RowParser:
    """Gives the rows of {"name": [{...}, ...]} as its text comes in."""

    def __init__(self, label: str, name: str) -> None:
        self.label, self.name = label, name
        self.found = ijson.sendable_list()
        self.parser = ijson.items_coro(self.found, f"{name}.item", use_float=True)
        self.beginning, self.size, self.any_rows = "", 0, False

    def feed(self, piece: str) -> Iterator[JsonObject]:
        """The rows that are whole with this piece; raises Retry where it is no JSON."""
        self.beginning = (self.beginning + piece)[:500]
        self.size += len(piece)
        broken: Exception | None = None
        try:
            self.parser.send(piece.encode())
        except ijson.JSONError as error:
            broken = error
        if rows := list(self.found):
            self.found.clear()
            self.any_rows, self.size = True, 0
            yield from as_rows(rows)
        if broken is not None or self.size > MAX_ROW:
            raise self.unknown_list() from broken

    def close(self) -> None:
        """Raises Retry unless the list came to its end, or a null or {} said that there is none."""
        try:
            self.parser.close()
        except ijson.JSONError as error:
            raise self.unknown_list() from error
        if not self.any_rows and not self.is_empty():
            raise self.unknown_list()

    def is_empty(self) -> bool:
        try:
            body = orjson.loads(self.beginning)
        except orjson.JSONDecodeError:
            return False
        return body in (None, {}, []) or (isinstance(body, dict) and body.get(self.name) == [])

    def unknown_list(self) -> Retry:
        reason = f"{self.label} sent a list that is cut off or of an unknown shape"
        return Retry(reason, answer=self.beginning, after=UNSURE_PAUSE)
