"""What a Jellyfin or an Emby does while somebody plays: sessions, a socket, and the marks of each user that follow.

`start`, `move`, `stop` make somebody play; `mark`, `unmark`, `favour`, `rate` do by hand what an app has a button for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ._server import Fake

Json = dict[str, Any]

TICK = 0.02
TICKS_PER_MS = 10_000
MIN_PERCENT, MAX_PERCENT = 5, 90
SHORT = 5 * 60_000 * TICKS_PER_MS
RESETS_AT_START = 12
"""The version from which a Jellyfin no longer takes back what is played again."""


@dataclass
class Session:
    """A device that is signed in; it plays the item unless that is None."""

    key: str
    user_ids: list[str]
    item: Json | None
    device: str
    ticks: int | None = 0
    paused: bool = False


class LiveSessions(Fake):
    """The part of the server that is listened to."""

    switches: Any
    server_id: str
    server_name: str
    own_version: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, str] = {}
        self.known: dict[str, Json] = {}
        self.played: dict[str, dict[str, Json]] = {}
        self.sessions: dict[str, Session] = {}
        self.changes = 0
        self.sockets: list[str] = []  # the kinds of messages that came over sockets
        self.open_sockets = 0
        self.frames: list[str | bytes] = []

    @property
    def version(self) -> str:
        return str(self.switches.version or self.own_version)

    # --- items, and whose marks they have

    def add(self, user_id: str, dto: Mapping[str, Any]) -> Json:
        """The item with the user's marks, which begin as those of one that nobody touched."""
        self.known.setdefault(dto["Id"], dict(dto))
        untouched = {"PlaybackPositionTicks": 0, "PlayCount": 0, "IsFavorite": False, "Played": False}
        items = self.played.setdefault(user_id, {})
        return items.setdefault(dto["Id"], {**dto, "UserData": untouched})

    def items_of(self, user_id: str) -> Iterator[Json]:
        """Everything on the server, as this user has it."""
        for dto in list(self.known.values()):
            yield self.add(user_id, dto)

    def data_of(self, user_id: str, item_id: str) -> Json:
        data: Json = self.add(user_id, self.known[item_id])["UserData"]
        return data

    # --- what people do

    def start(self, key: str, item: Mapping[str, Any], user_id: str, *, also: Sequence[str] = (), device: str = "dev1", ms: int = 0) -> None:  # fmt: skip
        """A user plays an item, maybe with others; that alone counts and takes a mark back, as the version has it."""
        self.sessions[key] = Session(key, [user_id, *also], dict(item), device, ms * TICKS_PER_MS)
        for one in (user_id, *also):
            data = self.add(one, item)["UserData"]
            data |= {"PlayCount": data["PlayCount"] + 1, "LastPlayedDate": stamp(self.clock.now())}
            if int(self.version.split(".")[0]) < RESETS_AT_START:
                data["Played"] = False
        self.changed(key)

    def move(self, key: str, ms: int | None, *, paused: bool = False) -> None:
        one = self.sessions[key]
        one.ticks, one.paused = None if ms is None else ms * TICKS_PER_MS, paused
        self.changed(key)

    def stop(self, key: str, ms: int | None = None) -> None:
        """The player stops, and the server puts back to the beginning what it counts, or what was hardly begun."""
        one = self.sessions[key]
        assert one.item is not None
        ticks = one.ticks if ms is None else ms * TICKS_PER_MS
        for user_id in one.user_ids:
            self.settle(self.data_of(user_id, one.item["Id"]), ticks or 0, one.item.get("RunTimeTicks") or 0)
        self.crash(key)

    def settle(self, data: Json, ticks: int, length: int) -> None:
        percent = 100 * ticks / length if length else None
        data["LastPlayedDate"] = stamp(self.clock.now())
        if percent is None or length < SHORT or percent > MAX_PERCENT:
            data |= {"Played": True, "PlaybackPositionTicks": 0}
        else:
            data["PlaybackPositionTicks"] = 0 if percent < MIN_PERCENT else ticks

    def crash(self, key: str) -> None:
        """The session is idle, and nothing is saved."""
        self.sessions[key].item = None
        self.changed(key)

    def mark(self, user_id: str, item: Mapping[str, Any], at: datetime | None = None) -> None:
        """A mark by hand: dated now unless another date is kept, or given by a tool."""
        data = self.add(user_id, item)["UserData"]
        dated = stamp(at) if at is not None else data.get("LastPlayedDate") or stamp(self.clock.now())
        data |= {"Played": True, "PlayCount": max(data["PlayCount"], 1), "PlaybackPositionTicks": 0}
        data["LastPlayedDate"] = dated

    def unmark(self, user_id: str, item_id: str) -> None:
        data = self.data_of(user_id, item_id)
        data |= {"Played": False, "PlayCount": 0, "PlaybackPositionTicks": 0}
        data.pop("LastPlayedDate", None)

    def favour(self, user_id: str, item_id: str, *, favourite: bool = True) -> None:
        self.data_of(user_id, item_id)["IsFavorite"] = favourite

    def rate(self, user_id: str, item_id: str, rating: float | None) -> None:
        data = self.data_of(user_id, item_id)
        data.pop("Rating", None)
        if rating is not None:
            data["Rating"] = rating

    def remove(self, item_id: str) -> None:
        """The item's file is gone, or has another name and so another id."""
        del self.known[item_id]

    def send_raw(self, sent: str | bytes) -> None:
        """A message as it is, over every socket that is served: half of one, a bad one, one of ten megabytes."""
        self.frames.append(sent)

    def changed(self, key: str) -> None:
        """A session changed, which is said at once to whoever listens."""
        self.changes += 1

    # --- the socket

    socket_path: str
    socket_key: str

    def socket_route(self) -> BaseRoute:
        return WebSocketRoute(self.socket_path, self.serve_socket)

    def serves_keys(self) -> bool:
        """Whether a key's socket is served; jellyfin#13479: 10.9 and 10.10 break it off."""
        return not self.version.startswith(("10.9.", "10.10."))

    async def serve_socket(self, socket: WebSocket) -> None:
        if socket.query_params.get(self.socket_key) != self.switches.key:
            await socket.close(1008)  # before it is accepted that is a 403
            return
        await socket.accept()
        self.open_sockets += 1
        sender: asyncio.Task[None] | None = None
        try:
            await self.send_message(socket, "ForceKeepAlive", self.switches.keep_alive)
            while True:
                async with asyncio.timeout(self.switches.keep_alive):
                    kind = json.loads(await socket.receive_text()).get("MessageType")
                self.sockets.append(kind)
                if kind == "KeepAlive":
                    await self.send_message(socket, "KeepAlive")
                if kind == "SessionsStart" and not self.serves_keys():
                    await socket.close(1011)
                    return
                if kind == "SessionsStart":
                    sender = asyncio.create_task(self.send_changes(socket))
        except (TimeoutError, WebSocketDisconnect):
            with suppress(RuntimeError):
                await socket.close(1000)
        finally:
            self.open_sockets -= 1
            if sender is not None:
                sender.cancel()

    async def send_changes(self, socket: WebSocket) -> None:
        """Sessions when one changes: none at first, and none while nothing does."""
        seen, place = self.changes, len(self.frames)
        while True:
            await asyncio.sleep(TICK)
            for frame in self.frames[place:]:
                place += 1
                await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_text(frame))
            if self.changes != seen:
                seen = self.changes
                await self.send_message(
                    socket, "Sessions", [self.session_row(one) for one in self.sessions.values()]
                )

    async def send_message(self, socket: WebSocket, kind: str, data: Any = None) -> None:
        await socket.send_json({"MessageType": kind, "MessageId": "m1", "Data": data})

    # --- answers

    def live_control(self) -> BaseRoute:
        return Route("/_control/live/{what}", self.act, methods=["POST"])

    async def act(self, request: Request) -> Response:
        """Do what a test in another process asks for: the name of a method, and its arguments."""
        getattr(self, request.path_params["what"])(**await request.json())
        return JSONResponse({})

    def show_sessions(self, request: Request) -> Response:
        return JSONResponse([self.own_session(), *(self.session_row(one) for one in self.sessions.values())])

    def own_session(self) -> Json:
        """The key's: of no user, and idle."""
        return {"Id": "0f" * 16, "UserId": "0" * 32, "Client": "Watchmark", "DeviceId": self.server_id}

    def session_row(self, one: Session) -> Json:
        first, *others = one.user_ids
        row: Json = {
            "Id": one.key,
            "UserId": first,
            "UserName": self.users.get(first, ""),
            "AdditionalUsers": [{"UserId": key, "UserName": self.users.get(key, "")} for key in others],
            "Client": "Jellyfin Web",
            "DeviceId": one.device,
            "DeviceName": f"Player {one.device}",
            "ApplicationVersion": "1.0",
            "PlayState": {"IsPaused": one.paused, "CanSeek": True, "PlayMethod": "DirectPlay"},
        }
        if one.ticks is not None:
            row["PlayState"]["PositionTicks"] = one.ticks
        if one.item is not None:
            row["NowPlayingItem"] = {**one.item, "Path": "/media/file.mkv", "MediaStreams": []}
        return row


def stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
