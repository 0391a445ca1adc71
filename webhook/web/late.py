"""An application that is loaded when it is first asked: a server that only receives webhooks never needs its pages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send


class LateApp:
    """Makes its routes at the first request, in a thread, so that webhooks go on meanwhile."""

    def __init__(self, make_routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._make_routes = make_routes
        self._router: Router | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._router is None:
            await asyncio.to_thread(self._load)
        await self._load()(scope, receive, send)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return self._load().routes

    def _load(self) -> Router:
        if self._router is None:
            with self._lock:
                if self._router is None:
                    self._router = Router(list(self._make_routes()))
        return self._router
