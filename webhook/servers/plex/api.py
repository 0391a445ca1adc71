"""Calls to a Plex Media Server while it is listened to, in JSON: https://developer.plex.tv/pms

plexapi, which `pms.py` asks for the history with, waits in a thread; these wait on the loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from webhook.client import excerpt, version
from webhook.domain import values
from webhook.domain.outcome import Dead
from webhook.servers import CallMeter
from webhook.servers._events import ServerEvent, open_events
from webhook.servers._http import ServerAddress, read_json, send

Json = Mapping[str, Any]
MAX_PAGE_SIZE = 8 * 1024 * 1024
PRODUCT = "Watchmark"


class Unauthorized(Dead):
    """The token is good no longer."""


class Forbidden(Dead):
    """The token is good, but not for this."""


class NotFound(Dead):
    """The server has no such thing."""


REFUSALS = {401: Unauthorized, 403: Forbidden, 404: NotFound}
NO_ACCOUNT = "0"
"""The account of what is played by nobody who is signed in."""

ALERTS = "/:/eventsource/notifications"


class PlexApi:
    """One server and a token for it, which goes in a header and never in an address."""

    def __init__(self, http: httpx.AsyncClient, address: ServerAddress, token: str) -> None:
        self.http = http
        self.address = address
        self.calls = CallMeter()
        client = f"watchmark-{hashlib.sha256(address.url.encode()).hexdigest()[:16]}"
        self.headers = {
            "Accept": "application/json",
            "X-Plex-Token": token,
            "X-Plex-Client-Identifier": client,
            "X-Plex-Product": PRODUCT,
            "X-Plex-Version": version(),
            "X-Plex-Device-Name": PRODUCT,
        }

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, paging: Mapping[str, str] | None = None
    ) -> Json:
        """The container that is answered; raises Retry and Dead."""
        self.calls.count()
        headers = {**self.headers, **(paging or {})}
        response = await send(self.http, self.address, path, params, headers, most=MAX_PAGE_SIZE)
        status = response.status_code
        if not response.is_success:
            refused = self.address.rejection(status, response.headers, excerpt(response))
            raise REFUSALS[status](refused.reason) if status in REFUSALS else refused
        read = values.mapping(read_json(self.address, response)).get("MediaContainer")
        if not isinstance(read, Mapping):
            raise self.address.wrong_answer(f"{self.address.label} answered with no container", "")
        return read

    async def alerts(self) -> AsyncIterator[ServerEvent | None]:
        """The server's alerts; None first, once it is listened to."""
        self.calls.count()
        params = {"filters": "playing,timeline"}
        async for found in open_events(self.http, self.address, ALERTS, params, self.headers):
            yield found

    async def sessions(self) -> list[Json]:
        return rows(await self.get("/status/sessions"))

    async def items(self, keys: Sequence[str]) -> dict[str, Json]:
        """The items by key, with the marks of the token's person, without those that are gone."""
        try:
            found = await self.get(f"/library/metadata/{','.join(keys)}", {"includeGuids": "1"})
        except NotFound:  # of all of them, or of one: that depends on the server's version
            half = len(keys) // 2
            return {**await self.items(keys[:half]), **await self.items(keys[half:])} if half else {}
        return {key: row for row in rows(found) if (key := values.text(row.get("ratingKey")))}

    async def preferences(self) -> dict[str, Any]:
        found = values.objects((await self.get("/:/prefs")).get("Setting"))
        return {str(entry.get("id")): entry.get("value") for entry in found}

    async def section_page(
        self,
        section: str,
        kind: str,
        size: int,
        *,
        start: int = 0,
        sort: str | None = None,
        watched: bool = False,
        guids: bool = False,
    ) -> tuple[list[Json], int]:
        """A page of a library's items of a type, and how many there are in all, as far as the server says."""
        asked = {"type": kind}
        asked |= {"sort": sort} if sort else {}
        asked |= {"unwatched": "0"} if watched else {}
        asked |= {"includeGuids": "1"} if guids else {}
        paging = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
        found = await self.get(f"/library/sections/{section}/all", asked, paging)
        page = rows(found)
        total = values.ordinal(found.get("totalSize"))
        if total is None:
            total = start + len(page) + (len(page) >= size)
        return page, total

    async def account_names(self) -> dict[str, str]:
        """The names of those who use the server, by account, as its history has them."""
        found = values.objects((await self.get("/accounts")).get("Account"))
        named = ((values.text(one.get("id")), values.text(one.get("name"))) for one in found)
        return {account: name for account, name in named if account and name and account != NO_ACCOUNT}

    async def version(self) -> str | None:
        return values.text((await self.get("/identity")).get("version"))

    async def hears_everybody(self) -> bool:
        """True if the token may see who plays, which only the owner's may."""
        try:
            await self.sessions()
        except Forbidden:
            return False
        return True

    async def history(self, account: str, item: str, since: int) -> list[Json]:
        """What an account has watched of an item since then, as the server recorded it."""
        asked = {
            "accountID": account,
            "metadataItemID": item,
            "viewedAt>": str(since),
            "sort": "viewedAt:desc",
        }
        return rows(await self.get("/status/sessions/history/all", asked))


def rows(container: Json) -> list[Json]:
    return values.objects(container.get("Metadata"))
