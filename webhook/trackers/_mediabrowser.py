"""Jellyfin and Emby as they are told: the two grew from one program, and differ in how much of a mark a call replaces.

A person signs in with the name and the password they have on the server; the password is used once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from webhook.client import read_json, version
from webhook.domain import values
from webhook.domain.copies import Copy
from webhook.domain.event import Action, Episode, Ids, Item, Movie
from webhook.domain.guids import provider_ids
from webhook.domain.outcome import Retry
from webhook.domain.retry import UNSURE_PAUSE
from webhook.sources import _dto
from webhook.trackers import Access, Delivery, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._changes import ItemState, States
from webhook.trackers._json import JsonObject, as_rows, as_text, child
from webhook.trackers._media_server import MediaServer
from webhook.trackers._sign_in import end_sign_in
from webhook.trackers._viewings import is_since, viewing_date

PAGE_SIZE, HISTORY_PAGE_SIZE = 500, 200
PAGE_OVERLAP = 10
"""Items by which pages overlap: one that is watched meanwhile moves to the end and shifts the others."""

TICKS_PER_MS = 10_000
ITEM_ID = re.compile(r"[0-9A-Fa-f-]{1,40}")
NAMED = {"Client": "Watchmark", "Device": "Watchmark", "DeviceId": "watchmark", "Version": version()}
CLIENT = "MediaBrowser " + ", ".join(f'{name}="{value}"' for name, value in NAMED.items())
WATCHED_ONLY = {"Filters": "IsPlayed", "SortBy": "DatePlayed,SortName", "SortOrder": "Ascending"}


class MediaBrowser(MediaServer):
    """Marks, ratings and favourites of one person on a Jellyfin or an Emby. A subclass says how a mark is written."""

    sign_in: SignIn = "password"
    actions: ClassVar[Mapping[Action, str]] = {
        **MediaServer.actions,
        Action.FAVOURITE: "send_alone",
        Action.UNFAVOURITE: "send_alone",
    }
    fields: ClassVar[str]
    batch = 100

    def items_path(self, user_id: str) -> tuple[str, dict[str, str]]:
        """The path and the parameters that name a person's items."""
        raise NotImplementedError

    async def items(self, access: Access, size: int, **more: str) -> AsyncIterator[list[JsonObject]]:
        """A person's items, a page at a time; one that moves to another page meanwhile comes once."""
        path, own = self.items_path(user_of(access))
        query = {"Recursive": "true", "EnableImages": "false", **own, "Limit": str(size), **more}
        start, known = 0, set[str]()
        while True:
            page = await self.ask_object(access, "GET", path, params={**query, "StartIndex": str(start)})
            rows, total = as_rows(page.get("Items")), values.position(page.get("TotalRecordCount"))
            if total is None or not isinstance(page.get("Items"), list):
                raise Retry(f"{self.label} sent an answer of an unknown shape", after=UNSURE_PAUSE)
            yield [row for row in rows if (key := key_of(row)) and key not in known]
            known.update(key for row in rows if (key := key_of(row)))
            if not rows or start + len(rows) >= total:
                return
            start += max(len(rows) - PAGE_OVERLAP, 1)

    async def copies(self, access: Access) -> AsyncIterator[Sequence[Copy]]:
        shows: dict[str, Ids] = {}
        described = {"Fields": "ProviderIds", "EnableUserData": "false"}
        async for page in self.items(access, PAGE_SIZE, IncludeItemTypes="Series", **described):
            shows |= {key: ids for row in page if (key := key_of(row)) and (ids := provider_ids_of(row))}
        async for page in self.items(access, PAGE_SIZE, IncludeItemTypes="Movie,Episode", **described):
            yield [copy for row in page for copy in read_copies(row, shows)]

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """What is marked watched, with the time of its last viewing where the server has one."""
        more = {"IncludeItemTypes": "Movie,Episode", "Fields": self.fields, **WATCHED_ONLY}
        async for page in self.items(access, HISTORY_PAGE_SIZE, **more):
            for row in page:
                at = date_of(row)
                if is_since(at, since):
                    for item in read_items(row):
                        yield WatchedItem(item=item, at=at, remote_id=key_of(row))

    async def read_states(self, access: Access, keys: Sequence[str]) -> States:
        path, own = self.items_path(user_of(access))
        query = {**own, "Ids": ",".join(keys), "Fields": self.fields, "EnableImages": "false"}
        page = await self.ask_object(access, "GET", path, params=query)
        states = [state for row in as_rows(page.get("Items")) if (state := read_state(row)) is not None]
        # A server that ignores the ids answers with all it has.
        return {state.key: state for state in states if state.key in keys}

    async def read_open_keys(self, access: Access) -> Collection[str]:
        """What this person plays, alone or with others."""
        response = await self.ask(access, "GET", "/Sessions")
        if response.status_code in (401, 403):
            return ()
        found = as_rows(read_json(self.label, self.accept(response)))
        return [
            key
            for row in found
            if is_session_of(row, user_of(access))
            and (key := key_of(child(row, "NowPlayingItem"))) is not None
        ]

    # The sign-in

    async def login(self, username: str, password: str) -> Tokens:
        with end_sign_in():
            response = await self.call(
                "POST", "/Users/AuthenticateByName", json={"Username": username, "Pw": password}
            )
            if response.status_code in (400, 401, 403):
                raise SignInFailed(f"{self.label} does not accept this name and password")
            body = self.accept_object(response, "User")
        token, user = as_text(body.get("AccessToken")), child(body, "User")
        user_id, server = values.hex_id(user.get("Id")), values.hex_id(body.get("ServerId"))
        if token is None or user_id is None:
            raise SignInFailed(f"{self.label} answered without a sign-in")
        return {
            "token": token,
            "user_id": user_id,
            "name": as_text(user.get("Name")) or username,
            "server": server,
        }

    async def check(self, access: Access) -> str:
        me = await self.ask_object(access, "GET", f"/Users/{user_of(access)}")
        return as_text(me.get("Name")) or self.label


