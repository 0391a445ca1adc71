"""Live pages: a stream that says when there is something new, so that an open page can draw itself again.

It says no more than that: what a visitor may see, the page itself knows (Server-Sent Events,
https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from webhook.service import Service
from webhook.tables import attempt, delivery, job, play, webhook
from webhook.web.shell import Problem
from webhook.web.sign_in import Sessions

LOOK = 0.4
"""Seconds between two looks, while anybody listens."""

BEAT = 15.0
"""Seconds after which something is said in any case, so that no proxy takes the stream for dead."""

LONGEST = 600.0
MOST = 100
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Live:
    def __init__(self, service: Service, sessions: Sessions) -> None:
        self.service = service
        self.sessions = sessions
        self.listeners = 0
        self.state: object = None
        self.looked_at = 0.0

    def routes(self) -> list[BaseRoute]:
        return [Route("/live", self.stream)]

    async def stream(self, request: Request) -> Response:
        if await self.sessions.visitor(request) is None:
            raise Problem(401, "Sign in to be told what is new.")
        if self.listeners >= MOST:
            raise Problem(503, "Too many open pages listen; this one shows what is new when it is reloaded.")
        return StreamingResponse(self.told(), media_type="text/event-stream", headers=HEADERS)

    async def told(self) -> AsyncIterator[str]:
        self.listeners += 1
        try:
            yield "retry: 1000\n\n"
            begun = said = time.monotonic()
            known = await self.now()
            while time.monotonic() - begun < LONGEST and not self.service.leaving():
                await asyncio.sleep(LOOK)
                state = await self.now()
                if state != known:
                    known, said = state, time.monotonic()
                    yield "event: news\ndata: .\n\n"
                elif time.monotonic() - said > BEAT:
                    said = time.monotonic()
                    yield ": still here\n\n"
        finally:
            self.listeners -= 1

    async def now(self) -> object:
        """What changes whenever a page might; looked at once for all who listen."""
        if time.monotonic() - self.looked_at > LOOK / 2:
            self.looked_at = time.monotonic()
            database = self.service.database
            self.state = (database.commits, await database.read(changes))
        return self.state


NEWEST = [select(func.max(table.c.id)) for table in (webhook, delivery, attempt, play, job)]


def changes(connection: Connection) -> list[object]:
    """The newest of what pages show, for what other processes write."""
    newest: list[object] = [connection.execute(wanted).scalar() for wanted in NEWEST]
    return [*newest, connection.execute(select(func.max(job.c.changed_at))).scalar()]
