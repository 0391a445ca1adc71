"""What Jellyfin and Emby have in common, for they grew from one program: users, and items each has played.

Not a server: the leading underscore keeps it out of the scan.

Of an item such a server keeps one date for each user, that of the latest play (`UserData.LastPlayedDate`)
beside a count: of three viewings two are without a date and are not told. A mark set by hand looks just
like a viewing. What was marked without a date is left out, for nobody knows when that was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

import httpx

from webhook.domain.event import Action, Episode, Event, Ids, Item, Movie, Track
from webhook.domain.guids import provider_ids
from webhook.servers import Found, _values
from webhook.servers._asking import Door, ask

Row = Mapping[str, Any]

PAGE = 100
"""How many items one call asks for: with an item of 1 to 2 KB a page stays below what one answer may hold."""

OVERLAP = 10
"""By how many items pages overlap: what is played meanwhile moves to the end, and the others up by one."""

SHARED = {
    "Recursive": "true",
    "IncludeItemTypes": "Movie,Episode,Audio",
    "Filters": "IsPlayed",
    "EnableUserData": "true",
    "EnableImages": "false",
    "CollapseBoxSetItems": "false",  # or films may come as the collections they lie in
    "SortBy": "DatePlayed,SortName",
    "Limit": str(PAGE),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Whose:
    """A user on a server, as webhooks name them."""

    user: str | None
    user_id: str
    server: str | None
    server_name: str | None


class MediaBrowser:
    """A Jellyfin or an Emby; what differs is the header, the path of a user's items and the fields to ask for."""

    name: ClassVar[str]
    label: ClassVar[str]
    fields: ClassVar[str]

    def __init__(self, http: httpx.AsyncClient, door: Door, headers: Mapping[str, str]) -> None:
        self.http = http
        self.door = door
        self.headers = headers

    def items_of(self, user_id: str) -> tuple[str, dict[str, str]]:
        """The path and the parameters that name one user's items."""
        raise NotImplementedError

    async def check(self) -> str:
        system = await self.system()
        return _values.text(system.get("ServerName")) or self.label

    async def played(self, since: datetime | None) -> AsyncIterator[Found]:
        """What each user has played, one user after the other, the oldest first of each."""
        system = await self.system()
        for user in _values.rows(await self.get("/Users")):
            if user_id := _values.text(user.get("Id")):
                whose = Whose(
                    user=_values.text(user.get("Name")),
                    user_id=user_id,
                    server=_values.hex_id(system.get("Id")),
                    server_name=_values.text(system.get("ServerName")),
                )
                async for found in self.of_user(whose, since):
                    yield found

    async def of_user(self, whose: Whose, since: datetime | None) -> AsyncIterator[Found]:
        if since is None:
            async for row in self.items(whose.user_id, "Ascending"):
                for found in told(whose, row):
                    yield found
            return
        # The newest come first, so that only these are asked for; they wait for their turn as what is kept of them.
        newer: list[Found] = []
        async for row in self.items(whose.user_id, "Descending"):
            at = played_at(row)
            if at is not None and at <= since:
                break
            newer.extend(reversed(told(whose, row)))
        for found in reversed(newer):
            yield found

    async def items(self, user_id: str, order: str) -> AsyncIterator[Row]:
        """A user's played items by the date of their latest play, page after page."""
        path, user = self.items_of(user_id)
        asked = {**SHARED, **user, "Fields": self.fields, "SortOrder": order}
        start, before = 0, frozenset[str]()
        while True:
            answer = _values.table(await self.get(path, {**asked, "StartIndex": str(start)}))
            total = _values.count(answer.get("TotalRecordCount"))
            if total is None or not isinstance(answer.get("Items"), list):
                raise self.door.stranger(f"{self.label} answered without a list of items", str(answer)[:500])
            page = _values.rows(answer["Items"])
            for row in page:
                if known_by(row) not in before:
                    yield row
            if not page or start + len(page) >= total:
                return
            before = frozenset(known_by(row) for row in page)
            start += max(len(page) - OVERLAP, 1)

    async def system(self) -> Row:
        found = _values.table(await self.get("/System/Info"))
        if _values.text(found.get("Id")) is None:
            raise self.door.stranger(
                f"{self.label} answered without saying which server it is", str(found)[:500]
            )
        return found

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        return await ask(self.http, self.door, path, params, self.headers)


def played_at(row: Row) -> datetime | None:
    return _values.instant(_values.table(row.get("UserData")).get("LastPlayedDate"))


def known_by(row: Row) -> str:
    """What tells one play of an item from another: the item and the date."""
    at = played_at(row)
    return f"{_values.hex_id(row.get('Id'))}:{at and at.isoformat()}"


def told(whose: Whose, row: Row) -> list[Found]:
    """The play of an item: an entry for each episode that a file holds, and none without a date."""
    at, item = played_at(row), item_of(row)
    if at is None or item is None:
        return []
    first, *further = several(item, _values.count(row.get("IndexNumberEnd")))
    event = Event(
        action=Action.WATCHED,
        item=first,
        at=at,
        user=whose.user,
        user_id=_values.hex_id(whose.user_id),
        server=whose.server,
        server_name=whose.server_name,
        item_key=_values.hex_id(row.get("Id")),
        duration_ms=_values.milliseconds(row.get("RunTimeTicks")),
        recorded=True,
    )
    key = f"{event.user_id}:{known_by(row)}"
    more = (replace(event, item=item, item_key=None) for item in further)
    return [
        Found(event=event, key=key),
        *(Found(event=one, key=f"{key}:{one.item.number}") for one in more if isinstance(one.item, Episode)),
    ]


def item_of(row: Row) -> Item | None:
    """The item, or None where it is nothing that one watches or hears, or nothing that could be found."""
    builder = BUILDERS.get(_values.text(row.get("Type")) or "")
    extra = (_values.text(row.get("ExtraType")) or "unknown").lower()
    if builder is None or extra != "unknown":
        return None
    item = builder(row)
    return item if _values.findable(item) else None


def several(item: Item, end: int | None) -> list[Item]:
    """An episode for each number of a file. The file's ids are those of the first."""
    if not isinstance(item, Episode) or item.number is None or end is None:
        return [item]
    if not item.number < end < item.number + _values.MOST_EPISODES:
        return [item]
    bare = replace(item, title=None, ids=Ids())
    return [item, *(replace(bare, number=number) for number in range(item.number + 1, end + 1))]


def movie(row: Row) -> Item:
    return Movie(
        title=_values.text(row.get("Name")), year=_values.year(row.get("ProductionYear")), ids=ids(row)
    )


def episode(row: Row) -> Item:
    return Episode(
        title=_values.text(row.get("Name")),
        show=_values.text(row.get("SeriesName")),
        season=_values.count(row.get("ParentIndexNumber")),
        number=_values.count(row.get("IndexNumber")),
        year=_values.year(row.get("ProductionYear")),
        ids=ids(row),
    )


def track(row: Row) -> Item:
    album_artist = _values.text(row.get("AlbumArtist"))
    return Track(
        title=_values.text(row.get("Name")),
        artist=next(iter(_values.texts(row.get("Artists"))), album_artist),
        album=_values.text(row.get("Album")),
        album_artist=album_artist,
        number=_values.count(row.get("IndexNumber")),
        year=_values.year(row.get("ProductionYear")),
        ids=ids(row),
    )


def ids(row: Row) -> Ids:
    return provider_ids(_values.table(row.get("ProviderIds")))


BUILDERS: Mapping[str, Callable[[Row], Item]] = {"Movie": movie, "Episode": episode, "Audio": track}
