"""An AniList on loopback: one address, one entry for each anime, and errors as AniList says them.

`python -m tests.fakes.anilist --port 0` runs it alone. Its log and its faults name a call by its operation
("POST /SaveMediaListEntry"), since all calls go to one address. Beside what every fake has (`_server`):

    POST /_control/user        {"name": "anna"} -> {"token": ...}
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from ._server import Call, Clock, Fake, main

Json = dict[str, Any]
NO_DATE: Json = {"year": None, "month": None, "day": None}
OPERATIONS = ("SaveMediaListEntry", "DeleteMediaListEntry", "MediaListCollection", "Viewer", "Media")
"""By the name of their field, the longer ones first."""

STATUSES = ("CURRENT", "PLANNING", "COMPLETED", "DROPPED", "PAUSED", "REPEATING")
WRITABLE = ("mediaId", "status", "progress", "repeat", "scoreRaw", "startedAt", "completedAt")
LIMIT = 30


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    calls_per_minute: int = 0  # 0: no limit
    errors_as_200: bool = False  # an error has the status 200, and its own inside
    auto_complete: bool = True


class Refused(Exception):
    """An error; `more` stands beside its message."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"data": None, "errors": [{"message": message, "status": status, **more}]}


@dataclass
class Anime:
    id: int
    episodes: int | None
    format: str = "TV"
    status: str = "FINISHED"


@dataclass
class Entry:
    id: int
    mediaId: int  # noqa: N815 - as AniList spells it
    status: str = "CURRENT"
    progress: int = 0
    repeat: int = 0
    scoreRaw: int = 0  # noqa: N815
    startedAt: Json = field(default_factory=lambda: dict(NO_DATE))  # noqa: N815
    completedAt: Json = field(default_factory=lambda: dict(NO_DATE))  # noqa: N815
    updatedAt: int = 0  # noqa: N815


@dataclass
class User:
    id: int
    name: str
    entries: dict[int, Entry] = field(default_factory=dict)