def is_session_of(row: JsonObject, user_id: str) -> bool:
    users = [row, *as_rows(row.get("AdditionalUsers"))]
    return any(values.hex_id(user.get("UserId")) == user_id for user in users)


def user_of(access: Access) -> str:
    return str(access.tokens.get("user_id"))


def marks_of(state: ItemState, action: Action, delivery: Delivery) -> JsonObject:
    """The fields of a person's data that an action sets."""
    match action:
        case Action.WATCHED:
            count = max(values.whole(state.row.get("PlayCount")) or 0, 1)
            marked: JsonObject = {"Played": True, "PlayCount": count, "PlaybackPositionTicks": 0}
            at = viewing_date(delivery)
            return marked if at is None else {**marked, "LastPlayedDate": timestamp(at)}
        case Action.PROGRESS:
            return {"PlaybackPositionTicks": (delivery.position_ms or 0) * TICKS_PER_MS}
        case Action.RATE:
            return {"Rating": delivery.rating}
        case _:
            return {"IsFavorite": action is Action.FAVOURITE}


def timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_state(row: JsonObject) -> ItemState | None:
    key, data = key_of(row), child(row, "UserData")
    if key is None:
        return None
    return ItemState(
        key=key,
        items=read_items(row),
        played=data.get("Played") is True,
        rating=values.rating(data.get("Rating")),
        favourite=data.get("IsFavorite") is True,
        position_ms=values.milliseconds(values.position(data.get("PlaybackPositionTicks"))) or 0,
        at=date_of(row),
        row=data,
    )


def read_copies(row: JsonObject, shows: Mapping[str, Ids]) -> list[Copy]:
    """The film, or each of the episodes that a file holds, with the ids of their show."""
    key, show_key = key_of(row), values.text(row.get("SeriesId"))
    show_ids = shows.get(show_key or "", Ids())
    return [
        Copy(
            item=replace(item, show_ids=show_ids) if isinstance(item, Episode) else item,
            item_key=key,
            show_key=show_key,
        )
        for item in read_items(row)
        if key is not None
    ]


def read_items(row: JsonObject) -> list[Item]:
    found = _dto.read_items(row, {}) if row.get("Type") else []
    return [item for item in found if isinstance(item, Movie | Episode)] if isinstance(found, list) else []


def provider_ids_of(row: JsonObject) -> Ids:
    return provider_ids(values.mapping(row.get("ProviderIds")))


def key_of(row: JsonObject) -> str | None:
    key = values.text(row.get("Id"))
    return key if key is not None and ITEM_ID.fullmatch(key) else None


def date_of(row: JsonObject) -> datetime | None:
    return values.moment(child(row, "UserData").get("LastPlayedDate"), naive_is_utc=True)
