"""The socket of a Jellyfin or an Emby, which says at once that something happened. Nothing depends on it.

What it says is a hint to look, never the truth: not every version serves a key, and none says anything while it is idle.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from webhook.domain import values

log = structlog.get_logger()

MIN_RETRY, MAX_RETRY = 5.0, 300.0
"""Seconds before a socket is opened again, doubled up to the second."""

KEEP_ALIVE = 30.0
"""Seconds between two signs of life; a Jellyfin hangs up after 60 without one."""

MAX_MESSAGE = 8 * 1024 * 1024
INTERVAL = "0,5000"
"""How often sessions are wanted while they only go on, in ms; what begins or ends is said at once."""

SESSIONS_HINTS = frozenset(("Sessions", "PlaybackStarted", "PlaybackStopped", "SessionEnded"))
MARKS_HINTS = frozenset(("UserDataChanged",))
SERVED = SESSIONS_HINTS | MARKS_HINTS | {"KeepAlive"}
"""What only comes over a socket that is served; a refused one is greeted too."""


class Connect(connect):
    """A connection that follows no redirect: the key is for this address only."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@dataclass(frozen=True, kw_only=True, slots=True)
class HintSocket:
    """A socket at an address with a key in it; `on_sessions` and `on_marks` are called for each hint.

    `on_served` is called with whether the server serves it.
    """

    label: str
    url: str
    context: SSLContext | None
    on_sessions: Callable[[], None]
    on_marks: Callable[[], None]
    on_served: Callable[[bool], None]

    async def run(self) -> None:
        """Listen until cancelled. A server that does not serve it is asked ever more seldom, and said so once."""
        pause, is_said = MIN_RETRY, False
        while True:
            try:
                if await self.listen():
                    pause = MIN_RETRY
            except (OSError, TimeoutError, WebSocketException) as error:
                self.on_served(False)
                if not is_said:
                    log.info(
                        "A server's socket cannot be used; it is looked at every few seconds all the same.",
                        action="socket_down",
                        server=self.label,
                        why=type(error).__name__,  # its text may hold the address and the key
                    )
                is_said = True
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY)

    async def listen(self) -> bool:
        """Listen over one connection until it is closed; True if anything was said."""
        is_heard = False
        async with Connect(
            self.url,
            ssl=self.context,
            proxy=None,
            max_size=MAX_MESSAGE,
            compression=None,
            logger=SILENT,
        ) as socket:
            await send_message(socket, "SessionsStart", INTERVAL)
            alive = asyncio.create_task(stay_alive(socket))
            try:
                async for message in socket:
                    is_heard = self.hear(read_kind(message)) or is_heard
            finally:
                alive.cancel()
        return is_heard

    def hear(self, kind: str | None) -> bool:
        if kind in SESSIONS_HINTS:
            self.on_sessions()
        elif kind in MARKS_HINTS:
            self.on_marks()
        if kind in SERVED:
            self.on_served(True)
        return kind is not None


SILENT = logging.Logger("websockets.silent")  # noqa: LOG001 - or whoever sets up logging switches it on
SILENT.disabled = True  # at its finest it writes addresses down, and a key is part of this one


async def stay_alive(socket: ClientConnection) -> None:
    while True:
        await asyncio.sleep(KEEP_ALIVE)
        await send_message(socket, "KeepAlive")


async def send_message(socket: ClientConnection, kind: str, data: str | None = None) -> None:
    message = {"MessageType": kind} | ({} if data is None else {"Data": data})
    await socket.send(orjson.dumps(message).decode())


def read_kind(message: str | bytes) -> str | None:
    """The kind of a message; None where it makes no sense."""
    try:
        found: Any = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    return values.text(values.mapping(found).get("MessageType"))
