"""The front of `watchmark serve`: keeps the socket open while the service is reloaded.

Requests that arrive meanwhile wait a moment and are answered by the new service, over the same
connection: a media server sends a webhook only once, so the port must not be closed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from webhook import app as house
from webhook import logs
from webhook.service import Service
from webhook.settings import Environ

log = structlog.get_logger()

WORK_ENDS = 20.0
"""Seconds for deliveries in progress to finish; webhooks are received meanwhile."""

EMPTY = 10.0
"""Seconds for requests in progress to finish; new ones wait meanwhile."""


WEBHOOKS = "/webhooks/"
AT_ONCE = 2
"""Requests of pages and the API that begin before other new ones are considered."""


class Turnstile:
    """Starts requests a few at a time, so that a webhook among thousands of them is not last."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        loop = asyncio.get_running_loop()
        if not self.waiting:
            loop.call_soon(self.release)
        turn = loop.create_future()
        self.waiting.append(turn)
        await turn

    def release(self) -> None:
        for _ in range(min(AT_ONCE, len(self.waiting))):
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
        if self.waiting:
            asyncio.get_running_loop().call_soon(self.release)


class Front:
    """The application that the server runs; `leaving` returns True when the server is about to end."""

    def __init__(self, environ: Environ, leaving: Callable[[], bool]) -> None:
        self.environ = environ
        self.leaving = leaving
        self.service, self.app = self.open_service()
        self.stack = AsyncExitStack()
        self.entered = asyncio.Event()
        self.settled = asyncio.Event()
        self.emptied = asyncio.Event()
        self.turnstile = Turnstile()
        self.inside = 0
        self.changing: asyncio.Task[None] | None = None
        self.failed = False

    def open_service(self) -> tuple[Service, ASGIApp]:
        """Open a service and its application; raises SettingsError."""
        service = house.open_service(self.environ)
        logs.configure(service.settings.log_format, service.settings.log_level)
        service.reopen = self.reopen
        service.leaving = lambda: self.leaving() or self.service is not service or self.changing is not None
        return service, house.web_app(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        # Webhooks are received by any open service; pages are rendered by the one with the new settings.
        is_webhook = self.is_webhook(scope["path"])
        ready = self.entered if is_webhook else self.settled
        while not ready.is_set():
            await ready.wait()
        if not is_webhook:
            await self.turnstile.enter()
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1
            if not self.inside:
                self.emptied.set()

    def is_webhook(self, path: str) -> bool:
        return path.removeprefix(self.service.settings.root_path).startswith(WEBHOOKS)

    async def live(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan, from the server's start to its end."""
        await receive()
        await self.enter()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.changing is not None:
            await asyncio.wait({self.changing})
        await self.stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def enter(self) -> None:
        await self.stack.enter_async_context(house.run_service(self.service))
        self.entered.set()
        self.settled.set()

    # --- opened anew

    def reopen(self) -> None:
        if self.changing is None:
            self.settled.clear()
            self.changing = asyncio.create_task(self.change(), name="reopening")

    async def change(self) -> None:
        """Close the service and open it with the current settings."""
        try:
            self.service.stop.set()
            if self.service.tasks:
                await asyncio.wait(self.service.tasks, timeout=WORK_ENDS)
            self.entered.clear()
            await self.empty()
            await self.stack.aclose()
            self.service, self.app = self.open_service()
            await self.enter()
        except Exception as error:
            self.failed = True
            log.critical(
                "The service could not start with its new settings and exits so that it can be restarted.",
                exc_info=error,
            )
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self.changing = None

    async def empty(self) -> None:
        """Wait until all requests in progress are answered, up to a timeout."""
        self.emptied.clear()
        if self.inside:
            try:
                await asyncio.wait_for(self.emptied.wait(), EMPTY)
            except TimeoutError:
                log.warning("Some requests were not answered before the service restarted.")
