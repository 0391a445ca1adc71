"""TV Time: the person's built-in library, or any server that speaks the protocol of TV Time's app.

The service itself closed on 2026-07-15. Its app put one proxy, `/sidecar`, in front of several hosts;
the calls here are those that its last clients made (https://github.com/Zggis/plex-tvtime).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx
from pydantic import Field, field_validator

from webhook import clock
from webhook.domain.event import Action, Episode, Kind, Movie
from webhook.domain.outcome import Dead, Done, Retry, Snooze, Unmatched
from webhook.settings import address
from webhook.trackers import Access, Delivery, Library, SignIn, WatchedItem
from webhook.trackers._base import TrackerSettings
from webhook.trackers._json import as_time
from webhook.trackers._matching import is_same_title
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._viewings import CLOCK_SLACK, is_since
from webhook.trackers.tvtime.api import API, MOVIE_SEARCH, SHOW_SEARCH, TRACKING, Calls, user_id
from webhook.trackers.tvtime.lists import FOLLOWS, WATCHES, LibraryReader
from webhook.trackers.tvtime.responses import (
    LABEL,
    REWATCH_HANDLE,
    as_candidate,
    as_mapping,
    as_rows,
    count_viewings,
    describe_answer,
    describe_mark,
    expect_field,
    is_json,
    is_same_place,
    order_note,
    parse_answer,
    parse_int,
    parse_movie_follow,
    parse_movies,
    parse_text,
    parse_watch,
    require_success,
    shares_id,
)
from webhook.trackers.tvtime.sign_in import PasswordSignIn

PURPOSE = "Gives every watched mark a home: a TV Time library of your own, built in here."
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


class TVTime(PasswordSignIn):
    """Marks watched, by the service's own date. Taken back are episodes: no call is known for movies."""

    name = "tvtime"
    label = LABEL
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    actions: ClassVar[Mapping[Action, str]] = {Action.WATCHED: "mark", Action.UNWATCHED: "unmark"}
    one_mark = True
    undated = True
    needs: Mapping[Kind, tuple[str, ...]] = {Kind.EPISODE: ("tvdb",)}

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        # The library is on our own disk, so no rate limit is needed.
        super().__init__(http, settings.url, settings.writes_per_second if settings.url else 0.0)
        self.url, self.follow_url = settings.url, settings.follow_url
        self.local = not settings.url
        self.calls = Calls(settings.url, http)
        self.lists = LibraryReader(self.calls)
        self.host = self.calls.host
        self.sign_in: SignIn = "password" if settings.url else "none"

    async def send(self, delivery: Delivery, access: Access) -> Done:
        if delivery.action not in self.tells or delivery.item.kind not in self.kinds:
            raise Dead(f"TV Time has no call for {delivery.action} of a {delivery.item.kind}")
        if not self.url:
            return await send_to_library(delivery, access.library)
        return await super().send(delivery, access)

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        match delivery.item:
            case Episode() as episode:
                return await self._watch(delivery, episode, access)
            case Movie() as movie:
                return await self._watch_movie(delivery, movie, access)
        raise Dead(f"TV Time has no call for a {delivery.item.kind}")

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        if not isinstance(delivery.item, Episode):
            raise Dead("TV Time has no known call to unwatch a movie")
        return await self._unwatch(delivery, delivery.item, access)

    async def check(self, access: Access) -> str:
        if not self.url:
            return "built-in library"
        account = await self.lists.account(access)
        return (
            parse_text(account.get("name")) or parse_text(account.get("username")) or user_id(access.tokens)
        )

    # ---- marks

    async def _watch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        tvdb = tvdb_of(episode)
        if delivery.rewatch and delivery.unsure:
            seen = await self.lists.episode(access, tvdb)
            if done := count_viewings(seen.get("watched_count")):
                return done
        path = f"{API}/watched_episodes/episode/{tvdb}"
        began = clock.now()
        answer = await self.calls.call(access, "POST", path, is_rewatch=str(int(delivery.rewatch)))
        answer = expect_field(answer, "result", "OK")
        try:
            if not await self._is_right(episode, answer, access):
                raise Unmatched(await self._take_back(delivery, tvdb, answer, began, access))
        except (Retry, Snooze) as decision:
            raise unsettled_retry(LABEL, decision) from decision
        handle = REWATCH_HANDLE if delivery.rewatch else None
        return Done(
            answer=describe_mark(delivery, describe_answer(answer)),
            remote_id=handle,
            note=order_note(episode, answer),
        )

    async def _is_right(self, episode: Episode, answer: Mapping[str, Any], access: Access) -> bool:
        """True if the episode that was marked is the one that was meant: by its show, where its place differs."""
        show = as_mapping(answer.get("show"))
        mine, theirs = episode.show_ids.tvdb, parse_int(show.get("id"))
        named = is_same_title(episode.show, parse_text(show.get("name")))
        if named is True or None not in (mine, theirs):
            return named is True or mine == theirs
        if named is None:
            return True
        return is_same_place(episode, answer) is not False and await self._is_show_title(
            episode, theirs, access
        )

    async def _is_show_title(self, episode: Episode, show: int | None, access: Access) -> bool:
        """True if TV Time knows this show by our title too, in another language or spelling."""
        params = {"q": str(episode.show), "offset": "0", "limit": "20"}
        answer = await self.calls.call(access, "GET", SHOW_SEARCH, **params)
        return show is not None and any(
            parse_int(row.get("id")) == show for row in as_rows(as_mapping(answer).get("data"))
        )

    async def _take_back(
        self, delivery: Delivery, tvdb: int, answer: Mapping[str, Any], began: datetime, access: Access
    ) -> str:
        """Take back a mark of another episode, where it is this call's for sure; a sentence about it.

        TV Time takes back all viewings of an episode or none, and says when it was marked: one that was
        there before, or that an earlier try may have made long ago, stays.
        """
        wrong = f"TV Time took this for {describe_answer(answer)}, which is another episode"
        if delivery.rewatch:
            return f"{wrong}; it is counted there as watched again, which cannot be taken back"
        since = delivery.at if delivery.unsure and not delivery.late else began
        seen = await self.lists.episode(access, tvdb)
        marked_at = as_time(parse_text(seen.get("watched_date")))
        if marked_at is None or marked_at < since - CLOCK_SLACK:
            return f"{wrong}; that was marked watched before, and stays so"
        await self.calls.call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return f"{wrong}; that was taken back"

    async def _unwatch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        if delivery.remote_id == REWATCH_HANDLE:
            raise Dead("TV Time takes back all viewings of an episode or none, and this was not the first")
        tvdb = tvdb_of(episode)
        await self.calls.call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return Done(answer=f"Episode {tvdb} is no longer marked watched")

    async def _watch_movie(self, delivery: Delivery, movie: Movie, access: Access) -> Done:
        uuid = movie.ids.tvtime or await self._find(movie, access)
        if (
            delivery.rewatch
            and delivery.unsure
            and (done := count_viewings(await self._viewings(uuid, access)))
        ):
            return done
        verb = "rewatch" if delivery.rewatch else "watch"
        answer = await self.calls.call(access, "POST", f"{TRACKING}/{uuid}/{verb}")
        expect_field(answer, "status", "success")
        return Done(answer=describe_mark(delivery, movie.title or uuid), remote_id=uuid)

    async def _find(self, movie: Movie, access: Access) -> str:
        """The uuid of a movie: by its ids, and by its title where that finds the same ids."""
        queries = [str(known) for known in (movie.ids.tvdb, movie.ids.imdb, movie.title) if known]
        candidates: dict[str, Movie] = {}
        for query in queries:
            answer = await self.calls.call(access, "GET", MOVIE_SEARCH, q=query, offset="0", limit="5")
            for film in parse_movies(answer):
                if shares_id(movie.ids, film.ids) and await self._is_movie_title(movie, film, access):
                    return str(film.ids.tvtime)
                candidates[str(film.ids.tvtime)] = film
        # Search results carry no year, so a title alone could be any film of that name.
        reason = "TV Time's search does not find this movie by an id"
        raise Unmatched(reason, candidates=[as_candidate(film) for film in candidates.values()])

    async def _is_movie_title(self, movie: Movie, film: Movie, access: Access) -> bool:
        """True if a movie found by an id is the one that was meant: by more ids, its title, or a search for it."""
        common = movie.ids.by_namespace().items() & film.ids.by_namespace().items()
        if len(common) > 1 or is_same_title(movie.title, film.title) is not False:
            return True
        answer = await self.calls.call(
            access, "GET", MOVIE_SEARCH, q=str(movie.title), offset="0", limit="20"
        )
        return any(found.ids.tvtime == film.ids.tvtime for found in parse_movies(answer))

    async def _viewings(self, uuid: str, access: Access) -> int:
        """The number of viewings of the movie that TV Time has counted."""
        async for rows in self.lists.pages(access, WATCHES, "movie"):
            counts = [parse_int(row.get("rewatch_count")) or 0 for row in rows if row.get("uuid") == uuid]
            if counts:
                return len(counts) + max(counts)
        return 0

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


def tvdb_of(episode: Episode) -> int:
    if episode.ids.tvdb is None:
        raise Unmatched("TV Time knows episodes by their TheTVDB id, and this episode has none")
    return episode.ids.tvdb
