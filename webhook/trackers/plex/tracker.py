"""Plex: https://developer.plex.tv/pms

| call | effect for the person of the token |
|---|---|
| `PUT /:/scrobble?identifier=com.plexapp.plugins.library&key=4711` | `viewCount` + 1, watched now, no position |
| `PUT /:/unscrobble?identifier=…&key=4711` | no longer watched |
| `PUT /:/rate?identifier=…&key=4711&rating=8` | 0 to 10; -1 removes it |

Plex takes no date, and counts each call anew: what is watched is left alone. A call on a show or a season would mark
every episode, so only films and episodes are. Each person's token is their own; one signs in at https://plex.tv/link.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import httpx
from pydantic import Field

from webhook.client import call, read_json, version
from webhook.domain import values
from webhook.domain.copies import Copy
from webhook.domain.event import Action, Episode, Ids, Item, Kind, Movie
from webhook.domain.guids import parse_guids
from webhook.domain.outcome import Unmatched
from webhook.settings import BY_ITSELF, Address
from webhook.sources import _plexlike
from webhook.trackers import Access, Delivery, DeviceCode, SignInFailed, Tokens, WatchedItem
from webhook.trackers._base import TrackerSettings
from webhook.trackers._changes import ItemState, States
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child
from webhook.trackers._media_server import MediaServer
from webhook.trackers._sign_in import DeviceSignIn, read_device_code
from webhook.trackers._viewings import is_since

LABEL = "Plex"
PURPOSE = "Is told what you watched elsewhere, so that it is marked watched there too."
SETUP: tuple[str, ...] = (
    "The address of your Plex Media Server is the one that its owner has set up here.",
    "Sign in with your own Plex account: enter the code at https://plex.tv/link",
    "Nothing is sent before you switch on what Plex is told.",
)
LIBRARY = "com.plexapp.plugins.library"
LINK_PAGE = "https://plex.tv/link"
POLL_INTERVAL = 2
"""Seconds between two looks at whether the code was entered."""

PAGE_SIZE, HISTORY_PAGE_SIZE = 500, 200
SECTION_TYPES: Mapping[str, tuple[str, ...]] = {"movie": ("1",), "show": ("4",)}
SHOWS = "2"
WRITES: Mapping[Action, str] = {Action.WATCHED: "/:/scrobble", Action.UNWATCHED: "/:/unscrobble"}


class Settings(TrackerSettings):
    url: Address = Field(description="Where your Plex Media Server is, e.g. http://192.168.1.10:32400")
    account_url: Address = Field(
        "https://plex.tv", description="Where Plex accounts are signed in to", json_schema_extra=BY_ITSELF
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Plex:
    return Plex(settings, http)


class Plex(DeviceSignIn, MediaServer):
    """Marks what is watched elsewhere, for one person of a server."""

    name = "plex"
    label = LABEL
    batch = 200

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.url)
        self.account_api = settings.account_url.rstrip("/")

    # What is on the server

    async def copies(self, access: Access) -> AsyncIterator[Sequence[Copy]]:
        for section in await self.sections(access):
            title = as_text(section.get("title"))
            shows: dict[str, Ids] = {}
            if section.get("type") == "show":
                async for page in self.pages(access, section, SHOWS, PAGE_SIZE):
                    shows |= {
                        key: ids for row in page if (key := key_of(row)) and (ids := guids_of(row, Kind.SHOW))
                    }
            for kind in SECTION_TYPES[section["type"]]:
                async for page in self.pages(access, section, kind, PAGE_SIZE):
                    yield [copy for row in page if (copy := read_copy(row, title, shows)) is not None]

    async def sections(self, access: Access) -> list[JsonObject]:
        """The libraries of films and shows."""
        container = await self.container(access, "/library/sections")
        return [row for row in as_rows(container.get("Directory")) if row.get("type") in SECTION_TYPES]

    async def pages(
        self, access: Access, section: JsonObject, kind: str, size: int, **more: str
    ) -> AsyncIterator[list[JsonObject]]:
        """The items of a library, a page at a time; what moves to another page meanwhile comes once."""
        path, start, known = f"/library/sections/{section['key']}/all", 0, set[str]()
        while True:
            query = {"type": kind, "includeGuids": "1", **more}
            paging = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
            container = await self.container(access, path, params=query, paging=paging)
            rows = as_rows(container.get("Metadata"))
            yield [row for row in rows if (key := key_of(row)) and key not in known]
            known.update(key for row in rows if (key := key_of(row)))
            start += len(rows)
            total = as_int(container.get("totalSize"))
            if not rows or (len(rows) < size if total is None else start >= total):
                return

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """What is marked watched, with the time of its last viewing."""
        newest_first = {"unwatched": "0", "sort": "lastViewedAt:desc"}
        for section in await self.sections(access):
            for kind in SECTION_TYPES[section["type"]]:
                async for page in self.pages(access, section, kind, HISTORY_PAGE_SIZE, **newest_first):
                    for row in page:
                        item, at = read_item(row), second_of(row, "lastViewedAt")
                        if item is not None and is_since(at, since):
                            yield WatchedItem(item=item, at=at, remote_id=key_of(row))

    # Marks

    async def read_states(self, access: Access, keys: Sequence[str]) -> States:
        path = f"/library/metadata/{','.join(keys)}"
        response = await self.ask(access, "GET", path, params={"includeGuids": "1"})
        if response.status_code == 404:  # of one, or of all of them: that depends on the server's version
            half = len(keys) // 2
            parts = (keys[:half], keys[half:]) if half else ()
            return {
                key: state for part in parts for key, state in (await self.read_states(access, part)).items()
            }
        rows = as_rows(
            child(self.accept_object(response, "MediaContainer"), "MediaContainer").get("Metadata")
        )
        return {state.key: state for row in rows if (state := read_state(row)) is not None}

    async def write(self, access: Access, state: ItemState, action: Action, delivery: Delivery) -> None:
        query = {"identifier": LIBRARY, "key": state.key}
        if action in WRITES:
            self.accept(await self.ask(access, "PUT", WRITES[action], params=query))
            return
        rating = "-1" if action is Action.UNRATE else str(delivery.rating)
        self.accept(await self.ask(access, "PUT", "/:/rate", params={**query, "rating": rating}))

    async def container(self, access: Access, path: str, **more: Any) -> JsonObject:
        body = await self.ask(access, "GET", path, **more)
        return child(self.accept_object(body, "MediaContainer"), "MediaContainer")

    # The sign-in

    async def check(self, access: Access) -> str:
        await self.container(access, "/library/sections")
        return as_text(access.tokens.get("name")) or LABEL

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        known = {
            "Accept": "application/json",
            "X-Plex-Client-Identifier": "watchmark",
            "X-Plex-Product": "Watchmark",
            "X-Plex-Version": version(),
            "X-Plex-Device-Name": "Watchmark",
        }
        return {**known, "X-Plex-Token": str(tokens["token"])} if tokens.get("token") else known

    async def request_code(self) -> DeviceCode:
        body = await self.ask_plex("POST", "pins")
        named = {
            "user_code": body.get("code"),
            "id": str(body.get("id")),
            "expires_in": body.get("expiresIn"),
        }
        return read_device_code(LABEL, {**named, "interval": POLL_INTERVAL}, "id", LINK_PAGE)

    async def request_account_token(self, code: DeviceCode) -> str | None:
        """The token of the account that the code was entered in; None until then."""
        try:
            body = await self.ask_plex("GET", f"pins/{code.device_code}")
        except Unmatched as error:
            raise SignInFailed("the code has expired; start again") from error
        return as_text(body.get("authToken"))

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        """The sign-in at the person's server: of an account without that server it is refused."""
        token = await self.request_account_token(code)
        if token is None:
            return None
        signed_in = {"token": token}
        machine = child(self.accept_object(await self.call("GET", "/identity")), "MediaContainer")
        name = await self.ask_plex("GET", "user", signed_in)
        for row in as_rows((await self.ask_plex("GET", "resources", signed_in)).get("rows")):
            if row.get("clientIdentifier") == machine.get("machineIdentifier") and row.get("accessToken"):
                return {
                    "token": row["accessToken"],
                    "name": as_text(name.get("username")) or as_text(name.get("title")) or LABEL,
                    "server": machine.get("machineIdentifier"),
                }
        raise SignInFailed("this Plex account has no access to the server that is set up here")

    async def ask_plex(self, method: str, path: str, tokens: Tokens | None = None) -> JsonObject:
        """The object in an answer of Plex's own accounts; a list is one under `rows`."""
        url, headers = f"{self.account_api}/api/v2/{path}", self.headers(tokens or {})
        response = self.accept(await call(self.http, LABEL, method, url, headers=headers))
        body = read_json(LABEL, response)
        return {"rows": body} if isinstance(body, list) else child({"body": body}, "body")


