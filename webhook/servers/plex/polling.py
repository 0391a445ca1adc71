"""Polling a Plex Media Server for what its alerts do not say: marks and ratings set by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from webhook import clock
from webhook.domain import values
from webhook.domain.event import Action
from webhook.domain.outcome import Retry, Undelivered
from webhook.servers import Audience
from webhook.servers.plex.api import Json, PlexApi, Unauthorized
from webhook.servers.plex.marks import Known, second_of, take_newest
from webhook.servers.plex.viewings import ITEM_FIELDS, pick
from webhook.sources._listened import Statement

log = structlog.get_logger()

POLL_INTERVAL = 60.0
HINT_DELAY = 3.0
"""Seconds from an alert that something changed to the poll; the alerts of one change come together."""

WHOLE_INTERVAL, UNSORTED_INTERVAL = 3600.0, 600.0
"""Seconds between two reads of all that is watched; the second where a server ignores the order that is asked for."""

PAGE_SIZE, WHOLE_PAGE_SIZE = 50, 500
KEYS_PER_CALL = 100
TYPES_OF_SECTIONS: Mapping[str, Sequence[str]] = {"movie": ("1",), "show": ("4",)}
"""The types of items that one watches, by the type of the library: of a show its episodes, never the show."""

RATED_TYPES: Mapping[str, Sequence[str]] = {"movie": ("1",), "show": ("2", "4")}
VIEWED, RATED = "lastViewedAt", "lastRatedAt"


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    title: str | None
    kind: str


class Poller:
    """Asks for the marks of the token's person; `covers` says of an item whether its playing was heard just now."""

    def __init__(
        self,
        api: PlexApi,
        audience: Audience,
        server: Mapping[str, Any],
        user: Mapping[str, Any],
        covers: Callable[[str], bool],
    ) -> None:
        self.api = api
        self.audience = audience
        self.server = server
        self.user = user
        self.covers = covers
        self.whose = f"{server.get('uuid')}.{user.get('id') or user.get('title')}"
        self.hints = asyncio.Event()
        self.sections: list[Section] = []
        self.whole_at: float | None = None
        self.is_sorted = True  # False once the server has given no order to go by

    async def run(self) -> None:
        """Poll until cancelled; a poll that fails proves nothing and is done again.

        A token that is refused ends it: a server goes on with alerts to whom it no longer lets in.
        """
        while True:
            try:
                await self.poll()
            except Unauthorized:
                raise
            except Undelivered as error:
                log.info("Plex could not be asked for marks.", action="poll_marks", why=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL):
                    await self.hints.wait()
                    await asyncio.sleep(HINT_DELAY)
            self.hints.clear()

    async def poll(self) -> None:
        age = None if self.whole_at is None else time.monotonic() - self.whole_at
        is_whole = age is None or age >= (WHOLE_INTERVAL if self.is_sorted else UNSORTED_INTERVAL)
        if is_whole:
            self.sections = [section async for section in self.find_sections()]
        for section in self.sections:
            name = f"marks.{self.whose}.{section.key}"
            found = await self.audience.recall(name)
            if found is None:
                known = await self.learn(section)
            else:
                known = Known.from_json(found)
                self.is_sorted = await self.read_newest(section, known) and self.is_sorted
                if is_whole:
                    await self.compare_whole(section, known)
                await self.read_ratings(section, known)
            if (now := known.to_json()) != found:
                await self.audience.remember(name, now)
        if is_whole:
            self.whole_at = time.monotonic()

    async def find_sections(self) -> AsyncIterator[Section]:
        for entry in values.objects((await self.api.get("/library/sections")).get("Directory")):
            key, kind = values.text(entry.get("key")), values.text(entry.get("type")) or ""
            if key is not None and kind in TYPES_OF_SECTIONS:
                yield Section(key, values.text(entry.get("title")), kind)

    # --- what is read

    async def learn(self, section: Section) -> Known:
        """What a library is marked with when it is looked at first: all that is from before, and is imported."""
        known = Known()
        async for page in self.read_whole(section):
            known.learn(page)
        for kind in RATED_TYPES[section.kind]:
            page, _ = await self.api.section_page(section.key, kind, PAGE_SIZE, sort=f"{RATED}:desc")
            for row in page:
                known.learn_rating(row)
        return known

    async def read_whole(self, section: Section) -> AsyncIterator[list[Json]]:
        """Everything in a library that is watched, page by page; raises Retry where the list is not complete."""
        for kind in TYPES_OF_SECTIONS[section.kind]:
            start, total = 0, 1
            while start < total:
                page, total = await self.api.section_page(
                    section.key, kind, WHOLE_PAGE_SIZE, start=start, watched=True
                )
                if not page and start < total:
                    raise Retry(f"Plex listed {start} of {total} items")
                start += len(page)
                yield [row for row in page if values.ordinal(row.get("viewCount"))]

    async def read_newest(self, section: Section, known: Known) -> bool:
        """Read what was marked since the last time; False where the server gives no order to go by."""
        until = known.viewed_until
        for kind in TYPES_OF_SECTIONS[section.kind]:
            start, goes_on = 0, True
            while goes_on:
                page, _ = await self.api.section_page(
                    section.key, kind, PAGE_SIZE, start=start, watched=True, sort=f"{VIEWED}:desc", guids=True
                )
                newest = take_newest(page, VIEWED, until)
                if not newest.is_sorted:
                    return False
                is_known = all(second_of(row, VIEWED) and known.has_view(row) for row in newest.rows)
                await self.say_marks(section, known.find_marks(newest.rows))
                for row in newest.rows:
                    known.learn_view(row)
                start, goes_on = start + len(page), newest.goes_on and not is_known
        return True

    async def read_ratings(self, section: Section, known: Known) -> None:
        """Read what was rated since the last time; where the server gives no order it is left for the whole list."""
        rated: list[Json] = []
        for kind in RATED_TYPES[section.kind]:
            page, _ = await self.api.section_page(
                section.key, kind, PAGE_SIZE, sort=f"{RATED}:desc", guids=True
            )
            newest = take_newest(page, RATED, known.rated_until)
            rated += known.find_ratings(newest.rows)
        await self.say_ratings(section, known, rated)

    async def compare_whole(self, section: Section, known: Known) -> None:
        """Compare all that is watched with what is known: marks that were missed, and those that were taken back.

        Of a large library nothing is held but what is new, and the keys of the rest.
        """
        news: list[Json] = []
        there: set[str] = set()
        async for page in self.read_whole(section):
            news += [row for row in page if known.is_news(row)]
            there.update(str(row.get("ratingKey")) for row in page)
        marked = known.find_marks(news)
        await self.say_marks(section, await self.describe(marked))
        await self.say_ratings(section, known, await self.describe(known.find_ratings(news)))
        unrated = known.find_unrates(news)
        for row in await self.describe(unrated):
            await self.say(section, Action.UNRATE, row, None)
        for row in unrated:
            known.ratings.pop(str(row["ratingKey"]), None)
        await self.take_back(section, known, known.find_unmarks(there))
        known.learn(news)

    async def take_back(self, section: Section, known: Known, gone: Sequence[str]) -> None:
        """Say of items that they are no longer watched, each looked up by itself, and how many are at once."""
        there = await self.find_items(gone)
        unmarked = [key for key in gone if key in there and not values.ordinal(there[key].get("viewCount"))]
        for key in set(gone) - there.keys():
            known.forget(key)  # the server no longer has it
        for key in unmarked:
            await self.say(section, Action.UNWATCHED, there[key], None, together=len(unmarked))
            known.forget(key)

    async def describe(self, rows: Sequence[Json]) -> list[Json]:
        """These items with the ids that they are known by."""
        there = await self.find_items([str(row["ratingKey"]) for row in rows])
        return [there.get(str(row["ratingKey"]), row) for row in rows]

    async def find_items(self, keys: Sequence[str]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for start in range(0, len(keys), KEYS_PER_CALL):
            found |= await self.api.items(keys[start : start + KEYS_PER_CALL])
        return found

    # --- what is said

    async def say_ratings(self, section: Section, known: Known, rows: Sequence[Json]) -> None:
        for row in rows:
            await self.say(section, Action.RATE, row, row.get(RATED))
        for row in rows:
            known.learn_rating(row)

    async def say_marks(self, section: Section, rows: Iterable[Json]) -> None:
        """Say what was watched: by hand, unless its playing was heard, of which this is the count."""
        for row in sorted(rows, key=lambda row: second_of(row, VIEWED) or 0):
            is_played = self.covers(str(row["ratingKey"]))
            await self.say(section, Action.WATCHED, row, row.get(VIEWED), manual=not is_played)

    async def say(
        self, section: Section, action: Action, row: Json, at: Any, *, manual: bool = True, together: int = 1
    ) -> None:
        now = clock.now()
        item = {**pick(row, (*ITEM_FIELDS, "viewCount", "userRating")), "librarySectionTitle": section.title}
        said = {"server": self.server, "user": self.user, "item": item}
        when = min(values.moment(at) or now, now)
        await self.audience.keep(
            Statement(action=action, at=when, by="poll", said=said, manual=manual, together=together)
        )
