"""Lists: the follows and the viewings of an account at a server, page by page."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.domain.outcome import Dead, Retry, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Access
from webhook.trackers.tvtime.api import API, SERIES, TRACKING, Calls, user_id
from webhook.trackers.tvtime.responses import as_mapping, as_rows, parse_answer, parse_int, parse_text

TVTimeRow = Mapping[str, Any]

WATCHES, FOLLOWS = "watches", "cgw/follows"
PAGE_SIZES: Mapping[str, int] = {WATCHES: 100, FOLLOWS: 20}
"""The rows on a page of each list; a followed movie comes with all that is known of it."""

SHOWS_PAGE_SIZE = 500
SHOW_FIELDS = "id,name,watched_episode_count,aired_episode_count,is_followed"
NO_SHOW_LIST = (
    "TV Time's server does not offer the list of what is followed: look whether TVTIME_URL is its address"
)
EPISODE_FIELDS = "id,is_watched,watched_date,watched_count"


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowedShow:
    """A show that is followed there, by its TheTVDB id; the counts leave out specials."""

    show: int
    title: str | None
    watched: int
    aired: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowEpisode:
    """An episode of a show there, by its TheTVDB id; `aired` is a day, `2026-11-22`."""

    id: int
    season: int
    number: int
    title: str | None
    aired: str | None
    watched: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedWatch:
    """An episode marked watched there; `seconds` is the total time of its viewings, 0 if unknown."""

    episode: int | None
    show: int | None
    seconds: int


class LibraryReader:
    """Reads an account page by page.

    Every call raises as a tracker does, Unmatched where the server does not know what it is asked about.
    """

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def account(self, access: Access) -> TVTimeRow:
        path = f"{API}/user/{user_id(access.tokens)}"
        return as_mapping(await self.calls.call(access, "GET", path, fields="id,name,username"))

    async def episode(self, access: Access, tvdb: int) -> TVTimeRow:
        """The server's record of an episode: whether, when and how often it was watched."""
        return as_mapping(
            await self.calls.call(access, "GET", f"{API}/episode/{tvdb}", fields=EPISODE_FIELDS)
        )

    # ---- shows

    async def shows(self, access: Access) -> list[FollowedShow]:
        """The shows followed there, in the server's order."""

        async def page(offset: int) -> list[TVTimeRow]:
            return await self.shows_page(access, offset)

        rows = [row async for part in pages(page, SHOWS_PAGE_SIZE, "id") for row in part]
        found = {row.get("id"): show for row in rows if (show := parse_follow(row)) is not None}
        return list(found.values())

    async def shows_page(self, access: Access, offset: int) -> list[TVTimeRow]:
        path = f"{API}/user/{user_id(access.tokens)}"
        fields = f"shows.fields({SHOW_FIELDS}).offset({offset}).limit({SHOWS_PAGE_SIZE})"
        try:
            answer = as_mapping(await self.long(access, path, fields=fields))
        except Unmatched as error:
            raise Dead(NO_SHOW_LIST, answer=error.answer) from error
        return expect_list(answer, "shows", known_by="id")

    async def parts(self, access: Access, show: int) -> list[ShowEpisode]:
        """The episodes of a show, in order; none where the server does not know it."""
        rows = await self.episode_rows(access, show)
        user_rows = await self.user_episode_rows(access, show)
        seen = {parse_int(row.get("id")) for row in user_rows if row.get("is_watched") is True}
        found: dict[int, ShowEpisode] = {}
        for row in (*rows, *user_rows):
            if (one := parse_episode(row, seen)) is not None:
                found.setdefault(one.id, one)
        return sorted(found.values(), key=lambda one: (one.season, one.number, one.id))

    async def episode_rows(self, access: Access, show: int) -> list[TVTimeRow]:
        """The episodes with their names and days, and no word of who has seen them."""
        try:
            answer = as_mapping(await self.long(access, f"{SERIES}/{show}/episodes"))
        except Unmatched:
            return []
        return expect_list(answer, "data", known_by="status")

    async def user_episode_rows(self, access: Access, show: int) -> list[TVTimeRow]:
        """The episodes with the user's own word of each, and the season that it is of."""
        try:
            answer = as_mapping(await self.long(access, f"{API}/show/{show}/extended", fields=EPISODE_FIELDS))
        except Unmatched:
            return []
        return [
            {**row, "season": season}
            for season in expect_list(answer, "seasons", known_by="id")
            for row in as_rows(season.get("episodes"))
        ]

    async def long(self, access: Access, path: str, **siblings: str) -> Any:
        """An answer that may be longer than those to a mark."""
        return parse_answer(await self.calls.response(access, "GET", path, siblings, long=True))

    # ---- viewings

    async def watches(self, access: Access) -> list[CountedWatch]:
        """Every episode marked watched; none where the server does not offer that list."""
        try:
            return [
                parse_counted_watch(row)
                async for rows in self.pages(access, WATCHES, "episode")
                for row in rows
            ]
        except Unmatched:
            return []

    async def pages(self, access: Access, path: str, kind: str) -> AsyncIterator[list[TVTimeRow]]:
        """Page after page of a list of the user's."""

        async def page(offset: int) -> list[TVTimeRow]:
            return await self.page(access, path, offset, kind)

        async for rows in pages(page, PAGE_SIZES[path], "uuid"):
            yield rows

    async def page(self, access: Access, path: str, offset: int, kind: str) -> list[TVTimeRow]:
        params = {"entity_type": kind, "page_offset": str(offset), "page_limit": str(PAGE_SIZES[path])}
        path = f"{TRACKING}/{path}/user/{user_id(access.tokens)}"
        rows = expect_objects(await self.calls.call(access, "GET", path, **params))
        tokens = access.tokens
        if not rows:
            # An expired token reads an empty list instead of a 401 here: a call that says so renews it.
            await self.account(access)
        if access.tokens == tokens:
            return rows
        return expect_objects(await self.calls.call(access, "GET", path, **params))