def read_state(row: JsonObject) -> ItemState | None:
    key, item = key_of(row), read_item(row)
    if key is None or item is None:
        return None
    return ItemState(
        key=key,
        items=[item],
        played=bool(as_int(row.get("viewCount"))),
        rating=values.rating(row.get("userRating")),
        at=second_of(row, "lastViewedAt"),
    )


def read_copy(row: JsonObject, library: str | None, shows: Mapping[str, Ids]) -> Copy | None:
    """A film or an episode of a page, with the ids of its show."""
    key, item, show_key = key_of(row), read_item(row), as_text(row.get("grandparentRatingKey"))
    if key is None or item is None:
        return None
    if isinstance(item, Episode) and (show := shows.get(show_key or "")):
        item = replace(item, show_ids=show.merge(item.show_ids))
    return Copy(item=item, item_key=key, show_key=show_key, library=library)


def read_item(row: JsonObject) -> Item | None:
    item = _plexlike.read_item(cast(_plexlike.PlexMetadata, row)) if row.get("type") else None
    return item if isinstance(item, Movie | Episode) else None


def guids_of(row: JsonObject, kind: Kind) -> Ids:
    return parse_guids([*values.texts(row.get("guid")), *values.texts(row.get("Guid"), "id")], kind).ids


def key_of(row: JsonObject) -> str | None:
    return values.text(row.get("ratingKey"))


def second_of(row: JsonObject, name: str) -> datetime | None:
    return values.moment(row.get(name))
