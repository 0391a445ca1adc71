"""The calls to Trakt: as an account, and page by page where it answers so."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

from webhook.trackers import Access
from webhook.trackers._json import JsonObject, as_int, expect_object, expect_rows, total
from webhook.trackers.trakt.oauth import OAuth
from webhook.trackers.trakt.payloads import LABEL

PAGE_SIZE, MAX_PAGE_SIZE = 100, 250


class Api(OAuth):
    """The part of the tracker that calls; a 401 renews the sign-in once."""

    async def rows(
        self, path: str, params: Mapping[str, str], access: Access, limit: int = PAGE_SIZE
    ) -> list[JsonObject]:
        return [row async for rows in self.pages(path, params, access, limit) for row in rows]

    async def pages(
        self, path: str, params: Mapping[str, str], access: Access, limit: int
    ) -> AsyncIterator[list[JsonObject]]:
        """Page after page, without the rows of the page before: new plays move the older ones on.

        How many pages there are is in a header, a short page means nothing; without the header, one
        that brings nothing new is the last.
        """
        before: set[Any] = set()
        for page in itertools.count(1):
            query = {**params, "page": str(page), "limit": str(limit)}
            response = self.accept(await self.ask(access, "GET", path, params=query))
            rows = expect_rows(LABEL, response)
            if new := [row for row in rows if row.get("id") not in before]:
                yield new
            count = response.headers.get("x-pagination-page-count")
            if page >= (as_int(count) or 0) if count else not new:
                return
            before = {row.get("id") for row in rows}

    async def search(self, path: str, params: Mapping[str, str], access: Access) -> list[JsonObject]:
        return expect_rows(LABEL, self.accept(await self.ask(access, "GET", path, params=params)))

    async def remove(self, play: int, access: Access) -> int:
        """Take one play out of the history by its id; returns how many that were."""
        response = await self.ask(access, "POST", "/sync/history/remove", json={"ids": [play]})
        return total(expect_object(LABEL, self.accept(response), "deleted"), "deleted")
