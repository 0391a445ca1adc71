"""Polling a Jellyfin or an Emby for what its sessions do not say: marks, favourites and ratings set by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from webhook import clock
from webhook.domain import values
from webhook.domain.event import Action
from webhook.domain.outcome import Dead, Retry, Undelivered
from webhook.servers import Audience
from webhook.servers._http import JsonRow
from webhook.servers._mediabrowser.marks import (
    UserMarks,
    data_of,
    find_leavers,
    is_favourite,
    is_played,
    item_key,
    played_ms,
    take_newest_rows,
)
from webhook.servers._mediabrowser.sessions import ITEM_FIELDS, SERIES_FIELDS, USER_DATA_FIELDS, pick
from webhook.sources._listened import Statement

log = structlog.get_logger()

POLL_PAUSE = 60.0
HINT_DELAY = 3.0
"""Seconds from a hint that something was marked to the poll; the hints of one change come together."""

WHOLE_PAUSE, UNSORTED_PAUSE = 1800.0, 900.0
"""Seconds between two reads of all marks; the second where a server ignores the order that is asked for."""

PAGE_SIZE, WHOLE_PAGE_SIZE, MAX_NEWEST_PAGES = 50, 500, 20
KEYS_PER_CALL = 100
MARK_AGE = timedelta(minutes=10)
"""The age of a date that is that of the mark itself; an older one was kept from before, or is a tool's."""

TAKEN_BACK = (Action.UNWATCHED, Action.UNFAVOURITE)
"""Of these it is said how many came at once, since it may rather be the library that changed."""

PLAYED = {"Filters": "IsPlayed", "IncludeItemTypes": "Movie,Episode"}
FAVOURITES = {"Filters": "IsFavorite", "IncludeItemTypes": "Movie,Series,Episode"}
NEWEST = {"SortBy": "DatePlayed", "SortOrder": "Descending"}
STABLE = {"SortBy": "SortName", "SortOrder": "Ascending"}


class MarksCalls(Protocol):
    """The calls that polling makes."""

    async def named_users(self) -> list[dict[str, str]]: ...

    async def marks_page(
        self, user_id: str, wanted: Mapping[str, str], start: int, size: int
    ) -> tuple[list[JsonRow], int]: ...

    async def items_by_key(self, user_id: str, keys: Sequence[str]) -> dict[str, JsonRow]: ...


class Heard(Protocol):
    """The viewings that were heard."""

    def covers(self, user_id: str, item_id: str, now: datetime) -> bool:
        """True while the user plays the item, and just after."""
        ...

    def pop_completion(self, user_id: str, item_id: str) -> bool:
        """True if a viewing of the item was told as completed since this was asked last."""
        ...


