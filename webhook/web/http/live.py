"""Live pages: a stream of server-sent events on which an open page reloads itself.

It says no more than that: what a visitor may see, the page itself knows (Server-Sent Events,
https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from webhook.service import Service
from webhook.storage.db import RECHECK_INTERVAL
from webhook.storage.tables import attempt, delivery, job, play, webhook
from webhook.web.http.errors import Problem
from webhook.web.http.sessions import Sessions

MIN_INTERVAL = 0.1
"""Minimum seconds between two checks, however much is committed."""

BEAT = 15.0
"""Seconds between heartbeats, so that no proxy closes the stream as idle."""

STREAM_TIMEOUT = 600.0
MOST = 100
MOST_OF_ONE = 10
"""Maximum streams per person, so that one person cannot take up all connections."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Live:
    def __init__(self, service: Service, sessions: Sessions) -> None:
        self.service = service
        self.sessions = sessions
        self.listeners: Counter[int | None] = Counter()
        self.reading: asyncio.Task[object] | None = None
        self.looked_at = 0.0
        self.looked_for = -1

    def routes(self) -> list[BaseRoute]:
        return [Route("/live", self.stream)]

    async def stream(self, request: Request) -> Response:
        visitor = await self.sessions.visitor(request)
        if visitor is None:
            raise Problem(401, "Sign in to receive live updates.")
        if self.listeners.total() >= MOST or self.listeners[visitor.person_id] >= MOST_OF_ONE:
            raise Problem(
                503, "Too many pages are open for live updates; reload this one to see what is new."
            )
        seen = self.service.database.committed.count
        known = await self.current_state()  # before the answer begins: what is committed from then on is news
        news = self.stream_news(request, visitor.person_id, seen, known)
        return StreamingResponse(news, media_type="text/event-stream", headers=HEADERS)

    async def stream_news(
        self, request: Request, person_id: int | None, seen: int, known: object
    ) -> AsyncIterator[str]:
        """Stream server-sent events until the session ends, which is checked again before each event."""
        self.listeners[person_id] += 1
        try:
            yield "retry: 1000\n\n"
            begun = said = time.monotonic()
            while time.monotonic() - begun < STREAM_TIMEOUT and not self.service.leaving():
                await self.service.database.wait_for_commit(seen, RECHECK_INTERVAL)
                await asyncio.sleep(MIN_INTERVAL)  # one event covers everything committed meanwhile
                seen = self.service.database.committed.count
                state = await self.current_state()
                if state == known and time.monotonic() - said <= BEAT:
                    continue
                if await self.sessions.visitor(request) is None:
                    return
                yield ": still here\n\n" if state == known else "event: news\ndata: .\n\n"
                known, said = state, time.monotonic()
        finally:
            self.listeners[person_id] -= 1
            self.listeners += Counter()  # drops people without listeners

    async def current_state(self) -> object:
        """A value that changes whenever a page might, read once for all listeners."""
        count, now = self.service.database.committed.count, time.monotonic()
        recent = count == self.looked_for and now - self.looked_at <= RECHECK_INTERVAL / 2
        if self.reading is None or not recent:
            self.looked_for, self.looked_at = count, now
            self.reading = asyncio.create_task(self.read_state(count))
        return await asyncio.shield(self.reading)  # a listener that leaves ends it for no other

    async def read_state(self, count: int) -> object:
        return count, await self.service.database.read(changes)


NEWEST = [select(func.max(table.c.id)) for table in (webhook, delivery, attempt, play, job)]


def changes(connection: Connection) -> list[object]:
    """The latest ids of the tables that pages show, which reveal the writes of other processes."""
    newest: list[object] = [connection.execute(wanted).scalar() for wanted in NEWEST]
    return [*newest, connection.execute(select(func.max(job.c.changed_at))).scalar()]
