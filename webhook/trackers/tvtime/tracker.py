"""TV Time: the person's built-in library, or any server that speaks the protocol of TV Time's app.

The service itself closed on 2026-07-15. Its app put one proxy, `/sidecar`, in front of several hosts;
the calls here are those that its last clients made (https://github.com/Zggis/plex-tvtime).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import ClassVar
from urllib.parse import parse_qsl

import httpx
from pydantic import Field, field_validator

from webhook.domain.event import Action, Episode, Kind, Movie
from webhook.domain.outcome import Dead, Done
from webhook.settings import address
from webhook.trackers import Access, Delivery, Library, SignIn, WatchedItem
from webhook.trackers._base import TrackerSettings
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._viewings import is_since
from webhook.trackers.tvtime.api import Calls, user_id
from webhook.trackers.tvtime.lists import FOLLOWS, WATCHES, LibraryReader
from webhook.trackers.tvtime.marks import Marks, tvdb_of
from webhook.trackers.tvtime.responses import (
    LABEL,
    is_json,
    parse_answer,
    parse_movie_follow,
    parse_text,
    parse_watch,
    require_success,
)

PURPOSE = "Gives every watched mark a home: a TV Time library of your own, built in here."
NOTE = "Built in here. TV Time itself closed on 15 July 2026."
SETUP: tuple[str, ...] = (
    "TV Time itself closed on 15 July 2026. Nothing has to be set up: watched marks go into the library that is built in here.",
    "If you have an export file of TV Time, bring it in under History, Import, or with the command: watchmark import tvtime FILE",
    "You run a server that speaks the protocol of TV Time's app? Enter its address below and save; in the environment or .env it is TVTIME_URL. Then sign in with the user name and password of that server.",
)

NO_FOLLOW = "no call that follows a show at a server of TV Time's protocol is known; set TVTIME_FOLLOW_URL if yours has one"
ID = "{id}"


class Settings(TrackerSettings):
    url: str = Field(
        "", description="The origin of a server that speaks TV Time's protocol; empty: the built-in library."
    )
    follow_url: str = Field(
        "",
        description="What that server follows a show by: an address with {id} in it, called through its /sidecar with PUT and DELETE; empty: shows are followed here.",
    )
    writes_per_second: float = Field(
        1.0, ge=0, description="Writes a second for each account; 0 is no pacing."
    )

    @field_validator("url")
    @classmethod
    def origin(cls, url: str) -> str:
        url = url.strip().rstrip("/").removesuffix("/sidecar")
        return address(url) if url else ""

    @field_validator("follow_url")
    @classmethod
    def of_a_show(cls, url: str) -> str:
        url = url.strip()
        if url and ID not in address(url):
            raise ValueError("must have {id} in it, where the show's TheTVDB id goes")
        return url


def build(settings: Settings, http: httpx.AsyncClient) -> TVTime:
    return TVTime(settings, http)


class TVTime(Marks):
    """Marks watched, by the service's own date. Taken back are episodes: no call is known for movies."""

    name = "tvtime"
    label = LABEL
    sign_in: SignIn = "none"
    facts = Facts(Cost.FREE, Dates.LAST, Rewatches.COUNTED, Anime.SERIES, NOTE)
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    actions: ClassVar[Mapping[Action, str]] = {Action.WATCHED: "mark", Action.UNWATCHED: "unmark"}
    one_mark = True
    undated = True
    needs: Mapping[Kind, tuple[str, ...]] = {Kind.EPISODE: ("tvdb",)}

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        # The library is on our own disk, so no rate limit is needed.
        super().__init__(http, settings.url, settings.writes_per_second if settings.url else 0.0)
        self.follow_url = settings.follow_url
        self.local = not settings.url
        self.calls = Calls(settings.url, http)
        self.lists = LibraryReader(self.calls)
        self.host = self.calls.host
        self.sign_in = "password" if settings.url else "none"

    async def send(self, delivery: Delivery, access: Access) -> Done:
        if delivery.action not in self.tells or delivery.item.kind not in self.kinds:
            raise Dead(f"TV Time has no call for {delivery.action} of a {delivery.item.kind}")
        if not self.url:
            return await send_to_library(delivery, access.library)
        return await super().send(delivery, access)

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        match delivery.item:
            case Episode() as episode:
                return await self.watch(delivery, episode, access)
            case Movie() as movie:
                return await self.watch_movie(delivery, movie, access)
        raise Dead(f"TV Time has no call for a {delivery.item.kind}")

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        if not isinstance(delivery.item, Episode):
            raise Dead("TV Time has no known call to unwatch a movie")
        return await self.unwatch(delivery, delivery.item, access)

    async def check(self, access: Access) -> str:
        if not self.url:
            return "built-in library"
        account = await self.lists.account(access)
        return (
            parse_text(account.get("name")) or parse_text(account.get("username")) or user_id(access.tokens)
        )

    # ---- the account's history

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The episodes and movies marked watched, of each the one date that TV Time keeps.

        A server's list of episodes has their TheTVDB ids and nothing else of them.
        """
        if not self.url:
            async for viewing in access.library.history(since):
                yield viewing
            return
        # Movies are read from the follows: the list of viewings lacks their ids.
        for path, kind, meant in ((WATCHES, "episode", parse_watch), (FOLLOWS, "movie", parse_movie_follow)):
            async for rows in self.lists.pages(access, path, kind):
                for viewing in filter(None, map(meant, rows)):
                    if is_since(viewing.at, since):
                        yield viewing

    # ---- follows

    async def follow(self, access: Access, show: int) -> None:
        """Follow a show at the server; raises as `send` does, Dead where no call for it is set."""
        await self._follow(access, "PUT", show)

    async def unfollow(self, access: Access, show: int) -> None:
        await self._follow(access, "DELETE", show)

    async def _follow(self, access: Access, method: str, show: int) -> None:
        if not self.follow_url:
            raise Dead(NO_FOLLOW)
        upstream, _, query = self.follow_url.replace(ID, str(show)).partition("?")
        siblings = dict(parse_qsl(query, keep_blank_values=True))
        response = await self.calls.response(access, method, upstream, siblings)
        require_success(response)
        if is_json(response):  # some answered what was done with no JSON
            parse_answer(response)


async def send_to_library(delivery: Delivery, library: Library) -> Done:
    """Tell the built-in library."""
    item = delivery.item
    if isinstance(item, Episode):
        tvdb_of(item)
    if delivery.action is Action.UNWATCHED:
        return Done(answer=await library.unmark(item))
    return Done(answer=await library.mark(item, delivery.at, rewatch=delivery.rewatch))