async def pages(
    read: Callable[[int], Awaitable[list[TVTimeRow]]], size: int, name: str
) -> AsyncIterator[list[TVTimeRow]]:
    """Page after page of a list, each read from an index on; rows are told apart by their `name`.

    Some back ends ignored the paging: a page that is repeated or too long is the last.
    """
    first = None
    for offset in itertools.count(0, size):
        rows = await read(offset)
        if offset and rows and rows[0].get(name) == first:
            return
        yield rows
        if len(rows) != size:
            return
        first = rows[0].get(name) if offset == 0 else first


def expect_objects(answer: Any) -> list[TVTimeRow]:
    """The rows of a list; raises Retry where the answer holds none, not even an empty one."""
    rows = as_mapping(as_mapping(answer).get("data")).get("objects")
    if not isinstance(rows, list):
        raise Retry("TV Time's answer holds no list", after=UNSURE_PAUSE, suspect=True)
    return as_rows(rows)


def expect_list(answer: TVTimeRow, name: str, *, known_by: str) -> list[TVTimeRow]:
    """The rows of a list that may be null where there are none, in an answer that is `known_by` another field."""
    rows = answer.get(name)
    if not isinstance(rows, list) and (rows is not None or known_by not in answer):
        raise Retry(f"TV Time's answer holds no list of {name}", after=UNSURE_PAUSE, suspect=True)
    return as_rows(rows)


# ---- rows


def parse_follow(row: TVTimeRow) -> FollowedShow | None:
    """A row of the shows; None for one that is listed and not followed."""
    show = parse_int(row.get("id"))
    if show is None or row.get("is_followed") is False:
        return None
    counts = (parse_int(row.get(f"{word}_episode_count")) or 0 for word in ("watched", "aired"))
    watched, aired = counts
    return FollowedShow(show=show, title=parse_text(row.get("name")), watched=watched, aired=aired)


def parse_episode(row: TVTimeRow, seen: set[int | None]) -> ShowEpisode | None:
    """A row of a show's episodes; None for one without its id or its place."""
    tvdb, number = parse_int(row.get("id")), parse_int(row.get("number"))
    season = parse_int(as_mapping(row.get("season")).get("number"))
    if tvdb is None or season is None or number is None:
        return None
    aired = str(row.get("air_date") or "")[: len("2026-11-22")] or None
    return ShowEpisode(
        id=tvdb, season=season, number=number, title=parse_text(row.get("name")), aired=aired,
        watched=tvdb in seen,
    )  # fmt: skip


def parse_counted_watch(row: TVTimeRow) -> CountedWatch:
    viewings = 1 + (parse_int(row.get("rewatch_count")) or 0)
    return CountedWatch(
        episode=parse_int(row.get("episode_id")),
        show=parse_int(row.get("series_id")),
        seconds=viewings * (parse_int(row.get("runtime")) or 0),
    )