class AniList(Fake):
    """The server. `fake.sign_in("anna")` gives her token; `fake.user("anna").entries` her entries by anime."""

    switches: Switches
    service = "anilist"

    def __init__(self, *, clock: Clock | None = None, **switches: Any) -> None:
        super().__init__(clock=clock)
        self.switches = Switches(**switches)
        self.anime: dict[int, Anime] = {}
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}
        self.ids = iter(range(90001, 2**40))
        self.asked: list[datetime] = []

    # People and anime

    def add(self, number: int, episodes: int | None, **more: Any) -> Anime:
        return self.anime.setdefault(number, Anime(number, episodes, **more))

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(5501 + len(self.users), name))

    def sign_in(self, name: str, *, days: float = 365) -> Json:
        """A token as AniList makes them: long, and with its end inside."""
        ends = int((self.clock.now() + timedelta(days=days)).timestamp())
        body = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
        token = f"eyJ0eXAiOiJKV1QifQ.{body}.{secrets.token_urlsafe(600)}"
        self.tokens[token] = self.user(name).name
        return {"token": token, "name": name}

    def revoke(self, name: str) -> None:
        self.tokens = {token: user for token, user in self.tokens.items() if user != name}

    def remember(self, name: str, anime: int, status: str, progress: int, **more: Any) -> Entry:
        """As if she had set it there."""
        entry = Entry(next(self.ids), anime, status, progress, **more)
        entry.updatedAt = entry.updatedAt or int(self.clock.now().timestamp())
        self.user(name).entries[anime] = entry
        return entry

    def who(self, headers: Mapping[str, str]) -> str | None:
        return self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))

    def state(self) -> Json:
        return {"users": {user.name: asdict(user) for user in self.users.values()}}

    # The door

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.answer, methods=["POST"]),
            Route("/_control/user", self.control_user, methods=["POST"]),
        ]

    def log(self, scope: Scope, body: bytes) -> Call:
        call = super().log(scope, body)
        query = call.body.get("query", "") if isinstance(call.body, dict) else ""
        call.path += next((name for name in OPERATIONS if f"{name}(" in query or f"{name}{{" in query), "")
        return call

    async def answer(self, request: Request) -> Response:
        headers = {"X-RateLimit-Limit": str(self.switches.calls_per_minute or LIMIT)}
        try:
            headers["X-RateLimit-Remaining"] = str(self.count_call())
            data = self.operate(request.headers.get("authorization"), await request.body())
        except Refused as refused:
            status = 200 if self.switches.errors_as_200 else refused.status
            if refused.status == 429:
                headers |= {
                    "Retry-After": "60",
                    "X-RateLimit-Reset": str(int(self.clock.now().timestamp()) + 60),
                }
            return JSONResponse(refused.body, status, headers=headers)
        return JSONResponse({"data": data}, headers=headers)

    def count_call(self) -> int:
        """The calls that are left in this minute."""
        most, now = self.switches.calls_per_minute, self.clock.now()
        if not most:
            return LIMIT
        self.asked = [at for at in self.asked if now - at < timedelta(minutes=1)]
        if len(self.asked) >= most:
            raise Refused(429, "Too Many Requests.")
        self.asked.append(now)
        return most - len(self.asked)

    def operate(self, authorization: str | None, body: bytes) -> Json:
        said = as_json(body)
        query, given = said["query"], said.get("variables") or {}
        name = next((name for name in OPERATIONS if f"{name}(" in query or f"{name}{{" in query), None)
        token = (authorization or "").removeprefix("Bearer ")
        user = self.users[self.tokens[token]] if token in self.tokens else None
        if token and user is None:
            raise Refused(400, "Invalid token")
        if name == "Media":
            return {"Media": self.media(given, user)}
        if name is None:
            raise Refused(400, "Cannot query an unknown field.")
        if user is None:
            raise Refused(401, "Unauthorized.")
        handlers = {
            "Viewer": self.viewer,
            "SaveMediaListEntry": self.save,
            "DeleteMediaListEntry": self.delete,
            "MediaListCollection": self.collection,
        }
        return {name: handlers[name](given, user)}

    # Operations

    def viewer(self, given: Json, user: User) -> Json:
        return {"id": user.id, "name": user.name, "mediaListOptions": {"scoreFormat": "POINT_10"}}

    def find(self, number: Any) -> Anime:
        if number not in self.anime:
            raise Refused(404, "Not Found.")
        return self.anime[number]

    def media(self, given: Json, user: User | None) -> Json:
        anime = self.find(given.get("id"))
        entry = user.entries.get(anime.id) if user else None
        return {"idMal": anime.id, **asdict(anime), "mediaListEntry": entry and asdict(entry)}

    def save(self, given: Json, user: User) -> Json:
        anime = self.find(given.get("mediaId"))
        self.validate(anime, given)
        fresh = anime.id not in user.entries
        entry = user.entries.get(anime.id) or Entry(next(self.ids), anime.id)
        for name in WRITABLE[1:]:
            if name in given:
                setattr(entry, name, given[name] if given[name] is not None else dict(NO_DATE))
        if fresh and "status" not in given:
            entry.status = "CURRENT"
        if given.get("status") == "COMPLETED" and self.switches.auto_complete:
            entry.progress = anime.episodes or entry.progress
            if "completedAt" not in given and entry.completedAt == NO_DATE:
                today = self.clock.now()
                entry.completedAt = {"year": today.year, "month": today.month, "day": today.day}
        entry.updatedAt = int(self.clock.now().timestamp())
        user.entries[anime.id] = entry
        return asdict(entry)

    def validate(self, anime: Anime, given: Json) -> None:
        """It takes no unknown variable, no other status, and no number beyond the last episode."""
        wrong = {name: ["is not known"] for name in given if name not in WRITABLE}
        if given.get("status", "CURRENT") not in STATUSES:
            wrong["status"] = ["is none of these"]
        for name in ("progress", "repeat", "scoreRaw"):
            number = given.get(name, 0)
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                wrong[name] = ["must be a number"]
        last = 1 if anime.format == "MOVIE" else anime.episodes
        if last is not None and not wrong and given.get("progress", 0) > last:
            wrong["progress"] = ["is more than there are episodes"]
        if wrong:
            raise Refused(400, "validation", validation=wrong)

    def delete(self, given: Json, user: User) -> Json:
        found = next((entry for entry in user.entries.values() if entry.id == given.get("id")), None)
        if found is None:
            raise Refused(404, "Not Found.")
        del user.entries[found.mediaId]
        return {"deleted": True}

    def collection(self, given: Json, user: User) -> Json:
        """Everything stands in the list of its status, and once more in a list of her own."""
        rows = [
            {**asdict(entry), "media": {"idMal": entry.mediaId, **asdict(self.anime[entry.mediaId])}}
            for entry in user.entries.values()
        ]
        size, chunk = given.get("perChunk", 500), given.get("chunk", 1)
        part = rows[(chunk - 1) * size : chunk * size]
        return {
            "hasNextChunk": len(rows) > chunk * size,
            "lists": [
                {"name": "Watching", "isCustomList": False, "entries": part},
                {"name": "Favourites", "isCustomList": True, "entries": part[:1]},
            ],
        }

    async def control_user(self, request: Request) -> Response:
        return JSONResponse(self.sign_in((await request.json())["name"]))


def as_json(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("query"), str):
        raise Refused(400, "The query is missing.")
    return said


if __name__ == "__main__":
    main(AniList())
