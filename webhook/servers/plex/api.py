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


class Forbidden(Dead):
    """The token is good, but not for this."""


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
        if response.status_code == 403:
            raise Forbidden(f"{self.address.label} does not allow this token to read {path}")
        if not response.is_success:
            raise self.address.rejection(response.status_code, response.headers, excerpt(response))
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
        found = await self.get(f"/library/metadata/{','.join(keys)}", {"includeGuids": "1"})
        return {key: row for row in rows(found) if (key := values.text(row.get("ratingKey")))}

    async def preferences(self) -> dict[str, Any]:
        found = values.objects((await self.get("/:/prefs")).get("Setting"))
        return {str(entry.get("id")): entry.get("value") for entry in found}

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
