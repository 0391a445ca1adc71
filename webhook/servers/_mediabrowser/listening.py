"""Listening to a Jellyfin or an Emby: its sessions are looked at every few seconds, and what they leave out is read.

`viewings.py` decides; here is what waits for the network. No plugin and no Emby Premiere is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from webhook import clock
from webhook.domain import values
from webhook.domain.event import Action
from webhook.domain.outcome import Retry, Undelivered
from webhook.servers import Audience
from webhook.servers._http import JsonRow, remember_item
from webhook.servers._mediabrowser.polling import MarksCalls, MarksPoller
from webhook.servers._mediabrowser.sessions import (
    ITEM_FIELDS,
    SERIES_FIELDS,
    USER_DATA_FIELDS,
    Playing,
    pick,
    read_sessions,
)
from webhook.servers._mediabrowser.viewings import Occurrence, Viewings
from webhook.servers._tasks import run_together
from webhook.sources._listened import Statement
from webhook.sources._sessions import read_completion

if TYPE_CHECKING:
    from webhook.servers._mediabrowser.socket import HintSocket

log = structlog.get_logger()

BUSY_PAUSE, IDLE_PAUSE = 3.0, 15.0
"""Seconds between two looks at the sessions: while something plays, and while nothing does."""

SERVER_FIELDS = ("Id", "ServerName", "Version")
MIN_PAUSE = 1.0
"""Seconds between two looks at the least, however often the server's socket says that something happened."""

LOOK_TIMEOUT = 10.0
"""Seconds after which a server that says nothing is given up, so that a silence is noticed within half a minute."""

POLL_DELAY = 2.0
"""Seconds from the first look to the first poll of marks, in which catch-up has its turn."""


class Calls(MarksCalls, Protocol):
    """The calls that listening makes."""

    async def system(self) -> JsonRow: ...

    async def sessions(self) -> list[Any]: ...

    def socket(self, on_sessions: Callable[[], None], on_marks: Callable[[], None]) -> HintSocket: ...


class Listening:
    """Listens to one server. What plays is gone on with over a connection that was broken for a short while."""

    def __init__(self, server: Calls) -> None:
        self.server = server
        self.viewings = Viewings()
        self.about: dict[str, Any] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self.counted: dict[str, bool] = {}
        self.hints, self.marks_hints = asyncio.Event(), asyncio.Event()

    async def run(self, audience: Audience) -> None:
        """Listen until the server no longer answers; raises Retry and Dead."""
        self.about = pick(await self.server.system(), SERVER_FIELDS)
        try:
            stands = asyncio.Event()
            await run_together(
                self.watch(audience, stands), self.poll(audience, stands), self.hear_hints(stands)
            )
        except Undelivered:
            await self.keep(audience, self.viewings.leave())
            raise

    async def poll(self, audience: Audience, stands: asyncio.Event) -> None:
        """Ask for marks, once the line stands and catch-up has had its turn."""
        await stands.wait()
        await asyncio.sleep(POLL_DELAY)
        await MarksPoller(self.server, audience, self.about, self, self.marks_hints).run()

    async def hear_hints(self, stands: asyncio.Event) -> None:
        """Be told by the socket when to look, where the server has one."""
        await stands.wait()
        await self.server.socket(self.hints.set, self.marks_hints.set).run()

    async def watch(self, audience: Audience, stands: asyncio.Event) -> None:
        """Look at the sessions, again and again."""
        await self.look(audience)
        await audience.connect()
        stands.set()
        while True:
            await self.rest(BUSY_PAUSE if self.viewings.is_any else IDLE_PAUSE)
            await self.look(audience)

    async def rest(self, pause: float) -> None:
        """Wait until the next look is due, or something happens."""
        least = min(MIN_PAUSE, pause)
        await asyncio.sleep(least)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause - least):
                await self.hints.wait()
        self.hints.clear()

    async def look(self, audience: Audience) -> None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                rows = await self.server.sessions()
        except TimeoutError as error:
            raise Retry(f"the sessions were not listed within {LOOK_TIMEOUT:.0f} seconds") from error
        await self.keep(audience, self.viewings.look(read_sessions(rows), clock.now()))

    async def keep(self, audience: Audience, steps: Iterable[Occurrence]) -> None:
        for step in steps:
            await audience.keep(await self.statement(step))
            if step.action is Action.STOP:
                self.viewings.settle(step.playing)

    async def statement(self, step: Occurrence) -> Statement:
        """What the server said, for the source: at the end with what it then has of this person's item."""
        playing = step.playing
        said: dict[str, Any] = {
            "server": self.about,
            "user": playing.user,
            "session": playing.client,
            "item": playing.item,
        }
        if step.action is Action.START:
            await self.describe(playing)
        said |= self.described.get(playing.item_id, {})
        if step.action is Action.STOP:
            said |= await self.read_user_data(playing)
            remember_item(self.counted, count_key(playing.user_id, playing.item_id), is_completed(said))
        return Statement(
            action=step.action, at=step.at, by="sessions", said=said, position_ms=step.position_ms
        )

    async def describe(self, playing: Playing) -> None:
        """Learn the ids of the item's series, and its own where the session leaves them out."""
        series = values.hex_id(playing.item.get("SeriesId"))
        if playing.item_id in self.described or (series is None and "ProviderIds" in playing.item):
            return
        keys = [playing.item_id, *([series] if series is not None else [])]
        found = await self.find_items(playing, keys)
        if not found:
            return
        known: dict[str, Any] = {}
        if playing.item_id in found:
            known["item"] = {**pick(found[playing.item_id], ITEM_FIELDS), **playing.item}
        if series is not None and series in found:
            known["series"] = pick(found[series], SERIES_FIELDS)
        remember_item(self.described, playing.item_id, known)

    async def read_user_data(self, playing: Playing) -> dict[str, Any]:
        found = (await self.find_items(playing, [playing.item_id])).get(playing.item_id, {})
        data = found.get("UserData")
        return {"user_data": pick(data, USER_DATA_FIELDS)} if isinstance(data, Mapping) else {}

    async def find_items(self, playing: Playing, keys: Sequence[str]) -> dict[str, JsonRow]:
        """These items; none where the server does not say, for what it does say is enough."""
        try:
            return await self.server.items_by_key(playing.user_id, keys)
        except Undelivered as error:
            log.info("A server does not describe what plays.", action="item_unknown", why=str(error))
            return {}

    def covers(self, user_id: str, item_id: str, now: datetime) -> bool:
        return self.viewings.covers(user_id, item_id, now)

    def pop_completion(self, user_id: str, item_id: str) -> bool:
        return self.counted.pop(count_key(user_id, item_id), False)


def count_key(user_id: str, item_id: str) -> str:
    return f"{user_id} {item_id}"


def is_completed(said: Mapping[str, Any]) -> bool:
    """True if the end of a viewing says that the server counts it."""
    return read_completion(values.mapping(said.get("user_data"))) is True
