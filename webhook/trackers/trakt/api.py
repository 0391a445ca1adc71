"""Calls: how Trakt is asked as an account, page by page where it answers so, and for its sign-in."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from webhook.client import USER_AGENT, accept, call
from webhook.trackers import Access, Tokens
from webhook.trackers._shared import Json
from webhook.trackers.trakt.responses import LABEL, listed, whole

PAGE, LARGEST_PAGE = 100, 250
HEADERS = {"Content-Type": "application/json", "User-Agent": USER_AGENT}


@dataclass(frozen=True, slots=True)
class Calls:
    """The way to Trakt: its API and its sign-in, as one app."""

    http: httpx.AsyncClient
    api: str
    auth: str
    client_id: str
    client_secret: SecretStr

    async def ask(
        self,
        access: Access,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """One call as the account; where its sign-in is not accepted, once more with a renewed one."""
        tokens = access.tokens
        response = await self.call(tokens, method, path, params, json)
        if response.status_code != 401:
            return response
        return await self.call(await access.renew(tokens), method, path, params, json)

    async def call(
        self, tokens: Tokens, method: str, path: str, params: Mapping[str, str] | None, json: Any
    ) -> httpx.Response:
        headers = {
            **HEADERS,
            "trakt-api-version": "2",
            "trakt-api-key": self.client_id,
            "Authorization": f"Bearer {tokens.get('access_token', '')}",
        }
        return await call(
            self.http, LABEL, method, self.api + path, headers=headers, params=params, json=json
        )

    async def oauth(self, path: str, **said: str) -> httpx.Response:
        app = {"client_id": self.client_id}
        if said:  # only the first call of a device sign-in goes without the secret
            app["client_secret"] = self.client_secret.get_secret_value()
        return await call(self.http, LABEL, "POST", self.auth + path, headers=HEADERS, json={**said, **app})

    async def rows(
        self, path: str, asked: Mapping[str, str], access: Access, limit: int = PAGE
    ) -> list[Json]:
        return [row async for rows in self.pages(path, asked, access, limit) for row in rows]

    async def pages(
        self, path: str, asked: Mapping[str, str], access: Access, limit: int
    ) -> AsyncIterator[list[Json]]:
        """Page after page, without what the page before had: new plays move the older ones on.

        How many pages there are is in a header, a short page means nothing; without the header, one
        that brings nothing new is the last.
        """
        before: set[Any] = set()
        for page in itertools.count(1):
            params = {**asked, "page": str(page), "limit": str(limit)}
            response = accept(LABEL, await self.ask(access, "GET", path, params=params))
            rows = listed(response)
            if new := [row for row in rows if row.get("id") not in before]:
                yield new
            count = response.headers.get("x-pagination-page-count")
            if page >= whole(count) if count else not new:
                return
            before = {row.get("id") for row in rows}