class MarksPoller:
    """Asks for the marks of everybody, beside what was heard."""

    def __init__(
        self,
        server: MarksCalls,
        audience: Audience,
        about: Mapping[str, Any],
        heard: Heard,
        hints: asyncio.Event,
    ) -> None:
        self.server = server
        self.audience = audience
        self.about = about
        self.heard = heard
        self.hints = hints
        self.users: list[dict[str, str]] = []
        self.whole_at: float | None = None
        self.is_sorted = True

    async def run(self) -> None:
        """Poll until cancelled; a poll that fails proves nothing and is done again."""
        while True:
            try:
                await self.poll()
            except Undelivered as error:
                log.info("A server could not be asked for marks.", action="poll_marks", why=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_PAUSE):
                    await self.hints.wait()
                    await asyncio.sleep(HINT_DELAY)
            self.hints.clear()

    async def poll(self) -> None:
        age = None if self.whole_at is None else time.monotonic() - self.whole_at
        is_whole = age is None or age >= (WHOLE_PAUSE if self.is_sorted else UNSORTED_PAUSE)
        if is_whole:
            self.users = await self.server.named_users()
        for user in self.users:
            try:
                await self.poll_user(user, is_whole=is_whole)
            except Dead as error:  # the others' are read all the same
                log.info(
                    "A user's marks cannot be read.", action="poll_marks", user=user["Name"], why=str(error)
                )
        if is_whole:
            self.whole_at = time.monotonic()

    async def poll_user(self, user: JsonRow, *, is_whole: bool) -> None:
        name = f"marks.{user['Id']}"
        found = await self.audience.recall(name)
        marks = UserMarks() if found is None else UserMarks.from_json(found)
        if found is None:
            await self.learn(user, marks)
        else:
            self.is_sorted = await self.read_newest(user, marks) and self.is_sorted
            if is_whole:
                await self.compare_whole(user, marks)
        if (now := marks.to_json()) != found:
            await self.audience.remember(name, now)

    async def learn(self, user: JsonRow, marks: UserMarks) -> None:
        """What a user is looked at first with is from before: it is imported, not said."""
        async for page in self.read_whole(user, PLAYED):
            marks.learn(page)
            marks.learn_ratings(page)
        marks.favourites = keys_of(await self.read_favourites(user))

    async def read_newest(self, user: JsonRow, marks: UserMarks) -> bool:
        """Read what was marked since the last time; False where the server gives no order to go by."""
        start, until = 0, marks.until
        for _ in range(MAX_NEWEST_PAGES):
            page, total = await self.server.marks_page(user["Id"], {**PLAYED, **NEWEST}, start, PAGE_SIZE)
            newest = take_newest_rows(page, until)
            if not newest.is_sorted:
                return False
            is_known = all(played_ms(row) and marks.has_play(row) for row in newest.rows)
            await self.say_marks(user, marks, newest.rows)
            start += len(page)
            if not newest.goes_on or is_known or start >= total:
                break
        return True

    async def read_whole(self, user: JsonRow, wanted: Mapping[str, str]) -> AsyncIterator[list[JsonRow]]:
        """All of a user's items of a kind, page by page; raises Retry where the list is not complete."""
        start, total = 0, 1
        while start < total:
            page, total = await self.server.marks_page(
                user["Id"], {**wanted, **STABLE}, start, WHOLE_PAGE_SIZE
            )
            if not page and start < total:
                raise Retry(f"the server listed {start} of {total} items")
            start += len(page)
            yield page

    async def read_favourites(self, user: JsonRow) -> list[JsonRow]:
        return [row async for page in self.read_whole(user, FAVOURITES) for row in page]

    async def compare_whole(self, user: JsonRow, marks: UserMarks) -> None:
        """Compare all that is marked with what is known: what was missed, and what was taken back.

        Of a large library nothing is held but what is new, and the keys of the rest.
        """
        news: list[JsonRow] = []
        there: set[str] = set()
        async for page in self.read_whole(user, PLAYED):
            news += [row for row in page if marks.is_news(row)]
            there.update(keys_of(page))
        await self.say_marks(user, marks, news)
        await self.say_ratings(user, marks, news)
        marks.forget_ratings(there)
        unmarked = await self.look_up_unmarks(user, marks, there)
        await self.say(user, Action.UNWATCHED, unmarked)
        for row in unmarked:
            marks.played.pop(str(item_key(row)), None)
        await self.compare_favourites(user, marks)

    async def look_up_unmarks(self, user: JsonRow, marks: UserMarks, whole: Collection[str]) -> list[JsonRow]:
        """What is no longer played, each item looked up by itself; what is gone or begun anew is forgotten."""
        gone = marks.find_unmarks(whole)
        there = await self.find_items(user, gone)
        found = []
        for key in gone:
            row = there.get(key)
            if row is not None and (is_played(row) or self.is_open(user, key)):
                continue
            if row is not None and marks.is_taken_back(row):
                found.append(row)
            else:
                del marks.played[key]
        return found

    async def compare_favourites(self, user: JsonRow, marks: UserMarks) -> None:
        rows = await self.read_favourites(user)
        known = set(marks.favourites)
        await self.say(user, Action.FAVOURITE, [row for row in rows if item_key(row) not in known])
        left = await self.find_items(user, find_leavers(marks.favourites, rows))
        gone = [row for row in left.values() if not is_favourite(row)]
        await self.say(user, Action.UNFAVOURITE, gone)
        marks.favourites = keys_of(rows)

    # --- what is said

    async def say_marks(self, user: JsonRow, marks: UserMarks, rows: Sequence[JsonRow]) -> None:
        """Say what was marked by hand. Of what plays just now the end will tell, and of what ended it did."""
        over = [row for row in rows if not self.is_open(user, str(item_key(row)))]
        counted = {key for row in over if self.heard.pop_completion(user["Id"], key := str(item_key(row)))}
        fresh = [row for row in marks.find_marks(over) if item_key(row) not in counted]
        await self.say(user, Action.WATCHED, fresh)
        marks.learn(over)

    async def say_ratings(self, user: JsonRow, marks: UserMarks, rows: Sequence[JsonRow]) -> None:
        await self.say(user, Action.RATE, marks.find_ratings(rows))
        await self.say(user, Action.UNRATE, marks.find_unrates(rows))
        marks.learn_ratings(rows)

    async def say(self, user: JsonRow, action: Action, rows: Sequence[JsonRow]) -> None:
        series = await self.find_series(user, rows)
        for row in reversed(rows):
            said = {"server": self.about, "user": user, "item": pick(row, ITEM_FIELDS)}
            said |= {"user_data": pick(data_of(row), USER_DATA_FIELDS)}
            found = series.get(values.hex_id(row.get("SeriesId")) or "")
            said |= {"series": pick(found, SERIES_FIELDS)} if found else {}
            at, together = date_of(action, row), len(rows) if action in TAKEN_BACK else 1
            await self.audience.keep(
                Statement(action=action, at=at, by="poll", said=said, manual=True, together=together)
            )

    async def find_series(self, user: JsonRow, rows: Iterable[JsonRow]) -> dict[str, JsonRow]:
        keys = {values.hex_id(row.get("SeriesId")): None for row in rows}
        return await self.find_items(user, [key for key in keys if key is not None])

    async def find_items(self, user: JsonRow, keys: Sequence[str]) -> dict[str, JsonRow]:
        found: dict[str, JsonRow] = {}
        for start in range(0, len(keys), KEYS_PER_CALL):
            found |= await self.server.items_by_key(user["Id"], keys[start : start + KEYS_PER_CALL])
        return found

    def is_open(self, user: JsonRow, key: str) -> bool:
        return self.heard.covers(user["Id"], key, clock.now())


def date_of(action: Action, row: JsonRow) -> datetime:
    """When it was marked: the server's date where that is of just now, else now; the server's goes with it."""
    now = clock.now()
    at = values.moment(data_of(row).get("LastPlayedDate"), naive_is_utc=True)
    is_of_mark = action is Action.WATCHED and at is not None and now - at <= MARK_AGE
    return min(at, now) if is_of_mark and at is not None else now


def keys_of(rows: Iterable[JsonRow]) -> list[str]:
    return [key for row in rows if (key := item_key(row)) is not None]
