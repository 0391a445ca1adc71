"""The users of a Jellyfin or an Emby, and the items each has played: the two grew from one program.

Of an item such a server keeps one date for each user, that of the latest play (`UserData.LastPlayedDate`)
beside a count: of three viewings two are without a date and are not read. A mark set by hand looks just
like a viewing. What was marked without a date is left out, for nobody knows when that was.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from webhook.client import MAX_ANSWER, make_context
from webhook.domain import values
from webhook.domain.event import Action, Episode, Event, Ignored, Item, Movie, Track
from webhook.servers import Audience, CallMeter, Found, ServerItem, ServerReport
from webhook.servers._http import JsonRow, ServerAddress, get_json, get_picture
from webhook.servers._mediabrowser.listening import Listening
from webhook.sources import _dto

if TYPE_CHECKING:
    from webhook.servers._mediabrowser.socket import HintSocket

ITEMS_PER_CALL = 100
"""Items per page: at 1 to 2 KB each, a page stays below the limit of a response."""

PAGE_OVERLAP = 10
"""Items by which pages overlap: an item played meanwhile moves to the end and shifts the others."""

MAX_SESSIONS_SIZE = MAX_PAGE_SIZE = 8 * 1024 * 1024
PICTURES = (("Primary", 720), ("Backdrop", 1280))
"""The kinds of pictures that are asked for, and the width of each."""

ITEM_ID = re.compile(r"[0-9A-Fa-f-]{1,40}")

QUERY = {
    "Recursive": "true",
    "IncludeItemTypes": "Movie,Episode,Audio",
    "Filters": "IsPlayed",
    "EnableUserData": "true",
    "EnableImages": "false",
    "CollapseBoxSetItems": "false",  # or films may come as the collections they lie in
    "SortBy": "DatePlayed,SortName",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerUser:
    """A user on a server, as webhooks name them."""

    user: str | None
    user_id: str
    server: str | None
    server_name: str | None


class MediaBrowser:
    """A Jellyfin or Emby; they differ in the header, the path of a user's items and the requested fields."""

    name: ClassVar[str]
    label: ClassVar[str]
    fields: ClassVar[str]
    socket_at: ClassVar[tuple[str, str]]

    def __init__(
        self, http: httpx.AsyncClient, address: ServerAddress, key: str, headers: Mapping[str, str]
    ) -> None:
        self.http = http
        self.address = address
        self.key = key
        self.headers = headers
        self.calls = CallMeter()
        self.remark: str | None = None
        self.listening = Listening(self)

    async def listen(self, audience: Audience) -> None:
        await self.listening.run(audience)

    def items_of(self, user_id: str) -> tuple[str, dict[str, str]]:
        """The path and the parameters that name one user's items."""
        raise NotImplementedError

    async def check(self) -> str:
        system = await self.system()
        return values.text(system.get("ServerName")) or self.label

    async def report(self) -> ServerReport:
        system = await self.system()
        return ServerReport(
            label=self.label,
            name=values.text(system.get("ServerName")) or self.label,
            version=values.text(system.get("Version")),
            people=len(await self.named_users()),
        )

    async def plays(self, since: datetime | None) -> AsyncIterator[Found]:
        """The plays of each user, one user after the other, the oldest first of each."""
        system = await self.system()
        for row in values.objects(await self.get("/Users")):
            if user_id := values.text(row.get("Id")):
                account = ServerUser(
                    user=values.text(row.get("Name")),
                    user_id=user_id,
                    server=values.hex_id(system.get("Id")),
                    server_name=values.text(system.get("ServerName")),
                )
                async for found in self.plays_of(account, since):
                    yield found

    async def plays_of(self, user: ServerUser, since: datetime | None) -> AsyncIterator[Found]:
        if since is None:
            async for row in self.items(user.user_id, "Ascending"):
                for found in read_plays(user, row):
                    yield found
            return
        # The newest come first, so that only these are asked for.
        newer: list[Found] = []
        async for row in self.items(user.user_id, "Descending"):
            at = played_at(row)
            if at is not None and at <= since:
                break
            newer.extend(reversed(read_plays(user, row)))
        for found in reversed(newer):
            yield found

    async def items(self, user_id: str, order: str) -> AsyncIterator[JsonRow]:
        """A user's played items by the date of their latest play, page after page."""
        start, before = 0, frozenset[str]()
        while True:
            page, total = await self.marks_page(user_id, {"SortOrder": order}, start, ITEMS_PER_CALL)
            for row in page:
                if entry_key(row) not in before:
                    yield row
            if not page or start + len(page) >= total:
                return
            before = frozenset(entry_key(row) for row in page)
            start += max(len(page) - PAGE_OVERLAP, 1)

    async def server_id(self) -> str | None:
        return values.hex_id((await self.system()).get("Id"))

    async def pictures(self, place: ServerItem) -> list[bytes]:
        is_part = isinstance(place.item, Episode)
        key = place.show_key if is_part else place.item_key
        if key is None or not ITEM_ID.fullmatch(key):
            return []
        found = [await self.picture(key, kind, width) for kind, width in PICTURES]
        return [one for one in found if one is not None]

    async def season_posters(self, place: ServerItem) -> list[bytes]:
        item, show_key = place.item, place.show_key or ""
        if not isinstance(item, Episode) or not ITEM_ID.fullmatch(show_key):
            return []
        kind, width = PICTURES[0]
        found = values.mapping(await self.get(f"/Shows/{show_key}/Seasons", {"EnableUserData": "false"}))
        for row in values.objects(found.get("Items")):
            key = values.text(row.get("Id")) or ""
            if values.whole(row.get("IndexNumber")) == item.season and ITEM_ID.fullmatch(key):
                poster = await self.picture(key, kind, width)
                return [] if poster is None else [poster]
        return []

    async def picture(self, key: str, kind: str, width: int) -> bytes | None:
        path, params = f"/Items/{key}/Images/{kind}", {"maxWidth": str(width)}
        return await get_picture(self.http, self.address, path, params, self.headers)

    async def sessions(self) -> list[Any]:
        """Everything that is open on the server, playing or not."""
        found = await self.get("/Sessions", most=MAX_SESSIONS_SIZE)
        if not isinstance(found, list):
            raise self.address.wrong_answer(
                f"{self.label} answered without a list of sessions", str(found)[:500]
            )
        return found

    def socket(self, on_sessions: Callable[[], None], on_marks: Callable[[], None]) -> HintSocket:
        """The server's socket, at its own path and with the key in its own parameter."""
        from webhook.servers._mediabrowser.socket import HintSocket  # only who listens needs its library

        address = httpx.URL(self.address.url)
        path, key_name = self.socket_at
        query = {key_name: self.key, "deviceId": "watchmark-1"}
        is_secure = address.scheme == "https"
        url = address.copy_with(
            scheme="wss" if is_secure else "ws", path=address.path.rstrip("/") + path, params=query
        )
        context = make_context(getattr(self.http, "ca_file", "")) if is_secure else None
        return HintSocket(
            label=self.label,
            url=str(url),
            context=context,
            on_sessions=on_sessions,
            on_marks=on_marks,
            on_served=self.note_socket,
        )

    def note_socket(self, served: bool) -> None:
        self.remark = (
            None if served else "its socket is not served to us, so it is looked at every few seconds"
        )

    async def items_by_key(self, user_id: str, keys: Sequence[str]) -> dict[str, JsonRow]:
        """These items with a user's own marks; one that is not there, or not to be seen by them, is absent."""
        path, own = self.items_of(user_id)
        params = {"Ids": ",".join(keys), "Fields": self.fields, "EnableUserData": "true", **own}
        answer = values.mapping(await self.get(path, {**params, "EnableImages": "false"}))
        found = {values.hex_id(row.get("Id")): row for row in values.objects(answer.get("Items"))}
        return {key: found[key] for key in keys if key in found}

    async def named_users(self) -> list[dict[str, str]]:
        """The users of the server, as webhooks name them."""
        rows = values.objects(await self.get("/Users"))
        found = ((values.hex_id(row.get("Id")), values.text(row.get("Name"))) for row in rows)
        return [{"Id": user_id, "Name": name} for user_id, name in found if user_id and name]

    async def marks_page(
        self, user_id: str, wanted: Mapping[str, str], start: int, size: int
    ) -> tuple[list[JsonRow], int]:
        """A page of a user's items by their marks, and how many there are; raises Dead where that is not said."""
        path, own = self.items_of(user_id)
        paging = {"StartIndex": str(start), "Limit": str(size), "Fields": self.fields}
        answer = values.mapping(
            await self.get(path, {**QUERY, **wanted, **own, **paging}, most=MAX_PAGE_SIZE)
        )
        total = values.position(answer.get("TotalRecordCount"))
        if total is None or not isinstance(answer.get("Items"), list):
            raise self.address.wrong_answer(
                f"{self.label} answered without a list of items", str(answer)[:500]
            )
        return values.objects(answer["Items"]), total

    async def system(self) -> JsonRow:
        found = values.mapping(await self.get("/System/Info"))
        if values.text(found.get("Id")) is None:
            raise self.address.wrong_answer(
                f"{self.label} answered without saying which server it is", str(found)[:500]
            )
        return found

    async def get(self, path: str, params: Mapping[str, str] | None = None, most: int = MAX_ANSWER) -> Any:
        self.calls.count()
        return await get_json(self.http, self.address, path, params, self.headers, most)


