"""Pictures for the pages: where one is, which ones are wanted, and the worker that fetches these.

Nothing waits for it: a page shows a cover until the picture is there. A webhook's own picture is the first to fill a
place, and one of a media server or of TMDB is better. Only places that the settings name are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import structlog

from webhook import clock, sources
from webhook.domain import lenient_json
from webhook.domain.event import Ignored, Item, Movie, Season, Show, Track, Unreadable
from webhook.domain.items import play_keys
from webhook.domain.outcome import Undelivered
from webhook.domain.pictures import (
    SHOW_ON_SERVER,
    SHOW_TITLE,
    key_of_play,
    picture_keys,
    season_key,
    split_season,
)
from webhook.lookups import Lookup
from webhook.pictures.candidates import Candidate, find_candidate
from webhook.pictures.decode import render
from webhook.pictures.store import POSTER, WIDTHS, PictureStore
from webhook.servers import HasPictures, Server
from webhook.storage.db import Database, Unavailable
from webhook.system.threads import step_back

log = structlog.get_logger()
T = TypeVar("T")

FROM_WEBHOOK, FROM_SERVICE = 1, 2
"""How good a picture is by its source: a webhook's is small."""

MAX_WANTED = 300
MAX_OFFERED = 16
MAX_ASKED = 5000
AT_ONCE = 2
"""Pictures fetched at a time."""

RETRY_AFTER = 3600.0
"""Seconds until a place that failed, or had no picture, is asked again."""

SCAN_INTERVAL = timedelta(hours=1)
BUSY_PAUSE = 0.5
MAX_PLACES = 3
"""Places on servers that are asked for one item's pictures."""


THREAD = ThreadPoolExecutor(1, thread_name_prefix="pictures", initializer=step_back)


@runtime_checkable
class FindsPictures(Protocol):
    """A lookup that has pictures."""

    async def pictures(self, item: Movie | Show) -> Sequence[bytes]: ...

    async def season_posters(self, season: Season) -> Sequence[bytes]: ...


class Offer(NamedTuple):
    """A picture that came with a webhook."""

    source: str
    payload: bytes
    content: bytes


