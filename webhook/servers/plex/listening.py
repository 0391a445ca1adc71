"""Listening to a Plex Media Server: its alerts, and the reads that tell what they leave out.

`viewings.py` decides; here is what waits for the network. No plugin and no Plex Pass is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import structlog

from webhook import clock
from webhook.domain import values
from webhook.domain.event import Ignored
from webhook.domain.outcome import Dead, Undelivered
from webhook.servers import Audience
from webhook.servers._tasks import run_together
from webhook.servers.plex.account import PlexAccount
from webhook.servers.plex.alerts import Alert, read_frame
from webhook.servers.plex.api import Forbidden, Json, PlexApi
from webhook.servers.plex.members import Members
from webhook.servers.plex.polling import Poller
from webhook.servers.plex.viewings import (
    ITEM_FIELDS,
    Ended,
    Session,
    Viewing,
    Viewings,
    count_statement,
    pick,
)
from webhook.sources import _plexlike
from webhook.sources._listened import Statement

log = structlog.get_logger()

SESSIONS_AGE = timedelta(seconds=5)
MIN_SESSIONS_INTERVAL = timedelta(seconds=1)
MAX_FRAMES = 10_000
"""Alerts that wait while statements are being kept; then the connection waits."""

TICK = 1.0
POLL_DELAY = 2.0
COUNT_DELAY = 10.0
"""Seconds after which a server is asked again whether it counts a viewing: its answer can lag behind the stop."""

OWNER = "1"
DEFAULT_THRESHOLD = 90
CREDITS_ONLY = (1, 2)
"""The values of Plex's "Video play completion behaviour" by which the credits alone decide: the final or the first."""

MAX_WITHOUT_ITEM = 3
PLAYER_FIELDS = ("machineIdentifier", "title", "product", "platform")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """What is the same for each connection: whose token it is, unless it is the owner's."""

    api: PlexApi
    user: str | None = None
    account: PlexAccount | None = None

    async def run(self, audience: Audience) -> None:
        """Listen until the connection ends; raises Retry and Dead."""
        about = await self.api.get("/")
        server = {"uuid": about.get("machineIdentifier"), "title": about.get("friendlyName")}
        line = Line(self, audience, server, await self.threshold())
        line.poller = Poller(self.api, audience, server, await self.own_user(about), line.covers)
        if self.account is not None and self.user is None:
            line.members = Members(self.account, self.api, audience, server, line.covers)
        await line.run()

    async def own_user(self, about: Json) -> Json:
        """The user whose marks the token shows, as webhooks name them."""
        if self.user is not None:
            return {"title": self.user}
        name = (await self.api.account_names()).get(OWNER)
        return {"id": OWNER, "title": name or about.get("myPlexUsername")}

    async def threshold(self) -> int:
        """The percent from which an item counts as played where the server's own count cannot be read.

        A server that goes by the credits counts at no percentage; a shared user may not read how it counts.
        """
        try:
            found = await self.api.preferences()
        except Dead:
            return DEFAULT_THRESHOLD
        percent = values.whole(found.get("LibraryVideoPlayedThreshold"))
        if percent is None or not 0 < percent <= 100:
            return DEFAULT_THRESHOLD
        goes_by_credits = values.whole(found.get("LibraryVideoPlayedAtBehaviour")) in CREDITS_ONLY
        return DEFAULT_THRESHOLD if goes_by_credits else percent