def played_at(row: JsonRow) -> datetime | None:
    """The date of the latest play, to the millisecond: finer, the last one stored would be newer than itself."""
    at = values.moment(values.mapping(row.get("UserData")).get("LastPlayedDate"), naive_is_utc=True)
    return None if at is None else at.replace(microsecond=at.microsecond // 1000 * 1000)


def entry_key(row: JsonRow) -> str:
    """The key of one play of an item: the item and the date."""
    at = played_at(row)
    return f"{values.hex_id(row.get('Id'))}:{at and at.isoformat()}"


def read_plays(user: ServerUser, row: JsonRow) -> list[Found]:
    """The play of an item: an entry for each episode that a file holds, and none without a date."""
    at, items = played_at(row), read_items(row)
    if at is None or not items:
        return []
    first, *further = items
    event = Event(
        action=Action.WATCHED,
        item=first,
        at=at,
        user=user.user,
        user_id=values.hex_id(user.user_id),
        server=user.server,
        server_name=user.server_name,
        item_key=values.hex_id(row.get("Id")),
        duration_ms=values.milliseconds(values.duration(row.get("RunTimeTicks"))) or None,
        recorded=True,
    )
    key = f"{event.user_id}:{entry_key(row)}"
    more = (replace(event, item=item, item_key=None) for item in further)
    return [
        Found(event=event, key=key),
        *(Found(event=one, key=f"{key}:{one.item.number}") for one in more if isinstance(one.item, Episode)),
    ]


def read_items(row: JsonRow) -> list[Item]:
    """The items, read as the webhook's are; none where it is nothing that one watches or hears."""
    items = _dto.read_items(row, {}) if row.get("Type") else []
    return [] if isinstance(items, Ignored) else [one for one in items if isinstance(one, PLAYED)]


PLAYED = (Movie, Episode, Track)
