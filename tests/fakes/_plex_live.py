"""What a Plex Media Server says while it is listened to: alerts, sessions, and the marks of each person.

An alert names no person; the session is gone before its `stopped` is sent; a key of a session is used again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ._server import Fake

Json = dict[str, Any]
OWNER = 1
TICK = 0.02
TYPES = {"1": "movie", "2": "show", "4": "episode", "10": "track"}
UNKNOWN_SORTS = ("viewedAt:desc",)
MARKS = ("viewCount", "lastViewedAt", "viewOffset", "userRating", "lastRatedAt")


@dataclass
class Playing:
    """Somebody plays an item in a session."""

    key: str
    account: int
    item: Json
    player: str
    offset: int = 0

    def row(self, name: str) -> Json:
        """The session as `/status/sessions` has it: without a list of guids."""
        known = {name: value for name, value in self.item.items() if name not in ("Guid", *MARKS)}
        return {
            **known,
            "sessionKey": self.key,
            "viewOffset": self.offset,
            "User": {"id": str(self.account), "title": name},
            "Player": {
                "machineIdentifier": self.player,
                "title": f"Player {self.player}",
                "state": "playing",
            },
            "Session": {"id": f"s{self.key}", "bandwidth": 9000, "location": "lan"},
        }


class LivePlex(Fake):
    """The part of the server that is listened to. `start`, `move`, `pause`, `stop` make somebody play."""

    items: dict[str, Json]
    accounts: dict[int, str]
    view: Callable[..., Json]

    def __init__(self) -> None:
        super().__init__()
        self.shared: dict[str, int] = {}  # tokens of those who share the server, and their accounts
        self.playing: dict[str, Playing] = {}
        self.marks: dict[int, dict[str, Json]] = {}
        self.frames: list[tuple[int | None, bytes]] = []  # whose they are, and what is sent
        self.drops = self.dropped_at = 0
        self.listeners = 0

    # --- what happens on the server

    def start(self, key: str, item: Mapping[str, Any], *, account: int = OWNER, player: str = "p1", offset: int = 0) -> None:  # fmt: skip
        self.items.setdefault(str(item["ratingKey"]), dict(item))
        self.playing[key] = Playing(key, account, dict(item), player, offset)
        self.alert(key, "playing")

    def move(self, key: str, offset: int, state: str = "playing") -> None:
        self.playing[key].offset = offset
        self.alert(key, state)

    def stop(self, key: str, offset: int | None = None) -> None:
        """The player stops; the server counts what is beyond its threshold, and forgets the session first."""
        over = self.playing[key]
        over.offset = over.offset if offset is None else offset
        share = 100 * over.offset / over.item.get("duration", 1)
        if share >= self.switches.played_threshold:
            self.count(over.account, over.item, self.clock.now())
        del self.playing[key]
        self.send_alert(over, "stopped")

    def crash(self, key: str) -> None:
        """The player dies: the session is gone, and no alert says so."""
        del self.playing[key]

    def count(self, account: int, item: Mapping[str, Any], at: datetime) -> None:
        self.view(item, at, account=account)

    def mark(self, account: int, item: str, at: datetime) -> None:
        """A mark by hand: it is counted and dated, writes no history and sends no alert."""
        mine = self.marks.setdefault(account, {}).setdefault(item, {})
        mine |= {"viewCount": mine.get("viewCount", 0) + 1, "lastViewedAt": int(at.timestamp())}

    def unmark(self, account: int, item: str) -> None:
        for name in ("viewCount", "lastViewedAt"):
            self.marks.get(account, {}).get(item, {}).pop(name, None)

    def rate(self, account: int, item: str, rating: float | None, at: datetime) -> None:
        mine = self.marks.setdefault(account, {}).setdefault(item, {})
        if rating is None:
            mine.pop("userRating", None)
        else:
            mine |= {"userRating": rating, "lastRatedAt": int(at.timestamp())}

    # --- what is sent to who listens

    def alert(self, key: str, state: str) -> None:
        self.send_alert(self.playing[key], state)

    def send_alert(self, one: Playing, state: str) -> None:
        entry = {
            "sessionKey": one.key, "clientIdentifier": one.player, "guid": "", "url": "",
            "ratingKey": str(one.item["ratingKey"]), "key": f"/library/metadata/{one.item['ratingKey']}",
            "viewOffset": one.offset, "playQueueItemID": 1, "state": state,
        }  # fmt: skip
        self.send_entry("playing", "PlaySessionStateNotification", entry, one.account)

    def send_entry(self, kind: str, array: str, entry: Json, account: int | None = None) -> None:
        inside: Json = {"type": kind, "size": 1, array: [entry]}
        whole = {"NotificationContainer": inside} if self.switches.contained else {array: entry}
        self.send_raw(f"event: {kind}\ndata: {json.dumps(whole)}\n\n".encode(), account)

    def send_raw(self, sent: bytes, account: int | None = None) -> None:
        """Bytes as they are: half a frame, a bad one, one of ten megabytes."""
        self.frames.append((account, sent))

    def drop(self) -> None:
        """Every connection that listens breaks, behind what was sent until now."""
        self.dropped_at = len(self.frames)
        self.drops += 1

    def restart(self) -> None:
        """The server starts anew: nobody plays, and keys of sessions begin at 1 again."""
        self.playing.clear()
        self.drop()

    # --- answers

    def live_table(self) -> list[tuple[str, Callable[[Request], Response]]]:
        return [
            ("/:/eventsource/notifications", self.listen),
            ("/:/prefs", self.show_preferences),
            ("/status/sessions", self.show_sessions),
            ("/library/sections/{section}/all", self.show_section),
        ]

    def live_controls(self) -> list[BaseRoute]:
        return [Route("/_control/live/{what}", self.act, methods=["POST"])]

    async def act(self, request: Request) -> Response:
        """Do what a test in another process asks for: the name of a method, and its arguments."""
        given = await request.json()
        getattr(self, request.path_params["what"])(**given)
        return JSONResponse({"listeners": self.listeners})

    def account_of(self, request: Request) -> int | None:
        given = request.headers.get("x-plex-token") or request.query_params.get("X-Plex-Token")
        return OWNER if given == self.switches.token else self.shared.get(given or "")

    def marks_of(self, request: Request, item: Mapping[str, Any]) -> Json:
        """The marks of the token's person, and nobody else's."""
        account = self.account_of(request)
        return self.marks.get(account or 0, {}).get(str(item["ratingKey"]), {})

    def listen(self, request: Request) -> Response:
        return StreamingResponse(self.stream(self.account_of(request)), media_type="text/event-stream")

    async def stream(self, account: int | None) -> AsyncIterator[bytes]:
        """The owner hears all sessions, everybody else their own."""
        place, drops, pinged = len(self.frames), self.drops, 0.0
        self.listeners += 1
        try:
            while self.drops == drops:
                if not self.switches.silent and time.monotonic() - pinged >= self.switches.ping:
                    pinged = time.monotonic()
                    yield b"event: ping\ndata: {}\n\n"
                for whose, sent in self.frames[place:]:
                    place += 1
                    if not self.switches.silent and account in (OWNER, whose):
                        yield sent
                await asyncio.sleep(TICK)
            for whose, sent in self.frames[place : self.dropped_at]:
                if account in (OWNER, whose):
                    yield sent
        finally:
            self.listeners -= 1

    def show_preferences(self, request: Request) -> Response:
        if self.account_of(request) != OWNER:
            return page(403, "Forbidden")
        found = {"LibraryVideoPlayedThreshold": self.switches.played_threshold}
        found |= {"LibraryVideoPlayedAtBehaviour": self.switches.played_behaviour}
        entries = [{"id": name, "value": value, "type": "int"} for name, value in found.items()]
        return json_container([], size=len(entries), Setting=entries)

    def show_sessions(self, request: Request) -> Response:
        if self.switches.starting or self.account_of(request) != OWNER:
            return page(403, "Forbidden")
        return json_container([one.row(self.accounts.get(one.account, "")) for one in self.playing.values()])

    def show_section(self, request: Request) -> Response:
        """A library, by type, by marks and sorted; filters by date are ignored, as the real one ignores them."""
        asked = request.query_params
        if asked.get("sort") in UNKNOWN_SORTS:
            return page(500, "Internal Server Error")
        found = [
            {**item, **self.marks_of(request, item)}
            for item in self.items.values()
            if str(item.get("librarySectionID", 1)) == request.path_params["section"]
            and item.get("type") == TYPES.get(asked.get("type", "1"))
        ]
        if asked.get("unwatched") == "0":
            found = [item for item in found if item.get("viewCount")]
        by, _, direction = asked.get("sort", "").partition(":")
        if by and self.switches.sorts:
            found.sort(key=lambda item: item.get(by, 0), reverse=direction == "desc")
        start = int(request.headers.get("x-plex-container-start", 0))
        size = int(request.headers.get("x-plex-container-size", 50))
        left_out = () if asked.get("includeGuids") == "1" else ("Guid",)
        shown = [
            {name: value for name, value in item.items() if name not in left_out}
            for item in found[start : start + size]
        ]
        return json_container(shown, totalSize=len(found), offset=start)


def wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def json_container(found: list[Json], **values: Any) -> Response:
    """Numbers are numbers; the keys of items and sessions are texts."""
    rows = [{**row, "ratingKey": str(row["ratingKey"])} if "ratingKey" in row else row for row in found]
    inside: Json = {"size": len(rows), **values}
    return JSONResponse({"MediaContainer": {**inside, "Metadata": rows} if rows else inside})


def page(status: int, title: str) -> Response:
    """An error as the server words it, in HTML."""
    text = (
        f"<html><head><title>{title}</title></head><body><h1>{status} {title}</h1><br><p>Sorry.</body></html>"
    )
    return HTMLResponse(text, status)