class Line:
    """One connection to a server."""

    def __init__(
        self, listening: Listening, audience: Audience, server: Mapping[str, Any], threshold: int
    ) -> None:
        self.api, self.user = listening.api, listening.user
        self.is_shared = False  # True once a person's own token was refused the sessions
        self.audience = audience
        self.threshold = threshold
        self.viewings = Viewings(server=server)
        self.frames: asyncio.Queue[tuple[datetime, bytes | Undelivered]] = asyncio.Queue(MAX_FRAMES)
        self.sessions: dict[str, Json] = {}
        self.sessions_at: datetime | None = None
        self.stands = asyncio.Event()
        self.poller: Poller | None = None
        self.members: Members | None = None
        self.counting: set[asyncio.Task[None]] = set()
        self.is_catching_up = False

    async def run(self) -> None:
        try:
            await run_together(self.read_alerts(), self.follow(), self.poll(), self.poll_members())
        except Undelivered:
            await self.keep(self.viewings.leave())
            raise
        finally:
            for task in self.counting:
                task.cancel()

    async def read_alerts(self) -> None:
        """Queue the alerts, and behind them what broke the connection, so that all that was heard counts."""
        try:
            async for found in self.api.alerts():
                if found is None:
                    await self.audience.connect()
                    self.stands.set()
                elif found.name != "ping":
                    await self.frames.put((clock.now(), found.data))
        except Undelivered as broken:
            await self.frames.put((clock.now(), broken))
        await asyncio.Event().wait()

    async def follow(self) -> None:
        """Take in the alerts one by one, and what is due by the clock."""
        while True:
            try:
                async with asyncio.timeout(TICK):
                    at, frame = await self.frames.get()
            except TimeoutError:
                at, frame = clock.now(), b""
            if isinstance(frame, Undelivered):
                raise frame
            for found in read_frame(frame):
                if isinstance(found, Alert):
                    await self.keep(self.viewings.hear(found, at))
                elif self.poller is not None:
                    self.poller.hints.set()
            await self.keep(self.viewings.pass_time(at))
            for viewing in self.viewings.wait(at):
                session = await self.find_session(viewing)
                if session is not None:
                    await self.keep(self.viewings.introduce(viewing, session))
            self.settle_viewings()

    async def poll(self) -> None:
        """Ask for marks, once the line stands and catch-up has had its turn."""
        await self.stands.wait()
        await asyncio.sleep(POLL_DELAY)
        if self.poller is not None:
            await self.poller.run()

    async def poll_members(self) -> None:
        """Ask for the marks of those who share the server, where the token is its owner's."""
        await self.stands.wait()
        await asyncio.sleep(POLL_DELAY)
        await (self.members.run() if self.members is not None else asyncio.Event().wait())

    def covers(self, item: str, user: Json | None = None) -> bool:
        return self.viewings.covers(item, clock.now(), user)

    async def keep(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            await self.audience.keep(statement)

    # --- who plays what

    async def find_session(self, viewing: Viewing) -> Session | None:
        """Who plays what an alert is of; None while that is not known, and nobody is guessed."""
        try:
            row = await self.find_row(viewing.alert)
            if row is None:
                return None
            item = (await self.api.items([viewing.alert.item])).get(viewing.alert.item, {})
        except Undelivered as error:
            log.info("Plex does not say yet who plays.", action="session_unknown", why=str(error))
            return None
        return self.read_session(viewing.alert, row, item)

    async def find_row(self, alert: Alert) -> Json | None:
        """The session's row, where it is still of this item; otherwise it is of another session with the same key."""
        now = clock.now()
        if self.is_shared:
            return self.own_row(alert)
        age = None if self.sessions_at is None else now - self.sessions_at
        known = self.sessions.get(alert.session)
        fresh = age is not None and age < (SESSIONS_AGE if is_of(known, alert) else MIN_SESSIONS_INTERVAL)
        if not fresh:
            self.sessions = {}
            try:
                found = await self.api.sessions()
            except Forbidden:
                if self.user is None:
                    raise
                self.is_shared = True
                return self.own_row(alert)
            self.sessions = {key: row for row in found if (key := values.text(row.get("sessionKey")))}
            self.sessions_at = now
            known = self.sessions.get(alert.session)
        return known if is_of(known, alert) else None

    def own_row(self, alert: Alert) -> Json:
        """The row of a person who may not read the sessions: their token hears their own alone."""
        return {"User": {"title": self.user}, "Player": {"machineIdentifier": alert.client}}

    def read_session(self, alert: Alert, row: Json, item: Json) -> Session:
        user, player = values.mapping(row.get("User")), values.mapping(row.get("Player"))
        merged = {**pick(row, ITEM_FIELDS), **pick(item, ITEM_FIELDS)}
        is_own = self.is_shared or values.text(user.get("id")) == OWNER
        return Session(
            user=pick(user, ("id", "title")),
            player=pick(player, PLAYER_FIELDS),
            session=pick(row, ITEM_FIELDS),
            item=pick(item, ITEM_FIELDS),
            duration_ms=values.duration(merged.get("duration")),
            is_own=is_own,
            view_count=(values.ordinal(item.get("viewCount")) or 0) if is_own and item else None,
            is_tracked=not isinstance(_plexlike.read_item(cast(_plexlike.PlexMetadata, merged)), Ignored),
        )

    # --- whether the server counts it

    def settle_viewings(self) -> None:
        """Ask for each viewing that ended whether the server counts it, without holding up the alerts."""
        for ended in self.viewings.ended:
            self.do_beside(self.count(ended))
        self.viewings.ended.clear()
        if self.viewings.is_any_missed and not self.is_catching_up:
            self.viewings.is_any_missed, self.is_catching_up = False, True
            self.do_beside(self.catch_up())

    def do_beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.counting.add(task)
        task.add_done_callback(self.counting.discard)

    async def catch_up(self) -> None:
        """Have the server's history read for what was not heard; like its counts, it may lag behind a stop."""
        await asyncio.sleep(COUNT_DELAY)
        self.is_catching_up = False
        self.audience.catch_up()

    async def count(self, ended: Ended) -> None:
        for pause in (0.0, COUNT_DELAY):
            await asyncio.sleep(pause)
            try:
                counted = await self.find_count(ended)
            except Undelivered:
                counted = None
            if counted is not None and counted.is_watched:
                await self.say_counts(ended, counted)
                return
        if counted is None and is_beyond(ended, self.threshold):
            await self.say_counts(ended, Counted(is_watched=True))

    async def find_count(self, ended: Ended) -> Counted | None:
        """Whether the server counts the viewing, as the person's own marks or its history say."""
        if ended.session.is_own:
            row = (await self.api.items([ended.item])).get(ended.item)
            if row is None or ended.session.view_count is None:
                return None
            count = values.ordinal(row.get("viewCount")) or 0
            at = values.moment(row.get("lastViewedAt"))
            return Counted(is_watched=count > ended.session.view_count, at=at, view_count=count)
        account = values.text(ended.session.user.get("id"))
        if account is None:
            return None
        found = await self.api.history(account, ended.item, int(ended.began_at.timestamp()))
        times = [at for row in found if (at := values.moment(row.get("viewedAt")))]
        return Counted(is_watched=bool(times), at=max(times, default=None))

    async def say_counts(self, ended: Ended, counted: Counted) -> None:
        server = self.viewings.server
        await self.audience.keep(count_statement(server, ended, counted.at, counted.view_count))


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    is_watched: bool
    at: datetime | None = None
    view_count: int | None = None


def is_of(row: Json | None, alert: Alert) -> bool:
    return row is not None and values.text(row.get("ratingKey")) == alert.item


def is_beyond(ended: Ended, threshold: int) -> bool:
    length = ended.session.duration_ms
    return bool(length and ended.position_ms and 100 * ended.position_ms >= threshold * length)
