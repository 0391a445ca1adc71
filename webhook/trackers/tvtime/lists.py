"""Reading: what an account at a server follows and has watched there, page by page."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.domain.outcome import Dead, Retry, Unmatched
from webhook.domain.retry import GATEWAY
from webhook.trackers import Access
from webhook.trackers.tvtime.api import (
    API,
    SERIES,
    TRACKING,
    Calls,
    integer,
    judged,
    rows_of,
    table,
    text,
    user_id,
)

Row = Mapping[str, Any]

WATCHES, FOLLOWS = "watches", "cgw/follows"
PAGES: Mapping[str, int] = {WATCHES: 100, FOLLOWS: 20}
"""The rows on a page of each list; a followed movie comes with all that is known of it."""

SHOWS = 500
OF_SHOWS = "id,name,watched_episode_count,aired_episode_count,is_followed"
NO_SHOWS = (
    "TV Time's server does not offer the list of what is followed: look whether TVTIME_URL is its address"
)
OF_EPISODES = "id,is_watched,watched_date,watched_count"


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """A show that is followed there, by its TheTVDB id; the counts leave out specials."""

    show: int
    title: str | None
    watched: int
    aired: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """An episode of a show there, by its TheTVDB id; `aired` is a day, `2026-11-22`."""

    id: int
    season: int
    number: int
    title: str | None
    aired: str | None
    watched: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """An episode that is marked watched there; `seconds` is what all its viewings took, 0 where that is unknown."""

    episode: int | None
    show: int | None
    seconds: int


class Reading:
    """Every call raises as a tracker does, Unmatched where the server does not know what it is asked about."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def account(self, access: Access) -> Row:
        path = f"{API}/user/{user_id(access.tokens)}"
        return table(await self.calls.call(access, "GET", path, fields="id,name,username"))

    async def episode(self, access: Access, tvdb: int) -> Row:
        """Whether, when and how often an episode was watched, as the server says it."""
        return table(await self.calls.call(access, "GET", f"{API}/episode/{tvdb}", fields=OF_EPISODES))

    # ---- shows

    async def shows(self, access: Access) -> list[Followed]:
        """The shows followed there, in the server's order."""

        async def page(offset: int) -> list[Row]:
            return await self.shows_page(access, offset)

        rows = [row async for part in pages(page, SHOWS, "id") for row in part]
        found = {row.get("id"): show for row in rows if (show := followed(row)) is not None}
        return list(found.values())

    async def shows_page(self, access: Access, offset: int) -> list[Row]:
        path = f"{API}/user/{user_id(access.tokens)}"
        fields = f"shows.fields({OF_SHOWS}).offset({offset}).limit({SHOWS})"
        try:
            answer = table(await self.long(access, path, fields=fields))
        except Unmatched as error:
            raise Dead(NO_SHOWS, answer=error.answer) from error
        return listed(answer, "shows", known_by="id")

    async def parts(self, access: Access, show: int) -> list[Part]:
        """The episodes of a show, in order; none where the server does not know it."""
        rows = await self.named(access, show)
        told = await self.told(access, show)
        seen = {integer(row.get("id")) for row in told if row.get("is_watched") is True}
        found: dict[int, Part] = {}
        for row in (*rows, *told):
            if (one := part(row, seen)) is not None:
                found.setdefault(one.id, one)
        return sorted(found.values(), key=lambda one: (one.season, one.number, one.id))

    async def named(self, access: Access, show: int) -> list[Row]:
        """The episodes with their names and days, and no word of who has seen them."""
        try:
            answer = table(await self.long(access, f"{SERIES}/{show}/episodes"))
        except Unmatched:
            return []
        return listed(answer, "data", known_by="status")

    async def told(self, access: Access, show: int) -> list[Row]:
        """The episodes with the user's own word of each, and the season that it is of."""
        try:
            answer = table(await self.long(access, f"{API}/show/{show}/extended", fields=OF_EPISODES))
        except Unmatched:
            return []
        return [
            {**row, "season": season}
            for season in listed(answer, "seasons", known_by="id")
            for row in rows_of(season.get("episodes"))
        ]

    async def long(self, access: Access, path: str, **siblings: str) -> Any:
        """An answer that may be longer than those to a mark."""
        return judged(await self.calls.response(access, "GET", path, siblings, long=True))

    # ---- what was watched

    async def watches(self, access: Access) -> list[Watch]:
        """Every episode marked watched; none where the server does not offer that list."""
        try:
            return [watch(row) async for rows in self.pages(access, WATCHES, "episode") for row in rows]
        except Unmatched:
            return []

    async def pages(self, access: Access, path: str, kind: str) -> AsyncIterator[list[Row]]:
        """Page after page of a list of the user's."""

        async def page(offset: int) -> list[Row]:
            return await self.page(access, path, offset, kind)

        async for rows in pages(page, PAGES[path], "uuid"):
            yield rows

    async def page(self, access: Access, path: str, offset: int, kind: str) -> list[Row]:
        asked = {"entity_type": kind, "page_offset": str(offset), "page_limit": str(PAGES[path])}
        path = f"{TRACKING}/{path}/user/{user_id(access.tokens)}"
        rows = objects(await self.calls.call(access, "GET", path, **asked))
        tokens = access.tokens
        if not rows:
            # An expired token reads an empty list instead of a 401 here: a call that says so renews it.
            await self.account(access)
        if access.tokens == tokens:
            return rows
        return objects(await self.calls.call(access, "GET", path, **asked))


async def pages(
    read: Callable[[int], Awaitable[list[Row]]], size: int, name: str
) -> AsyncIterator[list[Row]]:
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


def objects(answer: Any) -> list[Row]:
    """The rows of a list; raises Retry where the answer holds none, not even an empty one."""
    rows = table(table(answer).get("data")).get("objects")
    if not isinstance(rows, list):
        raise Retry("TV Time's answer holds no list", after=GATEWAY, suspect=True)
    return rows_of(rows)


def listed(answer: Row, name: str, *, known_by: str) -> list[Row]:
    """The rows of a list that may be null where there are none, in an answer that is `known_by` another field."""
    rows = answer.get(name)
    if not isinstance(rows, list) and (rows is not None or known_by not in answer):
        raise Retry(f"TV Time's answer holds no list of {name}", after=GATEWAY, suspect=True)
    return rows_of(rows)


# ---- what a row means


def followed(row: Row) -> Followed | None:
    """A row of the shows; None for one that is listed and not followed."""
    show = integer(row.get("id"))
    if show is None or row.get("is_followed") is False:
        return None
    counts = (integer(row.get(f"{word}_episode_count")) or 0 for word in ("watched", "aired"))
    watched, aired = counts
    return Followed(show=show, title=text(row.get("name")), watched=watched, aired=aired)


def part(row: Row, seen: set[int | None]) -> Part | None:
    """A row of a show's episodes; None for one without its id or its place."""
    tvdb, number = integer(row.get("id")), integer(row.get("number"))
    season = integer(table(row.get("season")).get("number"))
    if tvdb is None or season is None or number is None:
        return None
    aired = str(row.get("air_date") or "")[: len("2026-11-22")] or None
    return Part(
        id=tvdb, season=season, number=number, title=text(row.get("name")), aired=aired,
        watched=tvdb in seen,
    )  # fmt: skip


def watch(row: Row) -> Watch:
    viewings = 1 + (integer(row.get("rewatch_count")) or 0)
    return Watch(
        episode=integer(row.get("episode_id")),
        show=integer(row.get("series_id")),
        seconds=viewings * (integer(row.get("runtime")) or 0),
    )