class Pictures:
    def __init__(
        self,
        database: Database,
        store: PictureStore,
        servers: Mapping[str, Server],
        lookups: Iterable[Lookup],
    ) -> None:
        self.database = database
        self.store = store
        self.servers = [one for one in servers.values() if isinstance(one, HasPictures)]
        self.lookups = [one for one in lookups if isinstance(one, FindsPictures)]
        self.is_busy: Callable[[], bool] = lambda: False
        """True while senders of webhooks wait, who come first."""
        self.wanted: dict[str, None] = {}
        self.offered: deque[Offer] = deque(maxlen=MAX_OFFERED)
        self.tried: dict[str, float] = {}
        self.ids: dict[HasPictures, tuple[str | None, float]] = {}
        self.news = asyncio.Event()

    # --- what pages and the receiver ask

    def path(self, key: str | None, shape: str, width: int) -> str | None:
        """The address of a picture below the root of the pages. None if there is none yet: then it is fetched."""
        if key is None:
            return None
        stored = self.store.find(key, shape)
        if stored is None or stored.rank < FROM_SERVICE or key.startswith(SHOW_TITLE):
            self.want(key)  # of a title it is seen whether another show has it by now
        return self.store.path(key, shape, width)

    def want(self, key: str) -> None:
        if self.has_tried(key) or self.store.max_bytes == 0:
            return
        self.wanted[key] = None
        if len(self.wanted) > MAX_WANTED:
            del self.wanted[next(iter(self.wanted))]
        self.news.set()

    def offer(self, source: str, payload: bytes, content: bytes) -> None:
        """Take a picture that came with a webhook; it is looked at later."""
        if self.store.max_bytes:
            self.offered.append(Offer(source, payload, content))
            self.news.set()

    # --- the worker

    async def run(self, stop: asyncio.Event) -> None:
        """Store what was offered, fetch what is wanted, and reread the index once an hour, until stopped."""
        rescan_at = 0.0
        while not stop.is_set():
            if time.monotonic() >= rescan_at:  # other processes write to the folder too
                await in_thread(self.store.scan)
                rescan_at = time.monotonic() + SCAN_INTERVAL.total_seconds()
            await clock.awaken(self.news, stop, rescan_at - time.monotonic())
            while (self.offered or self.wanted) and not stop.is_set():
                await self.work(stop)

    async def work(self, stop: asyncio.Event) -> None:
        """Do the next piece of work, once no sender of a webhook waits."""
        if self.is_busy():
            await clock.awaken(asyncio.Event(), stop, BUSY_PAUSE)
        elif self.offered:
            await self.take(self.offered[0])
        else:
            keys = list(self.wanted)[-AT_ONCE:]  # what was shown last is looked at now
            await asyncio.gather(*map(self.fetch, keys))

    async def take(self, offer: Offer) -> None:
        """Store the picture of a webhook, unless a better one is there."""
        try:
            await self.take_item(offer, *await in_thread(item_of_offer, offer))
        finally:
            with contextlib.suppress(ValueError):  # newer ones may have pushed it out
                self.offered.remove(offer)

    async def take_item(self, offer: Offer, item: Item | None, known_by: Sequence[str]) -> None:
        key = None if item is None or isinstance(item, Season) else key_of_play(item, known_by)
        if key is None or not self.is_of_use(key, item) or self.has_tried(f"offer {key}"):
            return
        self.note_attempt(f"offer {key}")
        await self.keep(key, [offer.content], FROM_WEBHOOK, square=isinstance(item, Track))

    def is_of_use(self, key: str, item: Item | None) -> bool:
        """True if a picture of the item may fill a place that is empty."""
        shapes = ("poster",) if isinstance(item, Movie | Show | Track) else WIDTHS
        return any(self.store.find(key, shape) is None for shape in shapes)

    async def fetch(self, key: str) -> None:
        """Fetch the pictures of an item from wherever there are any; failures are quiet."""
        try:
            if self.has_tried(key):
                return
            self.note_attempt(key)
            servers = await self.servers_by_id()
            found = await self.database.read(partial(find_candidate, key=key, servers=servers.keys()))
            if found is not None:
                await self.find_pictures(key, found, servers)
        except Unavailable as error:
            log.info("A picture could not be looked up.", action="picture_failed", why=str(error))
        finally:
            self.wanted.pop(key, None)

    async def find_pictures(self, key: str, found: Candidate, servers: Mapping[str, HasPictures]) -> None:
        if found.is_several and key.startswith(SHOW_TITLE):
            await in_thread(self.store.remove, key)
            return
        await in_thread(self.copy, key, found)
        if self.is_complete(key, found.item):
            return
        for ask in self.places_to_ask(found, servers):
            try:
                contents = await ask()
            except Undelivered as error:
                log.info("A picture could not be fetched.", action="picture_failed", why=error.reason)
                continue
            if await self.keep(key, contents, FROM_SERVICE, square=isinstance(found.item, Track)):
                return

    def places_to_ask(
        self, found: Candidate, servers: Mapping[str, HasPictures]
    ) -> list[Callable[[], Awaitable[Sequence[bytes]]]]:
        """The servers and the lookups that may have the pictures of an item."""
        places, item = found.places[:MAX_PLACES], found.item
        if isinstance(item, Season):
            return [
                *(partial(servers[server].season_posters, place) for server, place in places),
                *(partial(lookup.season_posters, item) for lookup in self.lookups),
            ]
        asked: list[Callable[[], Awaitable[Sequence[bytes]]]] = [
            partial(servers[server].pictures, place) for server, place in places
        ]
        if isinstance(item, Movie | Show):
            asked += [partial(lookup.pictures, item) for lookup in self.lookups]
        return asked

    def is_complete(self, key: str, item: Item) -> bool:
        """True if nothing better than what is stored can be found."""
        shapes = (POSTER,) if isinstance(item, Season | Track) else WIDTHS
        stored = (self.store.find(key, shape) for shape in shapes)
        return all(one is not None and one.rank >= FROM_SERVICE for one in stored)

    def copy(self, key: str, found: Candidate) -> None:
        """Copy what is stored under another of the item's keys, from before this one was known."""
        known = [*picture_keys(found.item)]
        if found.is_several:
            known = [other for other in known if not other.startswith(SHOW_TITLE)]
        known += [
            f"{SHOW_ON_SERVER}{server}:{place.show_key}" for server, place in found.places if place.show_key
        ]
        season = split_season(key)[1]
        others = [other if season is None else season_key(other, season) for other in known]
        for shape in WIDTHS:
            if self.store.find(key, shape) is None:
                any(self.store.copy(other, key, shape) for other in others if other != key)

    async def keep(self, key: str, contents: Iterable[bytes], rank: int, *, square: bool = False) -> bool:
        """Store those of the pictures that are any, unless better ones are there; returns True if there was one."""
        made = [await in_thread(partial(self.keep_one, key, one, rank, square=square)) for one in contents]
        return any(made)

    def keep_one(self, key: str, content: bytes, rank: int, *, square: bool) -> bool:
        rendered = render(content, square=square)
        if rendered is None:
            return False
        there = self.store.find(key, rendered.shape)
        if there is not None and there.rank >= rank and rank < FROM_SERVICE:
            return True
        return self.store.save(key, rendered.shape, rank, rendered.files)

    async def servers_by_id(self) -> dict[str, HasPictures]:
        """The servers that can be asked now, by the id that webhooks name them by."""
        for server in self.servers:
            known = self.ids.get(server)
            if known is None or (known[0] is None and known[1] < time.monotonic()):
                self.ids[server] = (await read_id(server), time.monotonic() + RETRY_AFTER)
        return {known[0]: server for server, known in self.ids.items() if known[0] is not None}

    def has_tried(self, key: str) -> bool:
        return self.tried.get(key, 0.0) > time.monotonic()

    def note_attempt(self, key: str) -> None:
        self.tried.pop(key, None)
        self.tried[key] = time.monotonic() + RETRY_AFTER
        if len(self.tried) > MAX_ASKED:
            del self.tried[next(iter(self.tried))]


async def in_thread(work: Callable[..., T], *given: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(THREAD, work, *given)


async def read_id(server: HasPictures) -> str | None:
    try:
        return await server.server_id()
    except Undelivered:
        return None


def item_of_offer(offer: Offer) -> tuple[Item | None, Sequence[str]]:
    """The item that a webhook is of, and its play's keys; None where it cannot be read or is of nothing that is tracked."""
    try:
        events = sources.read_webhook(offer.source, lenient_json.loads(offer.payload), clock.now())
    except Unreadable:
        return None, ()
    if isinstance(events, Ignored) or not events:
        return None, ()
    event = events[0]
    return event.item, play_keys(event.item, event.server, event.item_key, event.show_key)
